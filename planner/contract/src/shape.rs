//! Classification of a cell by its possible readings, mostly in one pass over its bytes.

use udfs::kernels::boolean::parse_boolean;
use udfs::kernels::number::{NumberFormat, parse_float_with, parse_integer_with};

use super::moment::moment_readings;
use super::readings::{
    BOOLEAN, EITHER_SEPARATOR, FALSE_WORD, IDENTIFIER, INTEGER, INTEGER_COMMA, NEGATIVE, NUMBER,
    NUMBER_COMMA, PLAIN_TRUTH, TRUE_WORD,
};

/// A point is the decimal separator.
const POINT: NumberFormat = NumberFormat {
    decimal: Some(b'.'),
    thousands: None,
};

/// A comma is the decimal separator, and points divide thousands.
const COMMA: NumberFormat = NumberFormat {
    decimal: Some(b','),
    thousands: Some(b'.'),
};

/// Longer cells are text: no number, date or boolean is that long in practice.
const LONGEST: usize = 64;

/// Maximum number of digits of an integer: any such number fits 64 bits.
const INTEGER_DIGITS: usize = 18;

/// Digits of the shortest telephone number with a country's prefix.
const PHONE_DIGITS: usize = 7;

/// Digits before and after the decimal separator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digits {
    pub(super) whole: u8,
    pub(super) fraction: u8,
    /// Has an exponent or is a percentage: the digits do not determine the magnitude.
    pub(super) scaled: bool,
}

/// Possible readings of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The constants of `readings`, combined.
    pub(super) readings: u32,
    /// Digits where it is a number with a decimal point.
    pub(super) point: Digits,
    /// Digits where it is a number with a decimal comma.
    pub(super) comma: Digits,
}

impl Shape {
    /// Classifies a trimmed cell.
    pub(super) fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > LONGEST {
            return Self::default();
        }
        plain_number(bytes).unwrap_or_else(|| rare(text))
    }

    fn readings(readings: u32) -> Self {
        Self {
            readings,
            ..Self::default()
        }
    }
}

/// Digits with an optional minus and at most one point: nearly all numbers.
fn plain_number(bytes: &[u8]) -> Option<Shape> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let whole = digits_at_start(digits);
    let sign = if digits.len() < bytes.len() {
        NEGATIVE
    } else {
        0
    };
    if whole == 0 {
        return None;
    }
    let idle_zero = digits[0] == b'0' && whole > 1;
    if whole == digits.len() {
        return Some(whole_number(digits, sign, idle_zero));
    }
    let fraction = digits[whole..].strip_prefix(b".")?;
    if fraction.is_empty() || digits_at_start(fraction) != fraction.len() || idle_zero {
        return None;
    }
    let mut shape = Shape::readings(NUMBER | sign);
    shape.point = Digits {
        whole: whole as u8,
        fraction: fraction.len() as u8,
        scaled: false,
    };
    if fraction.len() == 3 && whole <= 3 && digits[0] != b'0' {
        shape.readings |= INTEGER_COMMA | NUMBER_COMMA | EITHER_SEPARATOR;
        shape.comma.whole = whole as u8 + 3;
    }
    Some(shape)
}

fn whole_number(digits: &[u8], sign: u32, idle_zero: bool) -> Shape {
    if idle_zero {
        return Shape::readings(IDENTIFIER);
    }
    let digits_seen = Digits {
        whole: digits.len() as u8,
        ..Digits::default()
    };
    let mut shape = Shape {
        readings: NUMBER | NUMBER_COMMA | sign,
        point: digits_seen,
        comma: digits_seen,
    };
    shape.readings |= if digits.len() > INTEGER_DIGITS {
        IDENTIFIER
    } else {
        INTEGER | INTEGER_COMMA
    };
    if sign == 0 && matches!(digits, b"0" | b"1") {
        shape.readings |= BOOLEAN;
    }
    shape
}

fn digits_at_start(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count()
}

/// Everything that is not a plain number.
fn rare(text: &str) -> Shape {
    let (mut digits, mut letters, mut first_digit) = (0_usize, 0_usize, None);
    for (at, byte) in text.bytes().enumerate() {
        if byte.is_ascii_digit() {
            digits += 1;
            first_digit = first_digit.or(Some(at));
        }
        letters += usize::from(byte.is_ascii_alphabetic());
    }
    let Some(first_digit) = first_digit else {
        return truth_word(text);
    };
    let moment = moment_readings(text);
    if moment != 0 {
        return Shape::readings(moment);
    }
    // `CHF 12`, `US$ 1e5`: more letters than a currency and an exponent have are no number's.
    if letters > 4 {
        return Shape::default();
    }
    if is_identifier(text, digits, first_digit) {
        return Shape::readings(IDENTIFIER);
    }
    separated_number(text)
}

fn truth_word(text: &str) -> Shape {
    let Some(parsed) = parse_boolean(text) else {
        return Shape::default();
    };
    let word = if parsed.value { TRUE_WORD } else { FALSE_WORD };
    let plain = text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
    Shape::readings(BOOLEAN | word | if plain { PLAIN_TRUTH } else { 0 })
}

