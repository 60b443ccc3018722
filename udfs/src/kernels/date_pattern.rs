//! Date formats in the language of `strftime`, compiled to a list of fields.
//!
//! Numbers may lack their leading zero, unless another number follows at once (`%Y%m%d`). A space of the format matches
//! one or more.

use super::calendar::{DAY_US, days_of};
use super::date_cursor::{Cursor, Fields, Moment, year_of_two_digits};

/// Why a date format cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DateFormatError {
    /// A specifier that is not known.
    #[error("date format {format:?}: unknown specifier {specifier:?}")]
    UnknownSpecifier {
        /// The format.
        format: String,
        /// The specifier, with its percent sign.
        specifier: String,
    },
    /// The format has no year, month or day, so that it gives no date.
    #[error("date format {format:?} gives no date: it lacks the {lacks}")]
    NoDate {
        /// The format.
        format: String,
        /// The missing field.
        lacks: &'static str,
    },
    /// Twelve hours without `%p`: the time of day would be ambiguous.
    #[error("date format {format:?}: %I needs %p")]
    NoMeridiem {
        /// The format.
        format: String,
    },
    /// There is no format at all.
    #[error("no date format is given")]
    Empty,
}

/// One piece of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Literal(u8),
    Blanks,
    Year,
    YearOfCentury,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Weekday,
    Hour,
    HourOfHalf,
    Minute,
    Second,
    /// `%f`: the digits of a fraction of a second.
    Micros,
    /// `%.f`: point and fraction, or nothing.
    PointMicros,
    Meridiem,
    Offset,
    ZoneName,
    /// `%s`: seconds since 1970-01-01 UTC.
    Epoch,
}

impl Item {
    /// Most digits of a number, 0 for what is none.
    fn digits(self) -> usize {
        match self {
            Self::Year => 4,
            Self::DayOfYear => 3,
            Self::YearOfCentury
            | Self::Month
            | Self::Day
            | Self::Hour
            | Self::HourOfHalf
            | Self::Minute
            | Self::Second => 2,
            _ => 0,
        }
    }
}

/// A compiled format.
#[derive(Debug, Clone)]
pub(super) struct DatePattern {
    /// Each piece, and for a number how few digits it may have.
    items: Vec<(Item, usize)>,
    /// How a text of full width is laid out, if the format is three numbers.
    triple: Option<Triple>,
}

/// Positions of year, month and day in ten bytes such as `12/31/2023`: nearly all dates have this form, and are parsed
/// at a third of the cost.
#[derive(Debug, Clone, Copy)]
struct Triple {
    year: usize,
    month: usize,
    day: usize,
    /// Places of the two separators, and what they are.
    marks: [(usize, u8); 2],
}

impl Triple {
    fn of(items: &[Item]) -> Option<Self> {
        let &[
            first,
            Item::Literal(mark),
            second,
            Item::Literal(other),
            third,
        ] = items
        else {
            return None;
        };
        let (year, month, day) = match (first, second, third) {
            (Item::Year, Item::Month, Item::Day) => (0, 5, 8),
            (Item::Year, Item::Day, Item::Month) => (0, 8, 5),
            (Item::Day, Item::Month, Item::Year) => (6, 3, 0),
            (Item::Month, Item::Day, Item::Year) => (6, 0, 3),
            _ => return None,
        };
        let places = if year == 0 { [4, 7] } else { [2, 5] };
        Some(Self {
            year,
            month,
            day,
            marks: [(places[0], mark), (places[1], other)],
        })
    }

    /// Whether a text may be in the format at all: its length, and its separators if it is ten
    /// bytes long, for then no number is short of a digit.
    fn may_fit(&self, text: &[u8]) -> bool {
        match text.len() {
            8 | 9 => true,
            10 => self.marks.iter().all(|(at, mark)| text[*at] == *mark),
            _ => false,
        }
    }

    /// The day that ten bytes with fitting separators name; `None` also if they are not all digits.
    fn read(&self, text: &[u8; 10]) -> Option<Moment> {
        let mut valid = true;
        let mut pair = |at: usize| {
            let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
            valid &= tens <= 9 && ones <= 9;
            u32::from(tens) * 10 + u32::from(ones)
        };
        let year = pair(self.year) * 100 + pair(self.year + 2);
        let (month, day) = (pair(self.month), pair(self.day));
        if !valid {
            return None;
        }
        Some(Moment {
            days: days_of(year as i32, month, day)?,
            time_us: None,
            offset: None,
        })
    }
}

