//! How figures and values are written for people.

use std::fmt::Write;

use chrono::{DateTime, NaiveDate};

/// Returns a number with thousands separators.
pub(super) fn count(number: u64) -> String {
    group_digits(&number.to_string())
}

/// `1 row`, `2,000 rows`: a number and its noun.
pub(super) fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// Returns a part of a whole in per cent. What is not nothing is not shown as 0, what is not all is not shown as 100.
pub(super) fn percent_of(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    percent(part as f64 / whole as f64)
}

/// Formats a share from 0 to 1 as a percentage; see [`percent_of`].
pub(super) fn percent(share: f64) -> String {
    let value = share * 100.0;
    if !value.is_finite() || value.abs() > 1e6 {
        "–".to_owned()
    } else if value > 0.0 && value < 0.1 {
        "<0.1%".to_owned()
    } else if value < 100.0 && value > 99.9 {
        ">99.9%".to_owned()
    } else if value == value.round() {
        format!("{value:.0}%")
    } else {
        format!("{value:.1}%")
    }
}

/// Returns a share, 0 to 1, as the width of a bar.
pub(super) fn width(share: f64) -> String {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    format!("{:.2}%", share * 100.0)
}

/// Returns a figure such as a mean, to about five digits.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "–".to_owned()
    } else if size >= 1e15 || (size > 0.0 && size < 1e-4) {
        format!("{value:.3e}")
    } else {
        let decimals = match size {
            s if s >= 1000.0 => 0,
            s if s >= 100.0 => 1,
            s if s >= 1.0 => 2,
            _ => 4,
        };
        let text = format!("{value:.decimals$}");
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        group_digits(if text == "-0" { "0" } else { text })
    }
}

/// Returns the text of a number with thousands separators; any other text as it is, cut.
pub(super) fn figure_text(text: &str) -> String {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() <= 40 && plain(whole) && plain(fraction) {
        group_digits(text)
    } else {
        cut(text, 32)
    }
}

fn group_digits(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let whole = digits.find('.').unwrap_or(digits.len());
    let mut text = String::with_capacity(number.len() + whole / 3);
    text.push_str(sign);
    for (place, digit) in digits.char_indices() {
        if place > 0 && place < whole && (whole - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a size in bytes, in decimal units.
pub fn bytes(size: u64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    for (unit, factor) in units {
        if size as f64 >= factor {
            return format!("{:.1} {unit}", size as f64 / factor);
        }
    }
    plural(size, "byte")
}

/// Returns a time in seconds.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        "–".to_owned()
    } else if seconds < 0.001 {
        "<1 ms".to_owned()
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else if seconds < 3600.0 {
        let whole = seconds as u64;
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        let minutes = (seconds / 60.0) as u64;
        format!("{} h {:02} min", count(minutes / 60), minutes % 60)
    }
}

/// Cuts a text to `longest` characters and makes invisible characters visible: control characters would corrupt a
/// terminal, directional overrides a page.
pub(super) fn cut(text: &str, longest: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(longest * 4));
    for (place, character) in text.chars().enumerate() {
        if place == longest {
            shown.push('…');
            break;
        }
        push_visible(&mut shown, character);
    }
    shown
}

fn push_visible(text: &mut String, character: char) {
    match character {
        '\n' => text.push('↵'),
        '\t' => text.push('⇥'),
        '\u{00}'..='\u{1f}' => {
            text.push(char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'));
        }
        '\u{7f}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => {
            // Writing to a string cannot fail.
            let _ = write!(text, "⟨U+{:04X}⟩", u32::from(character));
        }
        _ => text.push(character),
    }
}

/// Names in a row: `a, b and 3 more`.
pub(super) fn name_list(names: &[String], most: usize) -> String {
    let shown: Vec<String> = names.iter().take(most).map(|name| cut(name, 40)).collect();
    match names.len() - shown.len() {
        0 => match shown.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, first)) => format!("{} and {last}", first.join(", ")),
            None => String::new(),
        },
        more => format!("{} and {} more", shown.join(", "), count(more as u64)),
    }
}

/// Returns a name of a spec (`set_null`) as words.
pub(super) fn words(name: &str) -> String {
    cut(&name.replace('_', " "), 80)
}

/// Returns the same text with a capital at its start.
pub(super) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// Any JSON as a line of text for people, cut: `min 0, max 120`.
pub(super) fn plain_json(value: &serde_json::Value) -> String {
    let mut text = String::new();
    push_json(&mut text, value, 0);
    cut(&text, 240)
}