/// Returns whether a number should stay text: telephone numbers and identifiers, in which a leading zero, a plus or
/// spaces are significant.
fn is_identifier(text: &str, digits: usize, first_digit: usize) -> bool {
    let after = text.as_bytes().get(first_digit + 1);
    let idle_zero = text.as_bytes()[first_digit] == b'0'
        && after.is_some_and(|byte| byte.is_ascii_digit() || *byte == b' ');
    let phone = digits >= PHONE_DIGITS && text.starts_with('+');
    let blanks = digits >= 9 && !text.contains([',', '.']) && text.contains(' ');
    idle_zero || phone || blanks
}

/// A number with separators, a currency, an exponent or the like.
fn separated_number(text: &str) -> Shape {
    let point = parse_float_with(text, &POINT).map(|parsed| parsed.value);
    let comma = parse_float_with(text, &COMMA).map(|parsed| parsed.value);
    let hundredths = text.contains(['%', '٪', '％']);
    let whole = |format| !hundredths && parse_integer_with(text, format).is_some();
    let mut shape = Shape::default();
    if let Some(value) = point {
        shape.point = count_digits(text, '.', hundredths);
        shape.readings |= NUMBER | if value < 0.0 { NEGATIVE } else { 0 };
        if shape.point.fraction == 0 && !shape.point.scaled && whole(&POINT) {
            shape.readings |= INTEGER;
        }
    }
    if let Some(value) = comma {
        shape.comma = count_digits(text, ',', hundredths);
        shape.readings |= NUMBER_COMMA | if value < 0.0 { NEGATIVE } else { 0 };
        if shape.comma.fraction == 0 && !shape.comma.scaled && whole(&COMMA) {
            shape.readings |= INTEGER_COMMA;
        }
    }
    if let (Some(one), Some(other)) = (point, comma)
        && one != other
    {
        shape.readings |= EITHER_SEPARATOR;
    }
    let digits = usize::from(shape.point.whole.max(shape.comma.whole));
    if digits > INTEGER_DIGITS && shape.readings & (INTEGER | INTEGER_COMMA) == 0 {
        shape.readings |= IDENTIFIER;
    }
    shape
}

fn count_digits(text: &str, separator: char, hundredths: bool) -> Digits {
    let scaled = hundredths
        || text
            .bytes()
            .zip(text.bytes().skip(1))
            .any(|(one, next)| one.is_ascii_digit() && matches!(next, b'e' | b'E'));
    let count = |part: &str| part.bytes().filter(u8::is_ascii_digit).count() as u8;
    let (whole, fraction) = text.rsplit_once(separator).unwrap_or((text, ""));
    Digits {
        whole: count(whole),
        fraction: count(fraction),
        scaled,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_and_what_they_can_be_read_as() {
        let both = INTEGER | NUMBER | INTEGER_COMMA | NUMBER_COMMA;
        let cases: &[(&str, u32)] = &[
            ("12", both),
            ("-3", both | NEGATIVE),
            ("1", both | BOOLEAN),
            ("007", IDENTIFIER),
            ("123456789012345678", both),
            ("1234567890123456789", NUMBER | NUMBER_COMMA | IDENTIFIER),
            ("+4915112345678", IDENTIFIER),
            ("030 1234567", IDENTIFIER),
            ("555 123 456", IDENTIFIER),
            ("2.50", NUMBER),
            ("0.125", NUMBER),
            (
                "1.234",
                NUMBER | INTEGER_COMMA | NUMBER_COMMA | EITHER_SEPARATOR,
            ),
            ("1,234", INTEGER | NUMBER | NUMBER_COMMA | EITHER_SEPARATOR),
            ("1,5", NUMBER_COMMA),
            ("1.234,5", NUMBER_COMMA),
            ("1,234.5", NUMBER),
            ("1e5", NUMBER | NUMBER_COMMA),
            ("yes", BOOLEAN | TRUE_WORD),
            ("FALSE", BOOLEAN | FALSE_WORD | PLAIN_TRUTH),
            ("", 0),
            ("12 Main Street", 0),
            ("🙂", 0),
            ("A1", 0),
            ("-", 0),
        ];
        for (text, readings) in cases {
            assert_eq!(Shape::of(text).readings, *readings, "{text}");
        }
    }

    proptest! {
        /// Every text classified as a number is one for the kernel that parses it.
        #[test]
        fn what_is_called_a_number_is_read(text in "[-+(]?[0-9€ ]{0,5}[.,]?[0-9]{0,4}[.,]?[0-9]{0,4}[%)]?|\\PC{0,12}") {
            let text = text.trim();
            let shape = Shape::of(text);
            let coerced = NumberFormat::default();
            let reads = |bit: u32| shape.readings & bit != 0;
            prop_assert!(!reads(NUMBER) || parse_float_with(text, &coerced).is_some());
            prop_assert!(!reads(INTEGER) || parse_integer_with(text, &coerced).is_some());
            prop_assert!(!reads(NUMBER_COMMA) || parse_float_with(text, &COMMA).is_some());
            prop_assert!(!reads(INTEGER_COMMA) || parse_integer_with(text, &COMMA).is_some());
            prop_assert!(!reads(BOOLEAN) || parse_boolean(text).is_some());
        }
    }
}
