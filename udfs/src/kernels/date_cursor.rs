//! The fields of a date read from bytes, one after another.

use super::calendar::{DAY_US, days_of, is_leap};

/// Two-digit years from here on are of the twentieth century (POSIX `%y`).
const PIVOT: i32 = 69;

/// A day, and a time of it where the text had one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Days since 1970-01-01, as written: the offset is not yet applied.
    pub(super) days: i32,
    /// Microseconds of the day as written.
    pub(super) time_us: Option<i64>,
    /// Seconds that the written time is ahead of UTC.
    pub(super) offset: Option<i32>,
}

impl Moment {
    /// Microseconds since 1970-01-01; in UTC where the offset is known.
    pub(super) fn timestamp_us(&self) -> i64 {
        let offset = i64::from(self.offset.unwrap_or(0)) * 1_000_000;
        i64::from(self.days) * DAY_US + self.time_us.unwrap_or(0) - offset
    }
}

/// What has been read of a date so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fields {
    pub(super) year: Option<i32>,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) day_of_year: Option<u32>,
    pub(super) hour: Option<u32>,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) micros: u32,
    pub(super) afternoon: Option<bool>,
    pub(super) offset: Option<i32>,
}

impl Fields {
    /// Returns the moment, if there is such a day and such a time.
    pub(super) fn moment(&self) -> Option<Moment> {
        let year = self.year?;
        let days = match self.day_of_year {
            Some(day) => {
                let last = if is_leap(year) { 366 } else { 365 };
                let first = days_of(year, 1, 1)?;
                (1..=last).contains(&day).then(|| first + day as i32 - 1)?
            }
            None => days_of(year, self.month, self.day)?,
        };
        Some(Moment {
            days,
            time_us: self.time_us()?,
            offset: self.offset,
        })
    }

    /// The time of day: `None` if there is no such time, `Some(None)` if none was written.
    fn time_us(&self) -> Option<Option<i64>> {
        let Some(hour) = self.hour else {
            return Some(None);
        };
        let hour = match self.afternoon {
            None => hour,
            Some(afternoon) => {
                if !(1..=12).contains(&hour) {
                    return None;
                }
                hour % 12 + if afternoon { 12 } else { 0 }
            }
        };
        // A leap second counts as the first of the next minute.
        let leap = self.second == 60 && self.minute == 59;
        if hour > 23 || self.minute > 59 || (self.second > 59 && !leap) {
            return None;
        }
        let seconds = hour * 3_600 + self.minute * 60 + self.second;
        Some(Some(
            i64::from(seconds) * 1_000_000 + i64::from(self.micros),
        ))
    }
}

/// A place in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
}

impl Cursor<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Steps over `byte` if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// Steps over blanks, also the no-break ones that some systems print before `PM`; how many.
    pub(super) fn eat_blanks(&mut self) -> usize {
        let mut count = 0;
        loop {
            let len = match self.rest {
                [b' ' | b'\t', ..] => 1,
                [0xc2, 0xa0, ..] => 2,
                [0xe2, 0x80, 0xaf | 0x89, ..] => 3,
                _ => return count,
            };
            self.rest = &self.rest[len..];
            count += 1;
        }
    }

    /// Returns how many digits are next.
    pub(super) fn digits(&self) -> usize {
        self.rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    }

    /// Reads `least` to `most` digits, and no more than nine.
    pub(super) fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let mut value = 0_u32;
        let mut read = 0;
        while read < most.min(9) {
            let digit = match self.rest.get(read) {
                Some(digit) if digit.is_ascii_digit() => digit - b'0',
                _ => break,
            };
            value = value * 10 + u32::from(digit);
            read += 1;
        }
        if read < least {
            return None;
        }
        self.rest = &self.rest[read..];
        Some(value)
    }

    /// Returns the ASCII letters that are next.
    pub(super) fn word(&self) -> usize {
        self.rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count()
    }

    /// Steps over `word`, in any case, if just these letters are next.
    pub(super) fn eat_word(&mut self, word: &[u8]) -> bool {
        let found = self.word() == word.len() && self.rest[..word.len()].eq_ignore_ascii_case(word);
        if found {
            self.rest = &self.rest[word.len()..];
        }
        found
    }

    /// Reads the English name of a month, in full or by three letters or more (`Sept`).
    pub(super) fn month_name(&mut self) -> Option<u32> {
        self.name(&MONTHS).map(|at| at as u32 + 1)
    }

    /// Reads the English name of a weekday, in full or by three letters or more.
    pub(super) fn weekday_name(&mut self) -> Option<usize> {
        self.name(&WEEKDAYS)
    }

    fn name(&mut self, names: &[&str]) -> Option<usize> {
        let len = self.word();
        if len < 3 {
            return None;
        }
        let word = &self.rest[..len];
        let at = names.iter().position(|name| {
            name.as_bytes()
                .get(..len)
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        })?;
        self.rest = &self.rest[len..];
        Some(at)
    }

    /// Reads the digits behind a decimal point as microseconds; further digits are dropped.
    pub(super) fn micros(&mut self) -> Option<u32> {
        let digits = self.digits();
        if digits == 0 {
            return None;
        }
        let mut value = 0;
        for at in 0..6 {
            let digit = if at < digits { self.rest[at] - b'0' } else { 0 };
            value = value * 10 + u32::from(digit);
        }
        self.rest = &self.rest[digits..];
        Some(value)
    }

    /// Reads `am`, `PM`, `a.m.`: whether it is the afternoon.
    pub(super) fn meridiem(&mut self) -> Option<bool> {
        let afternoon = match self.peek()?.to_ascii_lowercase() {
            b'a' => false,
            b'p' => true,
            _ => return None,
        };
        let tail: &[&[u8]] = &[b".m.", b"m.", b"m"];
        let rest = &self.rest[1..];
        let found = tail.iter().find(|tail| {
            rest.get(..tail.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(tail))
        })?;
        let rest = &rest[found.len()..];
        if rest.first().is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        self.rest = rest;
        Some(afternoon)
    }

    /// Reads `Z`, `+02:00`, `-0500`, `+02`: seconds ahead of UTC, less than a day.
    pub(super) fn offset(&mut self) -> Option<i32> {
        if self.eat(b'Z') || self.eat(b'z') {
            return Some(0);
        }
        let (sign, len) = match self.rest {
            [b'+', ..] => (1, 1),
            [b'-', ..] => (-1, 1),
            [0xe2, 0x88, 0x92, ..] => (-1, 3),
            _ => return None,
        };
        self.rest = &self.rest[len..];
        let hours = self.number(2, 2)? as i32;
        let minutes = if self.eat(b':') {
            self.number(2, 2)? as i32
        } else {
            self.number(2, 2).unwrap_or(0) as i32
        };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
    }

    /// Reads the name of a zone whose offset is known from its name (RFC 2822, section 4.3).
    pub(super) fn zone_name(&mut self) -> Option<i32> {
        let len = self.word();
        let hours = ZONES
            .iter()
            .find(|(name, _)| self.rest[..len].eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, hours)| *hours)?;
        self.rest = &self.rest[len..];
        Some(hours * 3_600)
    }
}

/// Returns the year that two digits abbreviate.
pub(super) fn year_of_two_digits(year: i32) -> i32 {
    if year < PIVOT {
        2000 + year
    } else {
        1900 + year
    }
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

const ZONES: [(&str, i32); 11] = [
    ("UTC", 0),
    ("GMT", 0),
    ("UT", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
];
