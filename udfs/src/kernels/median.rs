//! The middle of the values of an array.
//!
//! The definition is that of the step `impute`: of an even number of values the middle between the
//! two in the middle, for whole ones (integers, unscaled decimals, days, moments) rounded to the
//! nearest and ties to the even one; floats in the total order of IEEE 754.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;

/// Returns whether values of this type have a middle: numbers, dates, times, moments and durations. Of the decimals
/// those of 256 bits have none here.
pub fn has_median(data_type: &DataType) -> bool {
    use DataType::{Date32, Date64, Decimal32, Decimal64, Decimal128, Float32, Float64};
    data_type.is_integer()
        || matches!(
            data_type,
            Decimal32(..) | Decimal64(..) | Decimal128(..) | Float32 | Float64 | Date32 | Date64
        )
        || matches!(
            data_type,
            DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Timestamp(..)
                | DataType::Duration(_)
        )
}

/// Returns the median of the present values, as an array of one value of the same type; `None` when no value is
/// present.
///
/// # Errors
/// When the type has no median ([`has_median`]).
pub fn median(array: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    macro_rules! whole {
        ($type:ty) => {
            one_value::<$type>(array, whole_median)
        };
    }
    match array.data_type() {
        DataType::Int8 => whole!(Int8Type),
        DataType::Int16 => whole!(Int16Type),
        DataType::Int32 => whole!(Int32Type),
        DataType::Int64 => whole!(Int64Type),
        DataType::UInt8 => whole!(UInt8Type),
        DataType::UInt16 => whole!(UInt16Type),
        DataType::UInt32 => whole!(UInt32Type),
        DataType::UInt64 => whole!(UInt64Type),
        DataType::Decimal32(..) => whole!(Decimal32Type),
        DataType::Decimal64(..) => whole!(Decimal64Type),
        DataType::Decimal128(..) => whole!(Decimal128Type),
        DataType::Date32 => whole!(Date32Type),
        // A date of 64 bits is a number of whole days, given in milliseconds.
        DataType::Date64 => {
            let median = median(&cast(array, &DataType::Date32)?)?;
            median
                .map(|median| cast(&median, &DataType::Date64))
                .transpose()
        }
        DataType::Time32(TimeUnit::Second) => whole!(Time32SecondType),
        DataType::Time32(_) => whole!(Time32MillisecondType),
        DataType::Time64(TimeUnit::Microsecond) => whole!(Time64MicrosecondType),
        DataType::Time64(_) => whole!(Time64NanosecondType),
        DataType::Timestamp(TimeUnit::Second, _) => whole!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => whole!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => whole!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => whole!(TimestampNanosecondType),
        DataType::Duration(TimeUnit::Second) => whole!(DurationSecondType),
        DataType::Duration(TimeUnit::Millisecond) => whole!(DurationMillisecondType),
        DataType::Duration(TimeUnit::Microsecond) => whole!(DurationMicrosecondType),
        DataType::Duration(TimeUnit::Nanosecond) => whole!(DurationNanosecondType),
        DataType::Float64 => one_value::<Float64Type>(array, float_median),
        DataType::Float32 => one_value::<Float32Type>(array, |values| {
            let mut values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
            float_median(&mut values).map(|median| median as f32)
        }),
        other => Err(ArrowError::InvalidArgumentError(format!(
            "values of type {other} have no median"
        ))),
    }
}

/// What `median` makes of the present values, as an array like the one they came from.
fn one_value<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    median: impl FnOnce(&mut [T::Native]) -> Option<T::Native>,
) -> Result<Option<ArrayRef>, ArrowError> {
    let array = array.as_primitive_opt::<T>().ok_or_else(|| {
        ArrowError::InvalidArgumentError("the array has another type than it declares".to_owned())
    })?;
    let mut values: Vec<T::Native> = array.iter().flatten().collect();
    Ok(median(&mut values).map(|value| {
        let median = PrimitiveArray::<T>::from_iter_values([value]);
        Arc::new(median.with_data_type(array.data_type().clone())) as ArrayRef
    }))
}

fn whole_median<N: Copy + Ord + Into<i128> + TryFrom<i128>>(values: &mut [N]) -> Option<N> {
    let (lower, upper) = middle_two(values, Ord::cmp)?;
    N::try_from(whole_middle(lower.into(), upper.into())).ok()
}

/// Returns the midpoint of two numbers, rounding half to even; their sum may overflow.
fn whole_middle(left: i128, right: i128) -> i128 {
    let differing = left ^ right;
    let floor = (left & right) + (differing >> 1);
    floor + (differing & floor & 1)
}

fn float_median(values: &mut [f64]) -> Option<f64> {
    let (lower, upper) = middle_two(values, f64::total_cmp)?;
    // Halves first: the sum of two floats may have no room.
    Some(if lower.to_bits() == upper.to_bits() {
        lower
    } else {
        lower / 2.0 + upper / 2.0
    })
}