impl DatePattern {
    pub(super) fn compile(format: &str) -> Result<Self, DateFormatError> {
        let mut items = Vec::new();
        push_items(format, format, &mut items)?;
        check(format, &items)?;
        let triple = Triple::of(&items);
        let with_digits = |at: usize| {
            let item: Item = items[at];
            let crowded = items.get(at + 1).is_some_and(|next| next.digits() > 0)
                || (at > 0 && items[at - 1].digits() > 0);
            let least = if crowded || matches!(item, Item::Year | Item::YearOfCentury) {
                item.digits()
            } else {
                1
            };
            (item, least)
        };
        Ok(Self {
            items: (0..items.len()).map(with_digits).collect(),
            triple,
        })
    }

    /// Reads the whole of `text`.
    pub(super) fn read(&self, text: &[u8]) -> Option<Moment> {
        if let Some(triple) = &self.triple {
            if !triple.may_fit(text) {
                return None;
            }
            let read = text.try_into().ok().and_then(|text| triple.read(text));
            if read.is_some() {
                return read;
            }
        }
        let mut cursor = Cursor { rest: text };
        let mut fields = Fields::default();
        let mut epoch = None;
        for &(item, least) in &self.items {
            match item {
                Item::Literal(byte) => {
                    if !cursor.eat(byte) {
                        return None;
                    }
                }
                Item::Year => fields.year = Some(cursor.number(4, 4)? as i32),
                Item::Month => fields.month = cursor.number(least, 2)?,
                Item::Day => fields.day = read_padded(&mut cursor, least)?,
                Item::Epoch => epoch = Some(read_epoch(&mut cursor)?),
                _ => read_rare(item, least, &mut cursor, &mut fields)?,
            }
        }
        if !cursor.rest.is_empty() {
            return None;
        }
        match epoch {
            Some(seconds) => of_epoch(seconds, fields.micros),
            None => fields.moment(),
        }
    }
}

/// `%d` and `%e` alike: a day below ten may have a blank in place of its zero.
fn read_padded(cursor: &mut Cursor<'_>, least: usize) -> Option<u32> {
    match cursor.eat(b' ') {
        true => cursor.number(1, 1),
        false => cursor.number(least, 2),
    }
}

fn read_rare(item: Item, least: usize, cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    match item {
        Item::Blanks => return (cursor.eat_blanks() > 0).then_some(()),
        Item::YearOfCentury => {
            fields.year = Some(year_of_two_digits(cursor.number(2, 2)? as i32));
        }
        Item::MonthName => fields.month = cursor.month_name()?,
        Item::DayOfYear => fields.day_of_year = Some(cursor.number(least, 3)?),
        Item::Weekday => {
            cursor.weekday_name()?;
        }
        Item::Hour | Item::HourOfHalf => fields.hour = Some(read_padded(cursor, least)?),
        Item::Minute => fields.minute = cursor.number(least, 2)?,
        Item::Second => fields.second = cursor.number(least, 2)?,
        Item::Micros => fields.micros = cursor.micros()?,
        Item::PointMicros => {
            if cursor.eat(b'.') {
                fields.micros = cursor.micros()?;
            }
        }
        Item::Meridiem => fields.afternoon = Some(cursor.meridiem()?),
        Item::Offset => fields.offset = Some(cursor.offset()?),
        Item::ZoneName => fields.offset = Some(cursor.zone_name()?),
        _ => return None,
    }
    Some(())
}

/// Seconds of up to twelve digits: past the year 9999 in either direction.
fn read_epoch(cursor: &mut Cursor<'_>) -> Option<i64> {
    let negative = cursor.eat(b'-');
    let digits = cursor.digits();
    if digits == 0 || digits > 12 {
        return None;
    }
    let mut value = 0_i64;
    for digit in &cursor.rest[..digits] {
        value = value * 10 + i64::from(digit - b'0');
    }
    cursor.rest = &cursor.rest[digits..];
    Some(if negative { -value } else { value })
}

fn of_epoch(seconds: i64, micros: u32) -> Option<Moment> {
    let micros = i64::from(micros);
    let us = seconds * 1_000_000 + if seconds < 0 { -micros } else { micros };
    let days = us.div_euclid(DAY_US);
    // 0001-01-01 to 9999-12-31.
    if !(-719_162..=2_932_896).contains(&days) {
        return None;
    }
    Some(Moment {
        days: i32::try_from(days).ok()?,
        time_us: Some(us.rem_euclid(DAY_US)),
        offset: Some(0),
    })
}

