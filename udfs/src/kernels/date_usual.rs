//! The usual notations of dates, read without a format.
//!
//! ISO 8601 and RFC 3339, compact digits, numbers with slashes, dots, dashes or blanks between
//! them, English month names in any place, RFC 2822, the C library's `ctime`; each with a time
//! behind it or without. Nothing that needs a clock (`tomorrow`) or leaves the year out.

use super::date_cursor::{Cursor, Fields, Moment, year_of_two_digits};

/// How `03/04/2021` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DayMonthOrder {
    /// The third of April, as most of the world writes it.
    DayFirst,
    /// The fourth of March, as in the United States.
    MonthFirst,
}

/// Evidence in a date of the order of its day and month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderEvidence {
    /// `25/12/2021`: no month has that number.
    DayFirst,
    /// `12/25/2021`: no month has that number.
    MonthFirst,
    /// `03/04/2021`: both are dates.
    Either,
    /// The order is settled: `2021-04-03`, `3 April 2021`.
    NotApplicable,
}

/// Evidence in a text of being a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateEvidence {
    /// Evidence of the order of day and month.
    pub order: OrderEvidence,
    /// It has a time of day.
    pub has_time: bool,
    /// It is nothing but digits (`20210304`), and may as well be an ordinary number.
    pub digits_only: bool,
}

/// Longer text is no date.
const LONGEST: usize = 64;

/// Reads a date in any usual notation; day and month in `order` where both orders give a date.
pub(super) fn read_usual(text: &[u8], order: DayMonthOrder) -> Option<(Moment, DateEvidence)> {
    // Every notation has a digit at one of its ends, or a name or zone of letters.
    if text.len() < 6 || text.len() > LONGEST {
        return None;
    }
    let first = text[0];
    if !first.is_ascii_alphanumeric() {
        return None;
    }
    let mut cursor = Cursor { rest: text };
    let mut fields = Fields::default();
    let mut evidence = DateEvidence {
        order: OrderEvidence::NotApplicable,
        has_time: false,
        digits_only: false,
    };
    if first.is_ascii_alphabetic() {
        skip_weekday(&mut cursor);
    }
    read_date(&mut cursor, order, &mut fields, &mut evidence)?;
    if !cursor.rest.is_empty() {
        read_rest(&mut cursor, &mut fields)?;
    }
    evidence.has_time = fields.hour.is_some();
    evidence.digits_only = text.iter().all(u8::is_ascii_digit);
    Some((fields.moment()?, evidence))
}

fn skip_weekday(cursor: &mut Cursor<'_>) {
    if cursor.weekday_name().is_some() {
        let _ = cursor.eat(b'.');
        let _ = cursor.eat(b',');
        cursor.eat_blanks();
    }
}

fn read_date(
    cursor: &mut Cursor<'_>,
    order: DayMonthOrder,
    fields: &mut Fields,
    evidence: &mut DateEvidence,
) -> Option<()> {
    match cursor.digits() {
        0 => read_month_first(cursor, fields),
        1 | 2 => {
            let first = cursor.number(1, 2)?;
            read_after_short_number(cursor, first, order, fields, evidence)
        }
        4 => read_after_year(cursor, fields),
        // Compact: 20210304, 20210304102030.
        8 | 12 | 14 => read_compact(cursor, fields),
        _ => None,
    }
}

/// `March 4, 2021`, `Mar 4th 2021`, `Mar-04-2021`; the year may follow the time (`ctime`).
fn read_month_first(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.month = cursor.month_name()?;
    let _ = cursor.eat(b'.');
    if skip_separator(cursor) == 0 {
        return None;
    }
    fields.day = cursor.number(1, 2)?;
    skip_ordinal(cursor);
    let before = *cursor;
    let comma = cursor.eat(b',');
    if skip_separator(cursor) == 0 && !comma {
        return None;
    }
    if cursor.digits() == 4 {
        fields.year = Some(cursor.number(4, 4)? as i32);
    } else if cursor.rest.get(cursor.digits()) == Some(&b':') && !comma {
        *cursor = before;
    } else {
        read_short_year(cursor, fields)?;
    }
    Some(())
}

