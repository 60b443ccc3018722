//! Smallest and largest values, exact, over whole arrays at once.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::{max, min};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};

use serde::{Deserialize, Serialize};

use super::render::{render_date, render_decimal, render_float, render_timestamp};

/// A float by its bits: JSON has no infinity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub(super) struct Bits(f64);

impl From<u64> for Bits {
    fn from(bits: u64) -> Self {
        Self(f64::from_bits(bits))
    }
}

impl From<Bits> for u64 {
    fn from(bits: Bits) -> Self {
        bits.0.to_bits()
    }
}

/// The smallest and the largest value of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Extremes {
    /// No value so far, or a type without an order that is worth showing.
    #[default]
    None,
    /// Integers, days, microseconds.
    Integers(i64, i64),
    Floats(Bits, Bits),
    Decimals(i128, i128),
}

impl Extremes {
    /// Returns the extremes of an array.
    pub(super) fn of(array: &ArrayRef) -> Self {
        let found = match array.data_type() {
            DataType::Int64 => array.as_primitive_opt::<Int64Type>().and_then(integers),
            DataType::Timestamp(TimeUnit::Microsecond, _) => array
                .as_primitive_opt::<TimestampMicrosecondType>()
                .and_then(integers),
            DataType::Date32 => array
                .as_primitive_opt::<Date32Type>()
                .and_then(|days| Some(Self::Integers(min(days)?.into(), max(days)?.into()))),
            DataType::Float64 => array.as_primitive_opt::<Float64Type>().and_then(floats),
            DataType::Decimal128(..) => array
                .as_primitive_opt::<Decimal128Type>()
                .and_then(|values| Some(Self::Decimals(min(values)?, max(values)?))),
            _ => None,
        };
        found.unwrap_or_default()
    }

    /// The extremes of both.
    pub(super) fn merge(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::None, any) | (any, Self::None) => any,
            (Self::Integers(a, b), Self::Integers(c, d)) => Self::Integers(a.min(c), b.max(d)),
            (Self::Floats(a, b), Self::Floats(c, d)) => {
                Self::Floats(Bits(a.0.min(c.0)), Bits(b.0.max(d.0)))
            }
            (Self::Decimals(a, b), Self::Decimals(c, d)) => Self::Decimals(a.min(c), b.max(d)),
            (mine, _) => mine,
        };
    }

    /// Both as text, for a column of this type.
    pub(super) fn render(&self, data_type: &DataType) -> Option<(String, String)> {
        let integer = |value: i64| match data_type {
            DataType::Date32 => render_date(value),
            DataType::Timestamp(_, zone) => render_timestamp(value, zone.is_some()),
            _ => value.to_string(),
        };
        match (self, data_type) {
            (Self::Integers(least, most), _) => Some((integer(*least), integer(*most))),
            (Self::Floats(least, most), _) => Some((render_float(least.0), render_float(most.0))),
            (Self::Decimals(least, most), DataType::Decimal128(_, scale)) => Some((
                render_decimal(*least, *scale),
                render_decimal(*most, *scale),
            )),
            _ => None,
        }
    }
}

fn integers<T>(array: &PrimitiveArray<T>) -> Option<Extremes>
where
    T: arrow::array::ArrowPrimitiveType<Native = i64>,
{
    Some(Extremes::Integers(min(array)?, max(array)?))
}

fn floats(array: &PrimitiveArray<Float64Type>) -> Option<Extremes> {
    let (mut least, mut most) = (min(array)?, max(array)?);
    // In the total order NaN stands outside of all numbers; it is no extreme here.
    if least.is_nan() || most.is_nan() {
        let numbers = || array.iter().flatten().filter(|value| !value.is_nan());
        least = numbers().reduce(f64::min)?;
        most = numbers().reduce(f64::max)?;
    }
    // Adding zero makes the two zeros one value, so that the order of rows cannot show.
    Some(Extremes::Floats(Bits(least + 0.0), Bits(most + 0.0)))
}
