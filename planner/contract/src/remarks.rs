//! Remarks on columns that need review.

use super::disguised::{DAYS, NUMBERS};
use super::evidence::ColumnEvidence;
use super::readings::NEGATIVE;
use super::tally::Tally;

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
        format!("{text:?} occurs in {count} cells and may mean that there is no value; if so, add it to missing_values")
    })
    .collect()
}