/// `4 March 2021`, `4th of March, 2021`, `04-Mar-21`, `4Mar2021`, and all numbers: `04/03/2021`.
fn read_after_short_number(
    cursor: &mut Cursor<'_>,
    first: u32,
    order: DayMonthOrder,
    fields: &mut Fields,
    evidence: &mut DateEvidence,
) -> Option<()> {
    if let Some(separator @ (b'/' | b'-' | b'.')) = cursor.peek()
        && cursor.rest.get(1).is_some_and(u8::is_ascii_digit)
    {
        return read_numbers(cursor, first, separator, order, fields, evidence);
    }
    fields.day = first;
    skip_ordinal(cursor);
    let _ = cursor.eat(b'.');
    skip_separator(cursor);
    if cursor.eat_word(b"of") {
        cursor.eat_blanks();
    }
    fields.month = cursor.month_name()?;
    let _ = cursor.eat(b'.');
    let _ = cursor.eat(b',');
    skip_separator(cursor);
    if cursor.digits() == 4 {
        fields.year = Some(cursor.number(4, 4)? as i32);
        return Some(());
    }
    read_short_year(cursor, fields)
}

/// The rest of `04/03/2021`, `4.3.21`, behind its first number.
fn read_numbers(
    cursor: &mut Cursor<'_>,
    first: u32,
    separator: u8,
    order: DayMonthOrder,
    fields: &mut Fields,
    evidence: &mut DateEvidence,
) -> Option<()> {
    let _ = cursor.eat(separator);
    let second = cursor.number(1, 2)?;
    if !cursor.eat(separator) {
        return None;
    }
    if separator == b'.' {
        cursor.eat_blanks();
    }
    if cursor.digits() == 4 {
        fields.year = Some(cursor.number(4, 4)? as i32);
    } else {
        read_short_year(cursor, fields)?;
    }
    let (first_is_month, second_is_month) = (first <= 12, second <= 12);
    evidence.order = match (first_is_month, second_is_month) {
        (true, true) => OrderEvidence::Either,
        (false, true) => OrderEvidence::DayFirst,
        (true, false) => OrderEvidence::MonthFirst,
        (false, false) => return None,
    };
    let day_first = match evidence.order {
        OrderEvidence::Either => order == DayMonthOrder::DayFirst,
        settled => settled == OrderEvidence::DayFirst,
    };
    (fields.day, fields.month) = if day_first {
        (first, second)
    } else {
        (second, first)
    };
    Some(())
}

/// `2021-03-04`, `2021/3/4`, `2021 Mar 4`, `2021-063`.
fn read_after_year(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.year = Some(cursor.number(4, 4)? as i32);
    let separator = cursor.peek()?;
    if !matches!(separator, b'-' | b'/' | b'.' | b' ') {
        return None;
    }
    let _ = cursor.eat(separator);
    if separator == b'-' && cursor.digits() == 3 {
        fields.day_of_year = Some(cursor.number(3, 3)?);
        return Some(());
    }
    if cursor.digits() > 0 {
        fields.month = cursor.number(1, 2)?;
        if !cursor.eat(separator) {
            return None;
        }
    } else {
        fields.month = cursor.month_name()?;
        let _ = cursor.eat(b'.');
        if skip_separator(cursor) == 0 {
            return None;
        }
    }
    fields.day = cursor.number(1, 2)?;
    Some(())
}

