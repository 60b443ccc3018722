//! Values that often mean that there is none.

use std::sync::LazyLock;

use super::MissingValues;

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

/// Numbers that mean "not known" where a field is mandatory.
pub(super) const NUMBERS: &[&str] = &[
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

/// Days that mean "not known": where calendars and clocks of computers begin or end.
pub(super) const DAYS: &[&str] = &[
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
