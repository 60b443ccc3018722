//! Numbers, dates and moments under one roof: an order, a middle, a distance.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};

use crate::error::{Error, Result};

/// A value with an order and a middle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Quantity {
    /// Integers, unscaled decimals, days, microseconds.
    Whole(i128),
    /// Floats.
    Float(f64),
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => left.cmp(right),
            (left, right) => left.number().total_cmp(&right.number()),
        }
    }
}

impl Quantity {
    /// The value as a float; decimals unscaled.
    pub(crate) fn number(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// The middle between two values; of whole ones rounded to the nearest, ties to the even one.
    pub(crate) fn middle(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => Self::Whole(divide_even(left + right, 2)),
            (left, right) => Self::Float(left.number() / 2.0 + right.number() / 2.0),
        }
    }

    /// The arithmetic mean of values in a fixed order; of whole ones rounded as in [`Self::middle`].
    pub(crate) fn mean(values: &[Self]) -> Option<Self> {
        let count = i128::try_from(values.len()).ok().filter(|count| *count > 0)?;
        match values.first()? {
            Self::Whole(_) => {
                let sum = values.iter().try_fold(0i128, |sum, value| match value {
                    Self::Whole(value) => sum.checked_add(*value),
                    Self::Float(_) => None,
                });
                sum.map(|sum| Self::Whole(divide_even(sum, count)))
            }
            Self::Float(_) => Some(Self::Float(pairwise_sum(values) / count as f64)),
        }
    }
}

/// Pairwise summation: the error grows with the logarithm of the count (Higham 1993).
fn pairwise_sum(values: &[Quantity]) -> f64 {
    if values.len() <= 64 {
        return values.iter().map(|value| value.number()).sum();
    }
    let (left, right) = values.split_at(values.len() / 2);
    pairwise_sum(left) + pairwise_sum(right)
}

/// `dividend / divisor` to the nearest, ties to the even one; `divisor` is positive.
fn divide_even(dividend: i128, divisor: i128) -> i128 {
    let quotient = dividend.div_euclid(divisor);
    let twice = dividend.rem_euclid(divisor) * 2;
    match twice.cmp(&divisor) {
        Ordering::Less => quotient,
        Ordering::Greater => quotient + 1,
        Ordering::Equal => quotient + (quotient & 1),
    }
}

/// The present values of `array` with their row numbers, in row order.
pub(crate) fn quantities(array: &ArrayRef) -> Result<Vec<(usize, Quantity)>> {
    fn collect<T: Copy>(
        values: &[T],
        array: &ArrayRef,
        quantity: impl Fn(T) -> Quantity,
    ) -> Vec<(usize, Quantity)> {
        let present = values.iter().enumerate().filter(|(row, _)| array.is_valid(*row));
        present.map(|(row, value)| (row, quantity(*value))).collect()
    }
    let whole = |value: i64| Quantity::Whole(value.into());
    Ok(match array.data_type() {
        DataType::Int64 => collect(array.as_primitive::<Int64Type>().values(), array, whole),
        DataType::Timestamp(..) => {
            collect(array.as_primitive::<TimestampMicrosecondType>().values(), array, whole)
        }
        DataType::Date32 => collect(array.as_primitive::<Date32Type>().values(), array, |days| {
            Quantity::Whole(days.into())
        }),
        DataType::Decimal128(..) => {
            collect(array.as_primitive::<Decimal128Type>().values(), array, Quantity::Whole)
        }
        DataType::Float64 => {
            collect(array.as_primitive::<Float64Type>().values(), array, Quantity::Float)
        }
        _ => return Err(Error::Bug("a column that is no quantity")),
    })
}

/// An array of one value, of the type of the column it came from.
pub(crate) fn quantity_array(value: Quantity, data_type: &DataType) -> Result<ArrayRef> {
    let out_of_range = Error::Bug("a figure outside the range of its column");
    let array: ArrayRef = match (value, data_type) {
        (Quantity::Float(value), DataType::Float64) => Arc::new(Float64Array::from(vec![value])),
        (Quantity::Whole(value), DataType::Int64) => {
            Arc::new(Int64Array::from(vec![i64::try_from(value).map_err(|_| out_of_range)?]))
        }
        (Quantity::Whole(value), DataType::Date32) => {
            Arc::new(Date32Array::from(vec![i32::try_from(value).map_err(|_| out_of_range)?]))
        }
        (Quantity::Whole(value), DataType::Timestamp(_, zone)) => {
            let value = i64::try_from(value).map_err(|_| out_of_range)?;
            Arc::new(TimestampMicrosecondArray::from(vec![value]).with_timezone_opt(zone.clone()))
        }
        (Quantity::Whole(value), DataType::Decimal128(precision, scale)) => Arc::new(
            Decimal128Array::from(vec![value]).with_precision_and_scale(*precision, *scale)?,
        ),
        _ => return Err(out_of_range),
    };
    Ok(array)
}
