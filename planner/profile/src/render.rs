//! Values as text, as reports show them.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Days, NaiveDate};

/// Returns the value of a row as text: dates and timestamps as ISO 8601 has them (`2024-01-31`,
/// `2024-01-31T23:59:59.5Z` where the time zone is UTC), floats with as few digits as give the same value back,
/// decimals with all digits of their scale. Empty for a missing value and for a row that is not there.
pub fn render_value(array: &dyn Array, row: usize) -> String {
    if row >= array.len() || array.is_null(row) {
        return String::new();
    }
    rendered(array, row).unwrap_or_else(|| formatted(array, row))
}

fn rendered(array: &dyn Array, row: usize) -> Option<String> {
    Some(match array.data_type() {
        DataType::Utf8View => array.as_string_view_opt()?.value(row).to_owned(),
        DataType::Int64 => array
            .as_primitive_opt::<Int64Type>()?
            .value(row)
            .to_string(),
        DataType::Float64 => render_float(array.as_primitive_opt::<Float64Type>()?.value(row)),
        DataType::Boolean => array.as_boolean_opt()?.value(row).to_string(),
        DataType::Date32 => render_date(array.as_primitive_opt::<Date32Type>()?.value(row).into()),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let value = array
                .as_primitive_opt::<TimestampMicrosecondType>()?
                .value(row);
            render_timestamp(value, zone.is_some())
        }
        DataType::Decimal128(_, scale) => render_decimal(
            array.as_primitive_opt::<Decimal128Type>()?.value(row),
            *scale,
        ),
        _ => return None,
    })
}

/// Types that no column of a job has. Arrow's own text of a timestamp of microseconds is the same
/// but for the digits of a fraction, of which it writes three, six or nine.
fn formatted(array: &dyn Array, row: usize) -> String {
    let options = FormatOptions::default();
    ArrayFormatter::try_new(array, &options)
        .map(|formatter| formatter.value(row).to_string())
        .unwrap_or_default()
}

/// Returns the shortest text that reads back as the value; very large and very small ones with an exponent.
pub(crate) fn render_float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-5..1e16).contains(&size) && value.is_finite() {
        return format!("{value:e}");
    }
    // The trait for debugging writes `1.0` where the one for display writes `1`.
    format!("{value:?}")
}

/// Returns a day as `2024-01-31`, from its number of days since 1970.
pub(crate) fn render_date(days: i64) -> String {
    let epoch = NaiveDate::default();
    let distance = Days::new(days.unsigned_abs());
    let date = if days < 0 {
        epoch.checked_sub_days(distance)
    } else {
        epoch.checked_add_days(distance)
    };
    date.map_or_else(
        || format!("{days} days since 1970-01-01"),
        |date| date.format("%Y-%m-%d").to_string(),
    )
}

/// Returns a moment as `2024-01-31T23:59:59`, from its microseconds since 1970; with a fraction where it has one and a
/// `Z` where it is in UTC.
pub(crate) fn render_timestamp(micros: i64, utc: bool) -> String {
    let Some(moment) = DateTime::from_timestamp_micros(micros) else {
        return format!("{micros} microseconds since 1970-01-01");
    };
    let mut text = moment.format("%Y-%m-%dT%H:%M:%S").to_string();
    let fraction = micros.rem_euclid(1_000_000);
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    if utc {
        text.push('Z');
    }
    text
}

/// Returns a decimal with all digits of its scale.
pub(crate) fn render_decimal(value: i128, scale: i8) -> String {
    let places = usize::from(scale.unsigned_abs());
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    if scale <= 0 {
        let zeros = if value == 0 { 0 } else { places };
        return format!("{sign}{digits}{}", "0".repeat(zeros));
    }
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    format!("{sign}{whole}.{fraction}")
}

/// Maximum number of characters of a value in a profile.
const SHOWN: usize = 120;

/// Returns a text as a profile shows it: cut, where it is long.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// [`render_value`] of an array behind a pointer, shortened.
pub(crate) fn show_value(array: &ArrayRef, row: usize) -> String {
    if let Some(texts) = array.as_string_view_opt()
        && texts.is_valid(row)
    {
        return shorten(texts.value(row));
    }
    shorten(&render_value(array.as_ref(), row))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringViewArray,
        TimestampMicrosecondArray,
    };

    use super::*;

    #[test]
    fn every_type_in_its_notation() {
        let decimals =
            Decimal128Array::from(vec![-5, 12_345]).with_data_type(DataType::Decimal128(10, 3));
        let moments = TimestampMicrosecondArray::from(vec![-1, 1_706_745_599_500_000]);
        let cases: Vec<(ArrayRef, [&str; 2])> = vec![
            (
                Arc::new(Int64Array::from(vec![-7, i64::MAX])),
                ["-7", "9223372036854775807"],
            ),
            (
                Arc::new(Float64Array::from(vec![0.1, 1e300])),
                ["0.1", "1e300"],
            ),
            (
                Arc::new(Float64Array::from(vec![3.0, f64::NAN])),
                ["3.0", "NaN"],
            ),
            (Arc::new(decimals), ["-0.005", "12.345"]),
            (
                Arc::new(BooleanArray::from(vec![true, false])),
                ["true", "false"],
            ),
            (
                Arc::new(Date32Array::from(vec![-1, 19_753])),
                ["1969-12-31", "2024-01-31"],
            ),
            (
                Arc::new(moments.clone()),
                ["1969-12-31T23:59:59.999999", "2024-01-31T23:59:59.5"],
            ),
            (
                Arc::new(moments.with_timezone("UTC")),
                ["1969-12-31T23:59:59.999999Z", "2024-01-31T23:59:59.5Z"],
            ),
            (
                Arc::new(StringViewArray::from(vec![Some("é"), None])),
                ["é", ""],
            ),
        ];
        for (array, texts) in cases {
            let seen = [render_value(&array, 0), render_value(&array, 1)];
            assert_eq!(seen, texts.map(str::to_owned));
        }
        assert_eq!(render_value(&Date32Array::from(vec![i32::MAX]), 1), "");
        assert!(!render_value(&Date32Array::from(vec![i32::MAX]), 0).is_empty());
        assert!(!render_value(&TimestampMicrosecondArray::from(vec![i64::MIN]), 0).is_empty());
        assert_eq!(render_decimal(i128::MIN, -2), format!("{}00", i128::MIN));
    }
}
