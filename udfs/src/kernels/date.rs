//! Dates and timestamps as people write them.
//!
//! A column's formats are compiled once; a cell is read by the first that fits it. A time without
//! an offset is taken for UTC where a timestamp is wanted.

use super::calendar::{days_of, push_date_time};
use super::cell::{CellKernel, Verdict};
use super::date_cursor::Moment;
use super::date_pattern::DatePattern;
use super::date_usual::read_usual;
use super::number::Parsed;

pub use super::calendar::{format_date, format_timestamp};
pub use super::date_pattern::DateFormatError;
pub use super::date_usual::{DateEvidence, DayMonthOrder, OrderEvidence};

/// How the dates of a column are read.
#[derive(Debug, Clone)]
pub struct DateFormats {
    patterns: Vec<DatePattern>,
    usual: Option<DayMonthOrder>,
}

impl DateFormats {
    /// Compiles formats in the language of `strftime`. Supported are `%Y %y %m %b %B %d %e %j %a %A %H %k %I %l %M %S
    /// %f %.f %p %z %:z %Z %s` and the short forms `%F %T %R %r %D %v %c`.
    ///
    /// # Errors
    /// When a specifier is unknown, a format is incomplete, or there is none.
    pub fn parse(formats: &[String]) -> Result<Self, DateFormatError> {
        if formats.is_empty() {
            return Err(DateFormatError::Empty);
        }
        let patterns = formats.iter().map(|format| DatePattern::compile(format));
        Ok(Self {
            patterns: patterns.collect::<Result<_, _>>()?,
            usual: None,
        })
    }

    /// Returns every usual notation; `order` settles `03/04/2021`, where both orders give a date. Two digits of a year
    /// are 1969 to 2068.
    pub fn usual(order: DayMonthOrder) -> Self {
        Self {
            patterns: Vec::new(),
            usual: Some(order),
        }
    }

    /// Reads a date as days since 1970-01-01; of a timestamp it is the day as written. Plain is
    /// the ISO notation `YYYY-MM-DD` only.
    pub fn parse_date(&self, text: &str) -> Option<Parsed<i32>> {
        let days = self.read(text)?.days;
        let bytes = text.as_bytes();
        let plain = bytes.len() == 10 && iso_days(bytes) == Some(days);
        Some(Parsed { value: days, plain })
    }

    /// Reads a timestamp as microseconds since 1970-01-01 UTC; a date is its midnight. Plain is
    /// the ISO notation `YYYY-MM-DDTHH:MM:SS[.ffffff][Z]`, or with a blank for the `T`.
    pub fn parse_timestamp(&self, text: &str) -> Option<Parsed<i64>> {
        let moment = self.read(text)?;
        let iso = iso_moment(text.as_bytes());
        // The same text may mean another time in the column's own format (`%Y-%d-%m`).
        let plain = moment.time_us.is_some()
            && iso.is_some_and(|iso| iso.timestamp_us() == moment.timestamp_us());
        Some(Parsed {
            value: moment.timestamp_us(),
            plain,
        })
    }

    fn read(&self, text: &str) -> Option<Moment> {
        let text = text.as_bytes();
        let text = match (text.first(), text.last()) {
            (Some(first), Some(last)) if *first > b' ' && *last > b' ' => text,
            _ => text.trim_ascii(),
        };
        let found = self.patterns.iter().find_map(|pattern| pattern.read(text));
        if found.is_some() {
            return found;
        }
        let order = self.usual?;
        if let Some(moment) = iso_moment(text) {
            return Some(moment);
        }
        read_usual(text, order).map(|(moment, _)| moment)
    }
}

/// Returns how a text can be read as a date or a timestamp; `None` if it cannot.
pub fn evidence(text: &str) -> Option<DateEvidence> {
    let text = text.as_bytes().trim_ascii();
    read_usual(text, DayMonthOrder::DayFirst).map(|(_, evidence)| evidence)
}

