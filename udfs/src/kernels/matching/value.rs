//! Cells as they are compared.

use crate::kernels::fold::fold_into;

/// Returns a cell's text as it is compared: without case, accents, punctuation and needless blanks, ordinal words as
/// figures ("third" as "3rd"). None where nothing is left, which is like a missing value.
pub fn comparable(text: &str) -> Option<String> {
    let mut value = String::with_capacity(text.len());
    comparable_into(text, &mut String::new(), &mut value).then_some(value)
}

/// Appends what [`comparable`] returns to `value`, and returns whether that is anything. `folded` is a reusable buffer.
pub fn comparable_into(text: &str, folded: &mut String, value: &mut String) -> bool {
    folded.clear();
    fold_into(text, folded);
    let start = value.len();
    for word in folded.split_ascii_whitespace() {
        if value.len() > start {
            value.push(' ');
        }
        value.push_str(ordinal(word).unwrap_or(word));
    }
    value.len() > start
}

/// The figures of an ordinal word: streets are called by either.
fn ordinal(word: &str) -> Option<&'static str> {
    Some(match word {
        "first" => "1st",
        "second" => "2nd",
        "third" => "3rd",
        "fourth" => "4th",
        "fifth" => "5th",
        "sixth" => "6th",
        "seventh" => "7th",
        "eighth" => "8th",
        "ninth" => "9th",
        "tenth" => "10th",
        "eleventh" => "11th",
        "twelfth" => "12th",
        _ => return None,
    })
}

/// Year, month and day of a comparable value that is a date: `1971 06 24`, `19710624`.
pub(super) fn date(value: &str) -> Option<(i32, i32, i32)> {
    let mut digits = [0u8; 8];
    let mut count = 0;
    for byte in value.bytes().filter(|byte| *byte != b' ') {
        if !byte.is_ascii_digit() || count == digits.len() {
            return None;
        }
        digits[count] = byte - b'0';
        count += 1;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |n, digit| n * 10 + i32::from(*digit));
    let (year, month, day) = (
        number(&digits[..4]),
        number(&digits[4..6]),
        number(&digits[6..]),
    );
    let fits = count == digits.len()
        && (1800..2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day);
    fits.then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is compared of a text.
    #[test]
    fn comparable_values() {
        for (text, want) in [
            (" Caf\u{e9}  DE l'Or\u{e9}e ", Some("cafe de loree")),
            ("3rd St.", Some("3rd st")),
            ("Third St", Some("3rd st")),
            ("--", None),
            ("", None),
        ] {
            assert_eq!(comparable(text).as_deref(), want, "{text}");
        }
    }

    /// Dates in the notations that the comparable form leaves.
    #[test]
    fn dates() {
        assert_eq!(date("1971 06 24"), Some((1971, 6, 24)));
        assert_eq!(date("19710624"), Some((1971, 6, 24)));
        for none in ["1971 13 24", "197106241", "1971062", "a", "99999999"] {
            assert_eq!(date(none), None, "{none}");
        }
    }
}
