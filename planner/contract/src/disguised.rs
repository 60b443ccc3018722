//! Values that look like values but often mean that there is none.

use std::sync::LazyLock;

use super::MissingValues;
use super::evidence::ColumnEvidence;
use super::shape::NEGATIVE;
use super::tally::Tally;

/// Words for "not known", in three cases.
const WORDS: &[&str] = &[
    "unknown",
    "unk",
    "missing",
    "none",
    "nil",
    "not available",
    "not applicable",
    "n.a.",
    "tbd",
    "undefined",
    "blank",
    "?",
    "??",
    "???",
    ".",
    "..",
    "x",
    "xx",
    "xxx",
];

/// Numbers that stand for "not known" where a field must be filled.
const NUMBERS: &[&str] = &[
    "999",
    "9999",
    "99999",
    "999999",
    "9999999",
    "99999999",
    "999999999",
    "999.0",
    "9999.0",
    "-1",
    "-9",
    "-99",
    "-999",
    "-9999",
    "-99999",
    "-1.0",
    "-99.0",
    "-999.0",
    "-9999.0",
];

/// Days that stand for "not known": where calendars and clocks of computers begin or end.
const DAYS: &[&str] = &[
    "1900-01-01",
    "1970-01-01",
    "1899-12-30",
    "1753-01-01",
    "0001-01-01",
    "9999-12-31",
    "01/01/1900",
    "1/1/1900",
    "01/01/1970",
    "1/1/1970",
    "31/12/9999",
    "12/31/9999",
    "01.01.1900",
    "01.01.1970",
    "31.12.9999",
];

/// All of them.
pub(super) static DISGUISED: LazyLock<MissingValues> = LazyLock::new(|| {
    let mut texts: Vec<String> = Vec::new();
    for word in WORDS {
        let mut capital = (*word).to_owned();
        if let Some(first) = capital.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        texts.extend([(*word).to_owned(), capital, word.to_ascii_uppercase()]);
    }
    texts.extend(NUMBERS.iter().chain(DAYS).map(|text| (*text).to_owned()));
    MissingValues::new(&texts)
});

/// Remarks on values that may mean "no value": words wherever they recur, numbers and days where
/// they are ten times as frequent as the average value and at least one in two hundred.
pub(super) fn disguised_remarks(evidence: &ColumnEvidence, shapes: &Tally) -> Vec<String> {
    let present = evidence.present();
    let average = present as f64 / evidence.distinct().max(1) as f64;
    let negatives = shapes.with(NEGATIVE);
    let suspicious = |text: &str, count: u64| {
        if DAYS.contains(&text) || NUMBERS.contains(&text) {
            let frequent = count >= 5
                && count as f64 >= 10.0 * average
                && count as f64 >= present as f64 / 200.0;
            // A negative number among others below zero is an ordinary one.
            frequent && (!text.starts_with('-') || count == negatives)
        } else {
            count >= 2 && evidence.distinct() > 2
        }
    };
    let seen = evidence
        .disguised()
        .into_iter()
        .filter(|(text, count)| suspicious(text, *count));
    seen.map(|(text, count)| {
        format!("{text:?} stands in {count} cells and may mean that there is no value; if so, add it to missing_values")
    })
    .collect()
}