/// The day that ten bytes `YYYY-MM-DD` name.
fn iso_days(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else {
        return None;
    };
    let mut valid = true;
    let mut digit = |byte: &u8| {
        let digit = byte.wrapping_sub(b'0');
        valid &= digit <= 9;
        u32::from(digit)
    };
    let year = ((digit(y1) * 10 + digit(y2)) * 10 + digit(y3)) * 10 + digit(y4);
    let month = digit(m1) * 10 + digit(m2);
    let day = digit(d1) * 10 + digit(d2);
    if !valid {
        return None;
    }
    days_of(year as i32, month, day)
}

/// The moment of `YYYY-MM-DD`, alone or with `[T ]HH:MM:SS[.f…][Z]` of up to six decimals.
fn iso_moment(text: &[u8]) -> Option<Moment> {
    let (date, time) = text.split_at_checked(10)?;
    if time.is_empty() {
        return Some(Moment {
            days: iso_days(date)?,
            time_us: None,
            offset: None,
        });
    }
    let [b'T' | b' ', h1, h2, b':', m1, m2, b':', s1, s2, end @ ..] = time else {
        return None;
    };
    let pair = |tens: &u8, ones: &u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens <= 9 && ones <= 9).then_some(i64::from(tens) * 10 + i64::from(ones))
    };
    let (hour, minute, second) = (pair(h1, h2)?, pair(m1, m2)?, pair(s1, s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (end, zulu) = match end.strip_suffix(b"Z") {
        Some(end) => (end, true),
        None => (end, false),
    };
    let mut micros = 0;
    if let Some((point, decimals)) = end.split_first() {
        if *point != b'.' || !(1..=6).contains(&decimals.len()) {
            return None;
        }
        for at in 0..6 {
            let digit = decimals.get(at).map_or(0, |digit| digit.wrapping_sub(b'0'));
            if digit > 9 {
                return None;
            }
            micros = micros * 10 + i64::from(digit);
        }
    }
    Some(Moment {
        days: iso_days(date)?,
        time_us: Some((hour * 3_600 + minute * 60 + second) * 1_000_000 + micros),
        offset: zulu.then_some(0),
    })
}

/// Writes dates as `YYYY-MM-DD`, and dates with a time as `YYYY-MM-DDTHH:MM:SS[.ffffff]`: in UTC with a `Z` where the
/// text has an offset, unchanged otherwise. Relative dates such as `tomorrow` are invalid: a kernel has no clock.
#[derive(Debug, Clone)]
pub struct NormalizeDate {
    formats: DateFormats,
}

impl NormalizeDate {
    /// Creates a kernel for dates in these formats.
    pub fn new(formats: DateFormats) -> Self {
        Self { formats }
    }
}

impl CellKernel for NormalizeDate {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        let Some(moment) = self.formats.read(cell) else {
            return Verdict::Invalid;
        };
        let bytes = cell.as_bytes();
        if moment.time_us.is_none() {
            if bytes.len() == 10 && iso_days(bytes) == Some(moment.days) {
                return Verdict::Same;
            }
            format_date(moment.days, out);
            return Verdict::Changed(1.0);
        }
        match moment.offset {
            Some(_) => format_timestamp(moment.timestamp_us(), out),
            None => push_date_time(moment.timestamp_us(), out),
        }
        if out == cell {
            return Verdict::Same;
        }
        Verdict::Changed(1.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::path::Path;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn formats(formats: &[&str]) -> DateFormats {
        let formats: Vec<String> = formats.iter().map(|format| (*format).to_owned()).collect();
        DateFormats::parse(&formats).unwrap()
    }

    fn normalized(formats: &DateFormats, text: &str) -> Option<String> {
        let mut out = String::new();
        match NormalizeDate::new(formats.clone()).clean(text, &mut out) {
            Verdict::Same => Some(text.to_owned()),
            Verdict::Changed(_) => Some(out),
            Verdict::Invalid => None,
        }
    }

    #[test]
    fn given_formats() {
        for (format, text, iso) in [
            ("%Y-%m-%d", "2023-01-31", "2023-01-31"),
            ("%Y-%m-%d", " 2023-1-3 ", "2023-01-03"),
            ("%m/%d/%Y", "12/31/2023", "2023-12-31"),
            ("%d.%m.%Y", "1.2.2023", "2023-02-01"),
            ("%b %d, %Y", "Mar 4, 2021", "2021-03-04"),
            ("%b %e, %Y", "Mar  4, 2021", "2021-03-04"),
            ("%d %B %Y", "4 march 2021", "2021-03-04"),
            ("%Y%m%d", "20240229", "2024-02-29"),
            ("%y%m%d", "690101", "1969-01-01"),
            ("%d/%m/%y", "01/02/68", "2068-02-01"),
            ("%Y-%j", "2024-366", "2024-12-31"),
            ("%A, %d. %b %Y", "Thursday, 04. Mar 2021", "2021-03-04"),
            ("%Y年%m月%d日", "2021年3月4日", "2021-03-04"),
            ("%F %T", "2021-03-04 10:20:30", "2021-03-04T10:20:30"),
            ("%D %r", "03/04/21 12:00:01 AM", "2021-03-04T00:00:01"),
            ("%D %I%p", "03/04/21 12pm", "2021-03-04T12:00:00"),
            (
                "%FT%T%.f%:z",
                "2021-03-04T10:20:30.25+02:00",
                "2021-03-04T08:20:30.250000Z",
            ),
            (
                "%FT%T%.3f%z",
                "2021-03-04T00:20:30-0100",
                "2021-03-04T01:20:30Z",
            ),
            ("%s", "1614853230", "2021-03-04T10:20:30Z"),
            ("%s%.f", "-1.5", "1969-12-31T23:59:58.500000Z"),
            ("%c", "Thu Mar  4 10:20:30 2021", "2021-03-04T10:20:30"),
        ] {
            assert_eq!(
                normalized(&formats(&[format]), text).as_deref(),
                Some(iso),
                "{format}: {text}"
            );
        }
        for (format, text) in [
            ("%Y-%m-%d", "2023-02-30"),
            ("%Y-%m-%d", "2023-02-30T00:00:00"),
            ("%Y-%m-%d", "23-02-03"),
            ("%Y-%m-%d", "0000-01-01"),
            ("%Y-%m-%d", "12023-01-01"),
            ("%Y%m%d", "2024229"),
            ("%d %B %Y", "4 marches 2021"),
            ("%F %I %p", "2021-03-04 13 pm"),
            ("%F %T", "2021-03-04 24:00:00"),
            ("%Y-%m-%d", ""),
            ("%Y-%m-%d", "🙂🙂🙂"),
            ("%s", "99999999999999999999"),
        ] {
            assert_eq!(
                normalized(&formats(&[format]), text),
                None,
                "{format}: {text}"
            );
        }
        let three = formats(&["%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y"]);
        assert_eq!(
            normalized(&three, "03/04/2021").as_deref(),
            Some("2021-03-04")
        );
        assert_eq!(
            normalized(&three, "13/04/2021").as_deref(),
            Some("2021-04-13")
        );
    }

    #[test]
    fn bad_formats_are_named() {
        let error = |format: &str| {
            DateFormats::parse(&[format.to_owned()])
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error("%Y-%m-%Q"),
            "date format \"%Y-%m-%Q\": unknown specifier \"%Q\""
        );
        assert_eq!(
            error("%Y-%m-%d %"),
            "date format \"%Y-%m-%d %\": unknown specifier \"%\""
        );
        assert_eq!(
            error("%H:%M"),
            "date format \"%H:%M\" gives no date: it lacks the year"
        );
        assert_eq!(
            error("%Y-%m"),
            "date format \"%Y-%m\" gives no date: it lacks the day"
        );
        assert_eq!(error("%F %I:%M"), "date format \"%F %I:%M\": %I needs %p");
        assert_eq!(
            error("%Y%🙂"),
            "date format \"%Y%🙂\": unknown specifier \"%🙂\""
        );
    }

    #[test]
    fn usual_notations() {
        let usual = DateFormats::usual(DayMonthOrder::DayFirst);
        for (text, iso) in [
            ("2021-03-04", "2021-03-04"),
            ("2021/3/4", "2021-03-04"),
            ("2021.03.04", "2021-03-04"),
            ("2021 03 04", "2021-03-04"),
            ("20210304", "2021-03-04"),
            ("2021-063", "2021-03-04"),
            ("04/03/2021", "2021-03-04"),
            ("4.3.2021", "2021-03-04"),
            ("04-03-21", "2021-03-04"),
            ("3/25/1999", "1999-03-25"),
            ("March 4, 2021", "2021-03-04"),
            ("Mar. 4th 2021", "2021-03-04"),
            ("4th of March, 2021", "2021-03-04"),
            ("4 Sept 2021", "2021-09-04"),
            ("04-MAR-21", "2021-03-04"),
            ("4Mar2021", "2021-03-04"),
            ("2021-Mar-04", "2021-03-04"),
            ("Thursday, March 4, 2021", "2021-03-04"),
            ("16. Nov. 2016 10:38", "2016-11-16T10:38:00"),
            ("2021-03-04T10:20:30Z", "2021-03-04T10:20:30Z"),
            (
                "2021-03-04T10:20:30.123456789+01:00",
                "2021-03-04T09:20:30.123456Z",
            ),
            ("2021-03-04 10:20", "2021-03-04T10:20:00"),
            ("3/4/21, 9:05\u{202f}PM", "2021-04-03T21:05:00"),
            ("March 4, 2021 at 9 p.m.", "2021-03-04T21:00:00"),
            (
                "Thu, 04 Mar 2021 10:20:30 +0000 (UTC)",
                "2021-03-04T10:20:30Z",
            ),
            ("Thu, 4 Mar 2021 23:20:30 EST", "2021-03-05T04:20:30Z"),
            ("Thu Mar  4 10:20:30 2021", "2021-03-04T10:20:30"),
            ("20210304T102030Z", "2021-03-04T10:20:30Z"),
            ("20210304102030", "2021-03-04T10:20:30"),
        ] {
            assert_eq!(normalized(&usual, text).as_deref(), Some(iso), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "12",
            "1234",
            "12.5",
            "1.2.3",
            "192.168.1.1",
            "12345678",
            "2021-02-29",
            "31/11/2021",
            "13/13/2021",
            "March 2021",
            "2021",
            "03/04",
            "10:20:30",
            "2021-03-04T",
            "2021-03-04x",
            "2021-03-04 25:00",
            "May I come 2021",
            "555-12-3456",
            "2021-03-04 10:20 GMT+2",
            "1 234 567",
            "٢٠٢١-٠٣-٠٤",
            "4/3/2021/5",
            "2021-03-04+01:00",
        ] {
            assert_eq!(normalized(&usual, text), None, "{text}");
        }
        let american = DateFormats::usual(DayMonthOrder::MonthFirst);
        assert_eq!(
            normalized(&american, "03/04/2021").as_deref(),
            Some("2021-03-04")
        );
        assert_eq!(
            normalized(&american, "25/12/2021").as_deref(),
            Some("2021-12-25")
        );
    }

    #[test]
    fn plain_is_iso_and_nothing_else() {
        let usual = DateFormats::usual(DayMonthOrder::DayFirst);
        let date = |text| {
            usual
                .parse_date(text)
                .map(|parsed| (parsed.value, parsed.plain))
        };
        assert_eq!(date("1970-01-02"), Some((1, true)));
        assert_eq!(date("1970-1-2"), Some((1, false)));
        assert_eq!(date(" 1970-01-02"), Some((1, false)));
        assert_eq!(date("1970-01-02T10:00:00"), Some((1, false)));
        let odd = formats(&["%Y-%d-%m"]);
        assert_eq!(
            odd.parse_date("1970-02-01").map(|p| (p.value, p.plain)),
            Some((1, false))
        );
        let time = |text| {
            usual
                .parse_timestamp(text)
                .map(|parsed| (parsed.value, parsed.plain))
        };
        assert_eq!(time("1970-01-01T00:00:01.5Z"), Some((1_500_000, true)));
        assert_eq!(time("1970-01-01 00:00:01"), Some((1_000_000, true)));
        assert_eq!(time("1970-01-01T00:00:01+00:00"), Some((1_000_000, false)));
        assert_eq!(time("1970-01-02"), Some((86_400_000_000, false)));
    }

    #[test]
    fn evidence_of_the_order() {
        use OrderEvidence::{DayFirst, Either, MonthFirst, NotApplicable};
        let order = |text| evidence(text).map(|evidence| evidence.order);
        assert_eq!(order("25/12/2021"), Some(DayFirst));
        assert_eq!(order("12/25/2021 10:00"), Some(MonthFirst));
        assert_eq!(order("03.04.21"), Some(Either));
        assert_eq!(order("2021-04-03"), Some(NotApplicable));
        assert_eq!(order("3 April 2021"), Some(NotApplicable));
        assert_eq!(order("hello"), None);
        assert!(evidence("20210304").unwrap().digits_only);
        assert!(evidence("3/4/2021 10:00").unwrap().has_time);
    }

    /// Real dates of Recognizers-Text that need no clock: no cell is read wrong.
    #[test]
    fn recognizers_text_dates() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../shared/data/norm_recognizers_text/DateTime/English");
        if !folder.exists() {
            println!("skipped: {} is missing", folder.display());
            return;
        }
        let usual = DateFormats::usual(DayMonthOrder::MonthFirst);
        let (mut right, mut wrong, mut refused) = (0, 0, 0);
        for (file, field) in [
            ("DateParser.json", "date"),
            ("DateTimeParser.json", "dateTime"),
        ] {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            let cases: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap();
            for result in cases
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|case| case["Results"].get(0))
            {
                // The expression alone, as a cell; the year must be in it.
                let cell = result["Text"].as_str().unwrap();
                let value = &result["Value"];
                let timex = value["Timex"].as_str().unwrap_or_default();
                if !timex.starts_with(|c: char| c.is_ascii_digit()) || !cell.contains(&timex[2..4])
                {
                    continue;
                }
                let expected = value["FutureResolution"][field]
                    .as_str()
                    .unwrap()
                    .replace(' ', "T");
                match normalized(&usual, cell) {
                    Some(iso) if iso.trim_end_matches('Z') == expected => right += 1,
                    Some(iso) => {
                        wrong += 1;
                        println!("wrong: {cell:?} read as {iso}, is {expected}");
                    }
                    None => {
                        refused += 1;
                        println!("refused: {cell:?}");
                    }
                }
            }
        }
        println!("dates: {right} right, {wrong} wrong, {refused} refused");
        assert!(right >= 25 && wrong == 0, "{right} right, {wrong} wrong");
    }

    proptest! {
        /// Any text is read or refused, and what is written stays as it is.
        #[test]
        fn no_text_panics_and_clean_text_is_stable(text in "[0-9]{1,4}[-/. :T][0-9A-Zm]{1,4}[-/. ,][0-9]{1,4}.{0,16}|\\PC{0,40}") {
            let usual = DateFormats::usual(DayMonthOrder::DayFirst);
            let _ = (usual.parse_date(&text), usual.parse_timestamp(&text), evidence(&text));
            let _ = DateFormats::parse(std::slice::from_ref(&text));
            if let Some(iso) = normalized(&usual, &text) {
                prop_assert_eq!(normalized(&usual, &iso), Some(iso.clone()), "{}", text);
            }
        }

        /// Every microsecond of four-digit years is written and read back.
        #[test]
        fn timestamps_read_back(us in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            let mut text = String::new();
            format_timestamp(us, &mut text);
            let usual = DateFormats::usual(DayMonthOrder::DayFirst);
            prop_assert_eq!(usual.parse_timestamp(&text), Some(Parsed::plain(us)), "{}", text);
        }
    }
}