/// `20210304`, with hours and minutes and perhaps seconds at once behind it. Years are held to
/// those of living memory and plans: any eight digits would be a date otherwise.
fn read_compact(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    let digits = cursor.digits();
    let year = cursor.number(4, 4)? as i32;
    if !(1800..2200).contains(&year) {
        return None;
    }
    fields.year = Some(year);
    fields.month = cursor.number(2, 2)?;
    fields.day = cursor.number(2, 2)?;
    if digits > 8 {
        read_compact_time(cursor, digits - 8, fields)?;
    }
    Some(())
}

fn read_compact_time(cursor: &mut Cursor<'_>, digits: usize, fields: &mut Fields) -> Option<()> {
    fields.hour = Some(cursor.number(2, 2)?);
    fields.minute = cursor.number(2, 2)?;
    if digits == 6 {
        fields.second = cursor.number(2, 2)?;
    }
    Some(())
}

fn read_short_year(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    let _ = cursor.eat(b'\'');
    if cursor.digits() != 2 {
        return None;
    }
    fields.year = Some(year_of_two_digits(cursor.number(2, 2)? as i32));
    Some(())
}

/// Blanks, a dash, a slash or a dot between the parts of a date with a month name.
fn skip_separator(cursor: &mut Cursor<'_>) -> usize {
    let blanks = cursor.eat_blanks();
    let marked = cursor.eat(b'-') || cursor.eat(b'/') || cursor.eat(b'.');
    blanks + usize::from(marked) + cursor.eat_blanks()
}

fn skip_ordinal(cursor: &mut Cursor<'_>) {
    for ending in [b"st", b"nd", b"rd", b"th"] {
        if cursor.eat_word(ending) {
            return;
        }
    }
}

/// What follows the date: its time, the zone, and the year if it was not yet read.
fn read_rest(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    if fields.hour.is_none() {
        let _ = cursor.eat(b',');
        let blanks = cursor.eat_blanks();
        let lettered = if blanks > 0 {
            cursor.eat_word(b"at") && cursor.eat_blanks() > 0
        } else {
            cursor.eat(b'T') || cursor.eat(b't')
        };
        if blanks == 0 && !lettered {
            return None;
        }
        read_time(cursor, fields)?;
    }
    if cursor.rest.is_empty() {
        return fields.year.map(|_| ());
    }
    cursor.eat_blanks();
    if fields.year.is_none() {
        fields.offset = cursor.zone_name();
        cursor.eat_blanks();
        fields.year = Some(cursor.number(4, 4)? as i32);
    } else {
        read_zone(cursor, fields)?;
    }
    cursor.rest.is_empty().then_some(())
}

/// `10:20`, `10:20:30.5`, `9:05 PM`, `9 pm`, `102030`.
fn read_time(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    match cursor.digits() {
        1 | 2 => fields.hour = Some(cursor.number(1, 2)?),
        digits @ (4 | 6) => {
            read_compact_time(cursor, digits, fields)?;
            return Some(());
        }
        _ => return None,
    }
    let clock = cursor.eat(b':');
    if clock {
        fields.minute = cursor.number(2, 2)?;
        if cursor.eat(b':') {
            fields.second = cursor.number(2, 2)?;
            let fraction = matches!(cursor.rest, [b'.' | b',', b'0'..=b'9', ..]);
            if fraction {
                cursor.rest = &cursor.rest[1..];
                fields.micros = cursor.micros()?;
            }
        }
    }
    let before = *cursor;
    cursor.eat_blanks();
    match cursor.meridiem() {
        Some(afternoon) => fields.afternoon = Some(afternoon),
        None if clock => *cursor = before,
        None => return None,
    }
    Some(())
}

/// `Z`, `+02:00`, `GMT`, `GMT+2` is refused (POSIX reads it the other way round), `+0000 (UTC)`.
fn read_zone(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.offset = match cursor.zone_name() {
        Some(offset) => Some(offset),
        None => Some(cursor.offset()?),
    };
    let blanks = cursor.eat_blanks();
    if blanks > 0 && cursor.eat(b'(') {
        cursor.zone_name()?;
        return cursor.eat(b')').then_some(());
    }
    Some(())
}
