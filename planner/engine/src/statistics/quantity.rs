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
pub enum Quantity {
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
    pub fn number(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// The middle between two values; of whole ones rounded to the nearest, ties to the even one.
    fn middle(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => Self::Whole(divide_even(left + right, 2)),
            (left, right) => Self::Float(left.number() / 2.0 + right.number() / 2.0),
        }
    }
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

/// The present values of `array` that are `wanted`, with their row numbers, in row order.
pub fn quantities(
    array: &ArrayRef,
    wanted: impl Fn(&Quantity) -> bool,
) -> Result<Vec<(usize, Quantity)>> {
    fn collect<T: Copy>(
        values: &[T],
        array: &ArrayRef,
        wanted: impl Fn(&Quantity) -> bool,
        quantity: impl Fn(T) -> Quantity,
    ) -> Vec<(usize, Quantity)> {
        let values = values.iter().map(|value| quantity(*value)).enumerate();
        values
            .filter(|(row, value)| wanted(value) && array.is_valid(*row))
            .collect()
    }
    let whole = |value: i64| Quantity::Whole(value.into());
    Ok(match array.data_type() {
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().values();
            collect(values, array, wanted, whole)
        }
        DataType::Timestamp(..) => {
            let values = array.as_primitive::<TimestampMicrosecondType>().values();
            collect(values, array, wanted, whole)
        }
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>().values();
            collect(values, array, wanted, |days| Quantity::Whole(days.into()))
        }
        DataType::Decimal128(..) => {
            let values = array.as_primitive::<Decimal128Type>().values();
            collect(values, array, wanted, Quantity::Whole)
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            collect(values, array, wanted, Quantity::Float)
        }
        _ => return Err(Error::Bug("a column that is no quantity")),
    })
}

/// An array of one value, of the type of the column it came from.
pub fn quantity_array(value: Quantity, data_type: &DataType) -> Result<ArrayRef> {
    let out_of_range = Error::Bug("a figure outside the range of its column");
    let array: ArrayRef = match (value, data_type) {
        (Quantity::Float(value), DataType::Float64) => Arc::new(Float64Array::from(vec![value])),
        (Quantity::Whole(value), DataType::Int64) => Arc::new(Int64Array::from(vec![
            i64::try_from(value).map_err(|_| out_of_range)?,
        ])),
        (Quantity::Whole(value), DataType::Date32) => Arc::new(Date32Array::from(vec![
            i32::try_from(value).map_err(|_| out_of_range)?,
        ])),
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

/// A value as the sums work on it: with the order of its column, as small as it can be.
pub(super) trait Measure: Copy + Ord {
    /// The value as a float; decimals unscaled.
    fn number(self) -> f64;
    /// The value as a quantity.
    fn quantity(self) -> Quantity;
}

impl Measure for i64 {
    fn number(self) -> f64 {
        self as f64
    }
    fn quantity(self) -> Quantity {
        Quantity::Whole(self.into())
    }
}

impl Measure for i128 {
    fn number(self) -> f64 {
        self as f64
    }
    fn quantity(self) -> Quantity {
        Quantity::Whole(self)
    }
}

/// A float in the total order of IEEE 754.
#[derive(Debug, Clone, Copy)]
pub(super) struct TotalFloat(pub(super) f64);

impl PartialEq for TotalFloat {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for TotalFloat {}

impl PartialOrd for TotalFloat {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TotalFloat {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Measure for TotalFloat {
    fn number(self) -> f64 {
        self.0
    }
    fn quantity(self) -> Quantity {
        Quantity::Float(self.0)
    }
}

/// The middle of values, which are brought into another order.
pub(super) fn median<M: Measure>(values: &mut [M]) -> Option<Quantity> {
    if values.is_empty() {
        return None;
    }
    let (half, even) = (values.len() / 2, values.len().is_multiple_of(2));
    let (below, middle, _) = values.select_nth_unstable(half);
    let middle = middle.quantity();
    let lower = below.iter().max().filter(|_| even);
    Some(lower.map_or(middle, |lower| lower.quantity().middle(middle)))
}

/// The arithmetic mean of values in a fixed order; of whole ones rounded to the nearest, ties to
/// the even one. None when there are no values, or their sum has no room.
pub(super) fn mean<M: Measure>(values: &[M]) -> Option<Quantity> {
    let count = i128::try_from(values.len())
        .ok()
        .filter(|count| *count > 0)?;
    match values.first()?.quantity() {
        Quantity::Whole(_) => {
            let sum = values
                .iter()
                .try_fold(0i128, |sum, value| match value.quantity() {
                    Quantity::Whole(value) => sum.checked_add(value),
                    Quantity::Float(_) => None,
                });
            sum.map(|sum| Quantity::Whole(divide_even(sum, count)))
        }
        Quantity::Float(_) => Some(Quantity::Float(pairwise_sum(values) / count as f64)),
    }
}

/// Pairwise summation: the error grows with the logarithm of the count (Higham 1993).
fn pairwise_sum<M: Measure>(values: &[M]) -> f64 {
    if values.len() <= 64 {
        return values.iter().map(|value| value.number()).sum();
    }
    let (left, right) = values.split_at(values.len() / 2);
    pairwise_sum(left) + pairwise_sum(right)
}
