//! Days and times of day in digits: which of the two orders of day and month can be meant.

use super::shape::{DATE_DAY, DATE_MONTH, EITHER_ORDER, MOMENT_DAY, MOMENT_MONTH};

/// How a date or timestamp in digits can be read; 0 when it is none.
///
/// Read are ISO 8601 calendar dates (also with `/` or `.`), and day, month and year of four digits
/// in either order; behind them a time to the minute or finer, with an offset or without.
pub(super) fn moment_readings(text: &[u8]) -> u32 {
    let Some((numbers, rest)) = three_numbers(text) else {
        return 0;
    };
    let Some(dates) = date_readings(&numbers) else {
        return 0;
    };
    if rest.is_empty() {
        return dates | moments_of(dates);
    }
    let time = match rest {
        [b'T' | b' ', time @ ..] => time,
        _ => return 0,
    };
    if is_time(time) { moments_of(dates) | (dates & EITHER_ORDER) } else { 0 }
}

fn moments_of(dates: u32) -> u32 {
    let day = if dates & DATE_DAY != 0 { MOMENT_DAY } else { 0 };
    let month = if dates & DATE_MONTH != 0 { MOMENT_MONTH } else { 0 };
    day | month
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
    let value = text[..length].iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    Some((value, length, &text[length..]))
}

fn date_readings(numbers: &Numbers) -> Option<u32> {
    let [first, second, third] = numbers.value;
    let both = DATE_DAY | DATE_MONTH;
    match numbers.length {
        [4, 1..=2, 1..=2] => is_day(first, second, third).then_some(both),
        [1..=2, 1..=2, 4] => {
            let day_first = is_day(third, second, first);
            let month_first = is_day(third, first, second);
            match (day_first, month_first) {
                (true, true) if first == second => Some(both),
                // Between points the day comes first wherever points are in use.
                (true, _) if numbers.separator == b'.' => Some(DATE_DAY),
                (true, true) => Some(both | EITHER_ORDER),
                (true, false) => Some(DATE_DAY),
                (false, true) => Some(DATE_MONTH),
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
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
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
    use super::*;

    #[test]
    fn dates_and_the_orders_they_allow() {
        let date = |bits: u32| bits | moments_of(bits);
        let both = DATE_DAY | DATE_MONTH;
        let moments = MOMENT_DAY | MOMENT_MONTH;
        let cases: &[(&str, u32)] = &[
            ("2024-02-29", date(both)),
            ("2023-02-29", 0),
            ("2024/1/5", date(both)),
            ("03/04/2021", date(both) | EITHER_ORDER),
            ("04/04/2021", date(both)),
            ("13/04/2021", date(DATE_DAY)),
            ("04-13-2021", date(DATE_MONTH)),
            ("03.04.2021", date(DATE_DAY)),
            ("13/13/2021", 0),
            ("2024-01-31T23:59", moments),
            ("2024-01-31 23:59:59.123456Z", moments),
            ("2024-01-31T23:59:59+05:30", moments),
            ("2024-01-31T24:00", 0),
            ("03/04/2021 10:00", moments | EITHER_ORDER),
            ("2024-01-31T", 0),
            ("1.2.3", 0),
            ("192.168.0.1", 0),
            ("2024-01-31 ", 0),
            ("2024-01", 0),
        ];
        for (text, readings) in cases {
            assert_eq!(moment_readings(text.as_bytes()), *readings, "{text}");
        }
    }
}
