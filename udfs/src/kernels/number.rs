//! Parses numbers in common notations, exactly.
//!
//! Plain are `12`, `-3`, `3.50`, `12.0`, `1e5`. Not plain, though valid, are surrounding white space, `+7`, `007`,
//! `.5`, `5.`, separated thousands, currencies, percentages, parentheses: the cleaned text differs from the cell, so
//! the change is reported.

use super::cell::{CellKernel, Verdict};
use super::number_notation::{PlainNumber, is_plain, rewrite};
use super::number_words::read_words;

pub use super::number_notation::NumberFormat;

/// A value read from text, and whether the text was already an ordinary notation of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The value.
    pub value: T,
    /// The text is an ordinary notation of the value: giving the cell its type changes nothing.
    pub plain: bool,
}

impl<T> Parsed<T> {
    /// Returns a value whose text was an ordinary notation of it.
    pub(crate) fn plain(value: T) -> Self {
        Self { value, plain: true }
    }

    /// Returns a value whose text was written some other way.
    pub(crate) fn rewritten(value: T) -> Self {
        Self {
            value,
            plain: false,
        }
    }
}

/// The format in which the separators of every number must be unambiguous by themselves.
const ANY_FORMAT: NumberFormat = NumberFormat {
    decimal: None,
    thousands: None,
};

/// Reads a whole number: also `12.0`, `1e3`, `1,234`, `1 234`, `(5)`, `$1,200`; never `12.5`.
pub fn parse_integer(text: &str) -> Option<Parsed<i64>> {
    parse_integer_with(text, &ANY_FORMAT)
}

/// Parses an integer like [`parse_integer`], with known separators.
pub fn parse_integer_with(text: &str, format: &NumberFormat) -> Option<Parsed<i64>> {
    if let Some(value) = short_integer(text.as_bytes()) {
        return Some(Parsed::plain(value));
    }
    let parsed = parse_exact(text, 0, format)?;
    Some(Parsed {
        value: i64::try_from(parsed.value).ok()?,
        plain: parsed.plain,
    })
}

