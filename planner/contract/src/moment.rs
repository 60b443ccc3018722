//! Dates and times in digits: whether day-first, month-first or both readings are possible.

use udfs::kernels::date::{OrderEvidence, evidence};

use super::readings::{DATE, DAY_FIRST, EITHER_ORDER, MOMENT, MONTH_FIRST};

/// Returns how a date or timestamp can be read; 0 when it is none.
pub(super) fn moment_readings(text: &str) -> u32 {
    if let Some(readings) = in_digits(text.as_bytes()) {
        return readings;
    }
    match evidence(text) {
        // Digits alone are a number, or the number of a thing.
        Some(seen) if !seen.digits_only => {
            let order = match seen.order {
                OrderEvidence::DayFirst => DAY_FIRST,
                OrderEvidence::MonthFirst => MONTH_FIRST,
                OrderEvidence::Either => EITHER_ORDER,
                OrderEvidence::NotApplicable => 0,
            };
            MOMENT | order | if seen.has_time { 0 } else { DATE }
        }
        _ => 0,
    }
}

/// The usual case: ISO 8601 calendar dates, and day, month and year of four digits in either
/// order; behind them a time to the minute or finer, with an offset or without.
fn in_digits(text: &[u8]) -> Option<u32> {
    let (numbers, rest) = three_numbers(text)?;
    let order = date_order(&numbers)?;
    match rest {
        [] => Some(MOMENT | DATE | order),
        [b'T' | b' ', time @ ..] if is_time(time) => Some(MOMENT | order),
        _ => None,
    }
}

/// Three numbers between two equal separators, and how long each is written.
struct Numbers {
    value: [u32; 3],
    length: [usize; 3],
    separator: u8,
}

fn three_numbers(text: &[u8]) -> Option<(Numbers, &[u8])> {
    let (first, length_one, rest) = number(text)?;
    let (&separator, rest) = rest.split_first()?;
    if !matches!(separator, b'-' | b'/' | b'.') {
        return None;
    }
    let (second, length_two, rest) = number(rest)?;
    let rest = rest.strip_prefix(&[separator])?;
    let (third, length_three, rest) = number(rest)?;
    let numbers = Numbers {
        value: [first, second, third],
        length: [length_one, length_two, length_three],
        separator,
    };
    Some((numbers, rest))
}

/// The one to four digits at the start: their value and how many they are.
fn number(text: &[u8]) -> Option<(u32, usize, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=4).contains(&length) {
        return None;
    }
    let value = text[..length]
        .iter()
        .fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    Some((value, length, &text[length..]))
}

/// Returns the possible orders of day and month, if the numbers are a date.
fn date_order(numbers: &Numbers) -> Option<u32> {
    let [first, second, third] = numbers.value;
    match numbers.length {
        [4, 1..=2, 1..=2] if numbers.separator != b'.' => is_day(first, second, third).then_some(0),
        [1..=2, 1..=2, 4] => {
            let day_first = is_day(third, second, first);
            let month_first = is_day(third, first, second);
            match (day_first, month_first) {
                (true, true) if first == second => Some(0),
                // Between points the day comes first wherever points are in use.
                (true, _) if numbers.separator == b'.' => Some(DAY_FIRST),
                (true, true) => Some(EITHER_ORDER),
                (true, false) => Some(DAY_FIRST),
                (false, true) => Some(MONTH_FIRST),
                (false, false) => None,
            }
        }
        _ => None,
    }
}

/// Whether there is such a day in the Gregorian calendar.
fn is_day(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}

/// Whether this is `HH:MM`, with seconds, a fraction of them and an offset or without.
fn is_time(text: &[u8]) -> bool {
    let two = |text: &[u8], most: u32| {
        number(text).is_some_and(|(value, length, _)| length == 2 && value <= most)
    };
    if !two(text, 23) || text.get(2) != Some(&b':') || !two(&text[3..], 59) {
        return false;
    }
    let mut rest = &text[5..];
    if let Some(seconds) = rest.strip_prefix(b":") {
        if !two(seconds, 59) {
            return false;
        }
        rest = &seconds[2..];
        if let Some(fraction) = rest.strip_prefix(b".") {
            let digits = fraction
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            rest = &fraction[digits..];
        }
    }
    match rest {
        b"" | b"Z" => true,
        [b'+' | b'-', hours @ .., b':', ten, one] => {
            hours.len() == 2 && two(hours, 14) && two(&[*ten, *one], 59)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;
    use udfs::kernels::date::{DateFormats, DayMonthOrder};

    use super::*;

    #[test]
    fn dates_and_the_orders_they_tell() {
        let date = MOMENT | DATE;
        let cases: &[(&str, u32)] = &[
            ("2024-02-29", date),
            ("2023-02-29", 0),
            ("2024/1/5", date),
            ("03/04/2021", date | EITHER_ORDER),
            ("04/04/2021", date),
            ("13/04/2021", date | DAY_FIRST),
            ("04-13-2021", date | MONTH_FIRST),
            ("03.04.2021", date | DAY_FIRST),
            ("13/13/2021", 0),
            ("4 March 2021", date),
            ("2024-01-31T23:59", MOMENT),
            ("2024-01-31 23:59:59.123456Z", MOMENT),
            ("2024-01-31T23:59:59+05:30", MOMENT),
            ("03/04/2021 10:00", MOMENT | EITHER_ORDER),
            ("20240131", 0),
            ("1.2.3", 0),
            ("192.168.0.1", 0),
            ("2024-01", 0),
        ];
        for (text, readings) in cases {
            assert_eq!(moment_readings(text), *readings, "{text}");
        }
    }

    proptest! {
        /// Every text classified as a date is one for the kernel that parses it.
        #[test]
        fn what_is_called_a_date_is_read(text in "[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}([T ][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?(Z|[+-]0[0-9]:[0-5][0-9])?)?") {
            let readings = moment_readings(&text);
            for order in [DayMonthOrder::DayFirst, DayMonthOrder::MonthFirst] {
                let formats = DateFormats::usual(order);
                prop_assert!(readings & MOMENT == 0 || formats.parse_timestamp(&text).is_some(), "{}", text);
                prop_assert!(readings & DATE == 0 || formats.parse_date(&text).is_some(), "{}", text);
            }
        }
    }
}
