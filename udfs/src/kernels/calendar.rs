//! Days and microseconds since 1970 to and from the proleptic Gregorian calendar.
//!
//! The arithmetic is that of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms":
//! years begin in March, so that the leap day is the last of its year.

use std::fmt::Write as _;

/// Microseconds of a day.
pub(super) const DAY_US: i64 = 86_400_000_000;

/// Days since 1970-01-01, if the date exists and its year is 1 to 9999.
pub(super) fn days_of(year: i32, month: u32, day: u32) -> Option<i32> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let (month, day) = (month as i32, day as i32);
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Days of a month of 1 to 12.
fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns whether a year has a leap day.
pub(super) fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Year, month and day of a number of days since 1970-01-01.
pub(super) fn date_of(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = (if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    }) as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Writes `value` with at least two digits.
fn push_two(value: u32, out: &mut String) {
    out.push(char::from(b'0' + (value / 10 % 10) as u8));
    out.push(char::from(b'0' + (value % 10) as u8));
}

fn push_date(days: i64, out: &mut String) {
    let (year, month, day) = date_of(days);
    match u32::try_from(year) {
        Ok(year @ 0..=9999) => {
            push_two(year / 100, out);
            push_two(year % 100, out);
        }
        // ISO 8601 wants a sign on years that four digits do not hold. Writing cannot fail.
        _ => {
            let _ = write!(out, "{year:+05}");
        }
    }
    out.push('-');
    push_two(month, out);
    out.push('-');
    push_two(day, out);
}

/// Writes a number of days since 1970-01-01 as `YYYY-MM-DD` (ISO 8601).
pub fn format_date(days: i32, out: &mut String) {
    push_date(i64::from(days), out);
}

/// Writes microseconds since 1970-01-01 UTC as `YYYY-MM-DDTHH:MM:SS[.ffffff]Z` (ISO 8601).
pub fn format_timestamp(us: i64, out: &mut String) {
    push_date_time(us, out);
    out.push('Z');
}

/// Writes `YYYY-MM-DDTHH:MM:SS[.ffffff]`, of whatever zone `us` counts in.
pub(super) fn push_date_time(us: i64, out: &mut String) {
    push_date(us.div_euclid(DAY_US), out);
    out.push('T');
    let of_day = us.rem_euclid(DAY_US);
    let seconds = (of_day / 1_000_000) as u32;
    push_two(seconds / 3_600, out);
    out.push(':');
    push_two(seconds / 60 % 60, out);
    out.push(':');
    push_two(seconds % 60, out);
    let micros = of_day % 1_000_000;
    if micros != 0 {
        let _ = write!(out, ".{micros:06}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    /// Every day of ten thousand years there and back, one after another.
    #[test]
    fn every_day_there_and_back() {
        let mut expected = days_of(1, 1, 1).unwrap();
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    let days = days_of(year, month, day).unwrap();
                    assert_eq!(days, expected);
                    assert_eq!(date_of(i64::from(days)), (i64::from(year), month, day));
                    expected += 1;
                }
            }
        }
        assert_eq!(days_of(1970, 1, 1), Some(0));
        for (year, month, day) in [
            (2023, 2, 29),
            (2023, 4, 31),
            (0, 1, 1),
            (2023, 13, 1),
            (10_000, 1, 1),
        ] {
            assert_eq!(days_of(year, month, day), None);
        }
    }

    #[test]
    fn written_dates() {
        let written = |us| {
            let mut out = String::new();
            format_timestamp(us, &mut out);
            out
        };
        assert_eq!(written(0), "1970-01-01T00:00:00Z");
        assert_eq!(written(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(
            written(1_614_853_230_500_000),
            "2021-03-04T10:20:30.500000Z"
        );
        // The ends of the type neither panic nor lose their sign.
        assert!(written(i64::MAX).starts_with("+294247-01-10"));
        assert!(written(i64::MIN).starts_with("-290308-12-21"));
        let mut out = String::new();
        format_date(i32::MIN, &mut out);
        assert!(out.starts_with('-'), "{out}");
    }
}