fn push_json(text: &mut String, value: &serde_json::Value, depth: usize) {
    use serde_json::Value;
    match value {
        Value::Null => text.push_str("none"),
        Value::Bool(value) => text.push_str(if *value { "yes" } else { "no" }),
        Value::Number(number) => match (number.to_string(), number.as_f64()) {
            (digits, Some(value)) if digits.len() > 14 => text.push_str(&figure(value)),
            (digits, _) => text.push_str(&figure_text(&digits)),
        },
        Value::String(value) if value.is_empty() => text.push_str("“”"),
        Value::String(value) => text.extend(value.chars().take(240)),
        Value::Array(_) | Value::Object(_) if depth == 8 => text.push('…'),
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                if place == 12 {
                    let _ = write!(text, " and {} more", values.len() - place);
                    break;
                }
                text.push_str(if place > 0 { ", " } else { "" });
                push_json(text, value, depth + 1);
            }
        }
        Value::Object(fields) => {
            for (place, (name, value)) in fields.iter().enumerate() {
                if place == 12 {
                    let _ = write!(text, " and {} more", fields.len() - place);
                    break;
                }
                text.push_str(if place > 0 { ", " } else { "" });
                let _ = write!(text, "{} ", name.replace('_', " "));
                push_json(text, value, depth + 1);
            }
        }
    }
}

/// Returns a day, from its number since 1970.
pub(super) fn day(days: f64) -> Option<NaiveDate> {
    let seconds = (days.is_finite() && days.abs() < 1e8).then(|| days.floor() as i64 * 86_400)?;
    DateTime::from_timestamp(seconds, 0).map(|moment| moment.date_naive())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// Counts, shares, figures, sizes and times as a person would write them.
    #[test]
    fn figures_are_written_for_people() {
        let cases = [
            (count(0), "0"),
            (count(999), "999"),
            (count(1_000), "1,000"),
            (count(u64::MAX), "18,446,744,073,709,551,615"),
            (plural(1, "row"), "1 row"),
            (plural(2_000, "row"), "2,000 rows"),
            (percent_of(0, 0), "–"),
            (percent_of(1, 1_000_000), "<0.1%"),
            (percent_of(999_999, 1_000_000), ">99.9%"),
            (percent_of(1, 2), "50%"),
            (percent_of(1, 3), "33.3%"),
            (figure(1_234_567.8), "1,234,568"),
            (figure(-0.00001), "-1.000e-5"),
            (figure(-0.0), "0"),
            (figure(41.5), "41.5"),
            (figure(100.0), "100"),
            (figure(f64::NAN), "–"),
            (figure(f64::MAX), "1.798e308"),
            (figure_text("-1234567.50"), "-1,234,567.50"),
            (figure_text("2021-03-04"), "2021-03-04"),
            (figure_text("."), "."),
            (figure_text(""), ""),
            (bytes(1), "1 byte"),
            (bytes(312_400_000), "312.4 MB"),
            (duration(0.0421), "42 ms"),
            (duration(75.0), "1 min 15 s"),
            (duration(f64::INFINITY), "–"),
        ];
        for (shown, expected) in cases {
            assert_eq!(shown, expected);
        }
    }

    /// Values are cut between characters and cannot garble a terminal or a page.
    #[test]
    fn values_are_cut_and_made_visible() {
        assert_eq!(cut("héllo wörld", 4), "héll…");
        assert_eq!(cut("👩‍👩‍👧", 1), "👩…");
        assert_eq!(cut("a\u{1b}[31m\0\n", 20), "a␛[31m␀↵");
        assert_eq!(cut("x\u{202e}cod", 20), "x⟨U+202E⟩cod");
        assert_eq!(cut("", 0), "");
        assert_eq!(cut(&"x".repeat(1 << 20), 3), "xxx…");
    }

    /// Specs and figures learned read as text, however deep they are.
    #[test]
    fn json_becomes_a_line() {
        let value = serde_json::json!({"min": 0, "max": 1200.5, "values": ["a", ""], "all": true});
        assert_eq!(
            plain_json(&value),
            "min 0, max 1,200.5, values a, “”, all yes"
        );
        let mut deep = serde_json::json!(1);
        for _ in 0..100 {
            deep = serde_json::json!([deep]);
        }
        assert_eq!(plain_json(&deep), "…");
    }
}