/// Up to 18 digits, which cannot overflow, with a minus or without and no idle zero in front.
fn short_integer(text: &[u8]) -> Option<i64> {
    let (digits, negative) = match text {
        [b'-', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    if digits.is_empty() || digits.len() > 18 || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    let mut value = 0_i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// Reads a number as the nearest double: thousands, parentheses for a minus, currency signs and
/// ISO codes before or after, a percent sign (a hundredth), exponents. A comma is the decimal
/// point where it cannot divide thousands. Infinite values and `nan` are refused.
pub fn parse_float(text: &str) -> Option<Parsed<f64>> {
    parse_float_with(text, &ANY_FORMAT)
}

/// Parses a float like [`parse_float`], with known separators.
pub fn parse_float_with(text: &str, format: &NumberFormat) -> Option<Parsed<f64>> {
    let bytes = text.as_bytes();
    let (value, plain) = if is_plain(bytes) && format.reads_plainly(bytes) {
        (text.parse::<f64>().ok()?, true)
    } else {
        (rewrite(text, format)?.as_str().parse::<f64>().ok()?, false)
    };
    value.is_finite().then_some(Parsed { value, plain })
}

/// Reads a number as an exact decimal: its value times ten to the power of `scale`. It is refused
/// where that is no whole number, or has more than `precision` digits (at most 38): never rounded.
pub fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<Parsed<i128>> {
    parse_decimal_with(text, precision, scale, &ANY_FORMAT)
}

/// Parses a decimal like [`parse_decimal`], with known separators.
pub fn parse_decimal_with(
    text: &str,
    precision: u8,
    scale: i8,
    format: &NumberFormat,
) -> Option<Parsed<i128>> {
    let parsed = parse_exact(text, i32::from(scale), format)?;
    let bound = 10_u128.pow(u32::from(precision.min(38)));
    (parsed.value.unsigned_abs() < bound).then_some(parsed)
}

fn parse_exact(text: &str, scale: i32, format: &NumberFormat) -> Option<Parsed<i128>> {
    let bytes = text.as_bytes();
    if is_plain(bytes) && format.reads_plainly(bytes) {
        return exact(bytes, scale).map(Parsed::plain);
    }
    exact(rewrite(text, format)?.as_bytes(), scale).map(Parsed::rewritten)
}

/// The plain notation `text` times ten to the power of `scale`, if that is a whole number.
fn exact(text: &[u8], scale: i32) -> Option<i128> {
    let (text, negative) = match text {
        [b'-', rest @ ..] => (rest, true),
        rest => (rest, false),
    };
    let mut mantissa = 0_i128;
    // Zeros wait until a digit follows, so that idle ones cannot overflow the mantissa.
    let mut zeros = 0_i64;
    let mut fraction_digits = 0_i64;
    let mut in_fraction = false;
    let mut power = 0_i64;
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'.' => {
                in_fraction = true;
                continue;
            }
            b'e' | b'E' => {
                power = exponent(&text[at + 1..]);
                break;
            }
            b'0' => zeros += 1,
            digit => {
                let shift = u32::try_from(zeros + 1).ok()?;
                // Leading zeros stand before nothing, however many they are.
                if mantissa != 0 {
                    mantissa = mantissa.checked_mul(10_i128.checked_pow(shift)?)?;
                }
                mantissa = mantissa.checked_add(i128::from(digit - b'0'))?;
                zeros = 0;
            }
        }
        fraction_digits += i64::from(in_fraction);
    }
    if mantissa == 0 {
        return Some(0);
    }
    // The mantissa has no zero at its end: a negative power would leave a fraction.
    let power = i64::from(scale) + power + zeros - fraction_digits;
    let factor = 10_i128.checked_pow(u32::try_from(power).ok()?)?;
    let value = mantissa.checked_mul(factor)?;
    Some(if negative { -value } else { value })
}

/// The value of an exponent, held within what no number here reaches.
fn exponent(text: &[u8]) -> i64 {
    let mut value = 0_i64;
    for digit in text.iter().filter(|byte| byte.is_ascii_digit()) {
        value = (value * 10 + i64::from(digit - b'0')).min(1_000_000_000);
    }
    if text.first() == Some(&b'-') {
        -value
    } else {
        value
    }
}

/// Reads `6.23x10^-4`.
fn power_of_ten(text: &str, format: &NumberFormat) -> Option<PlainNumber> {
    // Texts without a power, which is nearly all of them, are told by one byte.
    memchr::memchr(b'^', text.as_bytes())?;
    let (mantissa, power) = ["x10^", "×10^", "*10^"]
        .iter()
        .find_map(|mark| text.split_once(mark))?;
    let short = mantissa.len() + power.len() < 64;
    short.then(|| rewrite(&format!("{mantissa}e{power}"), format))?
}

/// Confidence in a number that was spelt out or shortened (`two million`, `3k`): read right in
/// most cells, but `3m` may be metres and `3/4` a day in March.
const SPELT_OUT: f32 = 0.9;

/// Writes numbers in plain notation, with the digits as they were: `$1,234.50` as `1234.50`,
/// `(5)` as `-5`, `12%` as `0.12`, `007` as `7`; spelt-out English ones with less confidence.
#[derive(Debug, Clone, Copy, Default)]
pub struct NormalizeNumber {
    format: NumberFormat,
}

impl NormalizeNumber {
    /// Creates a kernel for numbers in this format.
    pub fn new(format: NumberFormat) -> Self {
        Self { format }
    }
}

impl CellKernel for NormalizeNumber {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        let bytes = cell.as_bytes();
        if is_plain(bytes) && self.format.reads_plainly(bytes) {
            return Verdict::Same;
        }
        if let Some(plain) = rewrite(cell, &self.format) {
            out.push_str(plain.as_str());
            return Verdict::Changed(1.0);
        }
        if let Some(plain) = power_of_ten(cell, &self.format) {
            out.push_str(plain.as_str());
            return Verdict::Changed(SPELT_OUT);
        }
        match read_words(cell, &self.format) {
            Some(number) => {
                number.write(out);
                Verdict::Changed(SPELT_OUT)
            }
            None => Verdict::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::path::Path;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const GERMAN: NumberFormat = NumberFormat {
        decimal: Some(b','),
        thousands: Some(b'.'),
    };

    #[test]
    fn integers() {
        for (text, value, plain) in [
            ("12", 12, true),
            ("-3", -3, true),
            ("0", 0, true),
            ("12.0", 12, true),
            ("1e3", 1000, true),
            ("120e-1", 12, true),
            ("9223372036854775807", i64::MAX, true),
            ("-9223372036854775808", i64::MIN, true),
            ("0.000e999999999999", 0, true),
            ("+7", 7, false),
            ("007", 7, false),
            (" 12 ", 12, false),
            ("1,234", 1234, false),
            ("1 234", 1234, false),
            ("1\u{202f}234\u{202f}567", 1_234_567, false),
            ("1'234'567", 1_234_567, false),
            ("12,34,567", 1_234_567, false),
            ("1.234.567", 1_234_567, false),
            ("(5)", -5, false),
            ("( $1,200 )", -1200, false),
            ("$1,200", 1200, false),
            ("-$5", -5, false),
            ("5-", -5, false),
            ("\u{2212}4", -4, false),
            ("USD 12", 12, false),
            ("12 EUR", 12, false),
            ("US$12", 12, false),
            ("500%", 5, false),
            ("5.", 5, false),
        ] {
            assert_eq!(parse_integer(text), Some(Parsed { value, plain }), "{text}");
        }
        for text in [
            "",
            " ",
            "-",
            "12.5",
            "1e-1",
            "9223372036854775808",
            "1e19",
            "1,23",
            "1,2345",
            "12 34",
            "1,234 567",
            "192.168.1.1",
            "2021-01-02",
            "0x1F",
            "twelve",
            "--5",
            "-(5)",
            "5%%",
            "$5%",
            "abc$5",
            "1e",
            "e5",
            "5%e1",
            "ABC 5",
            "TOP 10",
            "1234,567,890",
            "1_23",
            "🙂",
            "nan",
            "inf",
            "()",
            "1e99999999999999999999",
            "$",
            "%",
            ".",
            ",",
            "12\u{0}",
        ] {
            assert_eq!(parse_integer(text), None, "{text}");
        }
    }

    #[test]
    fn floats() {
        for (text, value, plain) in [
            ("3.50", 3.5, true),
            ("1e5", 1e5, true),
            ("-0.001", -0.001, true),
            (".5", 0.5, false),
            ("1,234.5", 1234.5, false),
            ("1.234,5", 1234.5, false),
            ("1 234,5", 1234.5, false),
            ("12,5", 12.5, false),
            ("1,234", 1234.0, false),
            ("0,123", 0.123, false),
            ("1234,567", 1234.567, false),
            ("1.234", 1.234, true),
            ("12%", 0.12, false),
            ("(0.5%)", -0.005, false),
            ("€ 9,99", 9.99, false),
            ("+1.5E+3", 1500.0, false),
        ] {
            assert_eq!(parse_float(text), Some(Parsed { value, plain }), "{text}");
        }
        for text in [
            "1e999",
            "NaN",
            "infinity",
            "1,2,3",
            "1.2.3",
            "1,234,56",
            "1.234.567,8,9",
        ] {
            assert_eq!(parse_float(text), None, "{text}");
        }
    }

    #[test]
    fn a_known_format_settles_the_separators() {
        let german = |text| parse_float_with(text, &GERMAN).map(|parsed| parsed.value);
        assert_eq!(german("1.234"), Some(1234.0));
        assert_eq!(german("1,234"), Some(1.234));
        assert_eq!(german("1.234.567,25"), Some(1_234_567.25));
        assert_eq!(german("1.5"), None);
        assert_eq!(german("1 234"), None);
        assert_eq!(
            parse_integer_with("1.234", &GERMAN).map(|parsed| parsed.plain),
            Some(false)
        );
        let blanks = NumberFormat {
            decimal: Some(b'.'),
            thousands: Some(b' '),
        };
        assert_eq!(parse_float_with("1,234", &blanks), None);
        assert_eq!(
            parse_decimal_with("1 234.5", 6, 1, &blanks).map(|p| p.value),
            Some(12345)
        );
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        let decimal =
            |text, precision, scale| parse_decimal(text, precision, scale).map(|p| p.value);
        assert_eq!(decimal("1234.50", 10, 2), Some(123_450));
        assert_eq!(
            decimal("1.000000000000000000000000000000000000000000000000", 3, 2),
            Some(100)
        );
        assert_eq!(decimal("1.005", 10, 2), None);
        assert_eq!(decimal("1200", 2, -2), Some(12));
        assert_eq!(decimal("1250", 2, -2), None);
        assert_eq!(decimal("99.9", 3, 1), Some(999));
        assert_eq!(decimal("100.0", 3, 1), None);
        assert_eq!(
            decimal("99999999999999999999999999999999999999", 38, 0),
            Some(10_i128.pow(38) - 1)
        );
        assert_eq!(
            decimal("100000000000000000000000000000000000000", 38, 0),
            None
        );
        assert_eq!(decimal("1e-300", 38, 38), None);
        assert_eq!(decimal("5%", 4, 2), Some(5));
    }

    fn normalized(text: &str) -> Option<(String, f32)> {
        let mut out = String::new();
        match NormalizeNumber::default().clean(text, &mut out) {
            Verdict::Same => Some((text.to_owned(), 1.0)),
            Verdict::Changed(score) => Some((out, score)),
            Verdict::Invalid => None,
        }
    }

    #[test]
    fn normalized_numbers_keep_their_digits() {
        for (text, plain, confidence) in [
            ("$1,234.50", "1234.50", 1.0),
            ("(5)", "-5", 1.0),
            ("12%", "0.12", 1.0),
            ("100%", "1", 1.0),
            ("12.50%", "0.125", 1.0),
            ("0%", "0", 1.0),
            ("007", "7", 1.0),
            (".08", "0.08", 1.0),
            ("1e5", "1e5", 1.0),
            ("0.10", "0.10", 1.0),
            ("twenty three", "23", 0.9),
            ("Two Million", "2000000", 0.9),
            ("1.5 million", "1500000", 0.9),
            ("3k", "3000", 0.9),
            ("minus two hundred and five", "-205", 0.9),
            ("two hundred point zero three", "200.03", 0.9),
            ("two thirds", "0.6666666666666666", 0.9),
            ("ten percent", "0.1", 0.9),
            ("one and a half", "1.5", 0.9),
            ("6.23x10^-4", "6.23e-4", 0.9),
            ("1,674.5 million", "1674500000", 0.9),
        ] {
            assert_eq!(
                normalized(text),
                Some((plain.to_owned(), confidence)),
                "{text}"
            );
        }
        for text in [
            "",
            "and",
            "a",
            "one two",
            "twenty thirty",
            "hundred",
            "three apples",
            "12 monkeys",
            "one over zero",
            "point",
            "1/0",
            "a trillion trillion trillion trillion",
            "🙂 million",
        ] {
            assert_eq!(normalized(text), None, "{text}");
        }
    }

    /// Real single numbers of Recognizers-Text: most are read right, hardly any wrong.
    #[test]
    fn recognizers_text_numbers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../shared/data/norm_recognizers_text/Number/English");
        if !folder.exists() {
            println!("skipped: {} is missing", folder.display());
            return;
        }
        let (mut right, mut wrong, mut refused) = (0, 0, 0);
        for file in ["NumberModel.json", "PercentModel.json"] {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            let cases: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap();
            for case in cases.as_array().unwrap() {
                let input = case["Input"].as_str().unwrap();
                let results = case["Results"].as_array().unwrap();
                // Cells, not prose: the number is all there is.
                if results.len() != 1 || results[0]["Text"].as_str().unwrap().trim() != input.trim()
                {
                    continue;
                }
                let expected = results[0]["Resolution"]["value"].as_str().unwrap();
                let expected = match expected.strip_suffix('%') {
                    Some(percent) => percent.parse::<f64>().unwrap() / 100.0,
                    None => expected.parse::<f64>().unwrap(),
                };
                match normalized(input).map(|(text, _)| text.parse::<f64>().unwrap()) {
                    Some(value) if (value - expected).abs() <= expected.abs() * 1e-12 => right += 1,
                    Some(value) => {
                        wrong += 1;
                        println!("wrong: {input:?} read as {value}, is {expected}");
                    }
                    None => {
                        refused += 1;
                        println!("refused: {input:?}");
                    }
                }
            }
        }
        println!("numbers: {right} right, {wrong} wrong, {refused} refused");
        assert!(
            right >= 100 && wrong <= 15,
            "{right} right, {wrong} wrong, {refused} refused"
        );
    }

    proptest! {
        /// Any text is read or refused, and what is written is plain and stays the same.
        #[test]
        fn no_text_panics_and_clean_text_is_stable(text in "[-+($€0-9., '%e)kmA-Z\u{a0}]{0,24}|\\PC{0,40}") {
            let _ = (parse_integer(&text), parse_float(&text), parse_decimal(&text, 38, 10));
            let _ = parse_float_with(&text, &GERMAN);
            if let Some((clean, _)) = normalized(&text) {
                prop_assert_eq!(normalized(&clean), Some((clean.clone(), 1.0)), "{} of {}", clean, text);
            }
        }

        /// Numbers written with separators are read back.
        #[test]
        fn written_numbers_read_back(value in any::<i64>()) {
            prop_assert_eq!(parse_integer(&value.to_string()), Some(Parsed::plain(value)));
            let digits = value.unsigned_abs().to_string();
            let mut grouped = String::from(if value < 0 { "-" } else { "" });
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at) % 3 == 0 {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            prop_assert_eq!(parse_integer(&grouped).map(|parsed| parsed.value), Some(value));
        }
    }
}