/// Compiles `part`, which is `format` itself or the expansion of one of its specifiers.
fn push_items(format: &str, part: &str, items: &mut Vec<Item>) -> Result<(), DateFormatError> {
    let mut rest = part;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c.is_whitespace() {
            push_blanks(items);
        } else if c == '%' {
            let length = specifier_length(rest);
            let (specifier, after) = rest.split_at(length);
            push_specifier(format, specifier, items)?;
            rest = after;
        } else {
            let mut buffer = [0; 4];
            items.extend(c.encode_utf8(&mut buffer).bytes().map(Item::Literal));
        }
    }
    Ok(())
}

fn push_blanks(items: &mut Vec<Item>) {
    if items.last() != Some(&Item::Blanks) {
        items.push(Item::Blanks);
    }
}

/// Bytes of the specifier that `rest` begins with: flags, then a letter.
fn specifier_length(rest: &str) -> usize {
    let flags = rest.find(|c| !matches!(c, '-' | '_' | '0' | ':' | '.' | '3' | '6' | '9'));
    match flags {
        Some(at) => at + rest[at..].chars().next().map_or(0, char::len_utf8),
        None => rest.len(),
    }
}

fn push_specifier(
    format: &str,
    specifier: &str,
    items: &mut Vec<Item>,
) -> Result<(), DateFormatError> {
    // How a number is padded matters when it is written, not when it is read.
    let unpadded = specifier.trim_start_matches(['-', '_', '0']);
    let item = match unpadded {
        "Y" => Item::Year,
        "y" => Item::YearOfCentury,
        "m" => Item::Month,
        "B" | "b" | "h" => Item::MonthName,
        "d" | "e" => Item::Day,
        "j" => Item::DayOfYear,
        "A" | "a" => Item::Weekday,
        "H" | "k" => Item::Hour,
        "I" | "l" => Item::HourOfHalf,
        "M" => Item::Minute,
        "S" => Item::Second,
        "f" | "3f" | "6f" | "9f" => Item::Micros,
        ".f" | ".3f" | ".6f" | ".9f" => Item::PointMicros,
        "p" | "P" => Item::Meridiem,
        "z" | ":z" => Item::Offset,
        "Z" => Item::ZoneName,
        "s" => Item::Epoch,
        "%" => Item::Literal(b'%'),
        "n" | "t" => {
            push_blanks(items);
            return Ok(());
        }
        "F" => return push_items(format, "%Y-%m-%d", items),
        "T" => return push_items(format, "%H:%M:%S", items),
        "R" => return push_items(format, "%H:%M", items),
        "r" => return push_items(format, "%I:%M:%S %p", items),
        "D" => return push_items(format, "%m/%d/%y", items),
        "v" => return push_items(format, "%e-%b-%Y", items),
        "c" => return push_items(format, "%a %b %e %H:%M:%S %Y", items),
        _ => {
            return Err(DateFormatError::UnknownSpecifier {
                format: format.to_owned(),
                specifier: format!("%{specifier}"),
            });
        }
    };
    items.push(item);
    Ok(())
}

/// Checks that the format determines a date, and its time unambiguously.
fn check(format: &str, items: &[Item]) -> Result<(), DateFormatError> {
    let has = |any: &[Item]| items.iter().any(|item| any.contains(item));
    if has(&[Item::HourOfHalf]) && !has(&[Item::Meridiem]) {
        return Err(DateFormatError::NoMeridiem {
            format: format.to_owned(),
        });
    }
    if has(&[Item::Epoch]) {
        return Ok(());
    }
    let lacks = if !has(&[Item::Year, Item::YearOfCentury]) {
        "year"
    } else if has(&[Item::DayOfYear]) {
        return Ok(());
    } else if !has(&[Item::Month, Item::MonthName]) {
        "month"
    } else if !has(&[Item::Day]) {
        "day"
    } else {
        return Ok(());
    };
    Err(DateFormatError::NoDate {
        format: format.to_owned(),
        lacks,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The short way reads what the field-by-field way reads, and nothing else.
        #[test]
        fn three_numbers_are_read_alike_both_ways(
            format in "%Y-%m-%d|%Y-%d-%m|%d/%m/%Y|%m/%d/%Y|%d[.]%m[.]%Y",
            text in "[0-9]{1,4}[-/.][ 0-3]?[0-9][-/.][0-9]{1,4}",
        ) {
            let pattern = DatePattern::compile(&format.replace(['[', ']'], "")).unwrap();
            prop_assert!(pattern.triple.is_some());
            let slow = DatePattern { triple: None, ..pattern.clone() };
            prop_assert_eq!(pattern.read(text.as_bytes()), slow.read(text.as_bytes()));
        }
    }
}
