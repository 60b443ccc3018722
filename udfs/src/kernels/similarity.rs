//! How like two texts are, character by character.

use rapidfuzz::distance::jaro_winkler as rapid;

/// Returns the Jaro-Winkler similarity of two texts, from 0 to 1: Jaro's share of characters that are common and in
/// order, raised for a common prefix of up to four characters where it is above 0.7 (Winkler, "String comparator
/// metrics and enhanced decision rules", 1990).
pub fn jaro_winkler(left: &str, right: &str) -> f64 {
    if left.is_ascii() && right.is_ascii() {
        rapid::similarity(left.bytes(), right.bytes())
    } else {
        rapid::similarity(left.chars(), right.chars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Winkler's own examples, and what is empty.
    #[test]
    fn similarities() {
        for (left, right, want) in [
            ("MARTHA", "MARHTA", 0.961),
            ("DWAYNE", "DUANE", 0.840),
            ("DIXON", "DICKSONX", 0.813),
            ("Élan", "Élan", 1.0),
            ("abc", "ABC", 0.0),
            ("", "", 1.0),
            ("", "a", 0.0),
        ] {
            let similarity = jaro_winkler(left, right);
            assert!(
                (similarity - want).abs() < 0.0005,
                "{left} {right}: {similarity}"
            );
        }
    }
}
