//! The fingerprint of a text: what is left when case, accents, punctuation and word order go.

use super::super::fold::fold;

/// OpenRefine's fingerprint key: lower case, no accents, punctuation to blanks, the distinct words
/// in order, joined by a blank. Two texts of one key are the same value written differently.
pub(super) fn fingerprint(text: &str) -> String {
    let folded = fold(text);
    let mut words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.dedup();
    let mut key = words.join(" ");
    // Numbers in another order, or one more of them, are another value: "5 of 12", "12 of 5".
    let digits = folded.chars().filter(char::is_ascii_digit);
    if folded.contains(' ') && digits.clone().next().is_some() {
        key.push('\u{1F}');
        key.extend(digits);
    }
    key
}