/// The two values in the middle, the same one twice of an odd number; brings them into another order.
fn middle_two<N: Copy>(values: &mut [N], order: impl Fn(&N, &N) -> Ordering) -> Option<(N, N)> {
    if values.is_empty() {
        return None;
    }
    let (half, even) = (values.len() / 2, values.len().is_multiple_of(2));
    let (below, upper, _) = values.select_nth_unstable_by(half, &order);
    let upper = *upper;
    let lower = below.iter().copied().max_by(&order).filter(|_| even);
    Some((lower.unwrap_or(upper), upper))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use arrow::array::{Int64Array, StringViewArray};
    use arrow::util::display::array_value_to_string;
    use proptest::prelude::*;

    use super::*;

    /// The median of texts that are read as values of a type, as text.
    fn median_of(cells: &[Option<&str>], data_type: &DataType) -> Option<String> {
        let cells: ArrayRef = Arc::new(StringViewArray::from(cells.to_vec()));
        let values = cast(&cells, data_type).unwrap();
        assert_eq!(values.null_count(), cells.null_count());
        assert!(has_median(data_type), "{data_type}");
        let median = median(&values).unwrap()?;
        assert_eq!(median.data_type(), data_type);
        Some(array_value_to_string(&median, 0).unwrap())
    }

    /// Medians of every kind of type, of odd and even numbers of values, between nulls.
    #[test]
    fn medians() {
        use DataType::*;
        let second = Timestamp(TimeUnit::Second, None);
        let berlin = Timestamp(TimeUnit::Microsecond, Some("+01:00".into()));
        let cases: &[(DataType, &[&str], &str)] = &[
            (Int64, &["3", "1", "2"], "2"),
            (Int64, &["1", "2"], "2"),
            (Int64, &["2", "3"], "2"),
            (Int64, &["-1", "-2"], "-2"),
            (Int64, &["-1", "0"], "0"),
            (Int8, &["127", "126"], "126"),
            (
                UInt64,
                &["18446744073709551615", "18446744073709551613"],
                "18446744073709551614",
            ),
            (Float64, &["1", "2"], "1.5"),
            (Float64, &["1.7e308", "1.7e308"], "1.7e308"),
            (Float64, &["5e-324", "5e-324"], "5e-324"),
            (Float64, &["1", "NaN", "2"], "2.0"),
            (Float32, &["1", "2"], "1.5"),
            (Decimal128(6, 2), &["1.00", "1.03"], "1.02"),
            (Decimal128(6, 2), &["1.00", "1.01"], "1.00"),
            (
                Decimal128(38, 0),
                &[
                    "99999999999999999999999999999999999999",
                    "99999999999999999999999999999999999997",
                ],
                "99999999999999999999999999999999999998",
            ),
            (Decimal32(6, 2), &["1.00"], "1.00"),
            (Date32, &["2021-01-01", "2021-01-04"], "2021-01-03"),
            (Date64, &["2021-01-01", "2021-01-04"], "2021-01-03T00:00:00"),
            (
                second,
                &["2021-01-01T00:00:00", "2021-01-01T00:00:02"],
                "2021-01-01T00:00:01",
            ),
            (
                berlin,
                &["2021-01-01T00:00:00+01:00"],
                "2021-01-01T00:00:00+01:00",
            ),
            (
                Time64(TimeUnit::Microsecond),
                &["08:00:00", "09:00:00"],
                "08:30:00",
            ),
        ];
        for (data_type, cells, want) in cases {
            let cells: Vec<Option<&str>> = cells.iter().map(|cell| Some(*cell)).collect();
            let with_nulls = [&[None], &cells[..], &[None]].concat();
            for cells in [cells, with_nulls] {
                let median = median_of(&cells, data_type);
                assert_eq!(median.as_deref(), Some(*want), "{data_type} {cells:?}");
            }
        }
        assert_eq!(median_of(&[None, None], &Int64), None);
        assert_eq!(median_of(&[], &Float64), None);
        assert!(!has_median(&Utf8View) && !has_median(&Boolean));
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["a"]));
        assert!(median(&texts).is_err());
    }

    proptest! {
        /// The median by sorting, of whole numbers and of floats.
        #[test]
        fn by_sorting(mut values in prop::collection::vec(-50i64..50, 1..30)) {
            let array: ArrayRef = Arc::new(Int64Array::from(values.clone()));
            let found = median(&array).unwrap().unwrap();
            let floats = median(&cast(&array, &DataType::Float64).unwrap()).unwrap().unwrap();
            values.sort_unstable();
            let half = values.len() / 2;
            let twice = if values.len() % 2 == 0 {
                values[half - 1] + values[half]
            } else {
                2 * values[half]
            };
            let exact = twice as f64 / 2.0;
            prop_assert_eq!(found.as_primitive::<Int64Type>().value(0), exact.round_ties_even() as i64);
            prop_assert_eq!(floats.as_primitive::<Float64Type>().value(0), exact);
        }

        /// The middle of two numbers is the rounded half of their sum.
        #[test]
        fn whole_middles(left in -1_000_000i128..1_000_000, right in -1_000_000i128..1_000_000) {
            let exact = (left + right) as f64 / 2.0;
            prop_assert_eq!(whole_middle(left, right), exact.round_ties_even() as i128);
        }
    }
}
