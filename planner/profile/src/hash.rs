//! Hashes of the values of a column, to count different ones.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use xxhash_rust::xxh3::xxh3_64;

use super::sample::mix;

/// Returns the hash of a text.
#[inline]
pub fn hash_text(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// Passes the hash of every value of `array` to `take`, in row order; missing values are skipped.
pub fn hash_values(array: &ArrayRef, mut take: impl FnMut(u64)) {
    match array.data_type() {
        DataType::Utf8View => {
            if let Some(texts) = array.as_string_view_opt() {
                texts
                    .iter()
                    .flatten()
                    .for_each(|text| take(hash_text(text)));
            }
        }
        DataType::Int64 => primitives::<Int64Type>(array, |value| take(mix(value as u64))),
        DataType::Date32 => primitives::<Date32Type>(array, |value| take(mix(value as u64))),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            primitives::<TimestampMicrosecondType>(array, |value| take(mix(value as u64)));
        }
        DataType::Float64 => {
            // Adding zero makes the two zeros one value.
            primitives::<Float64Type>(array, |value| take(mix((value + 0.0).to_bits())));
        }
        DataType::Decimal128(..) => primitives::<Decimal128Type>(array, |value| {
            take(mix(value as u64 ^ mix((value >> 64) as u64)));
        }),
        DataType::Boolean => {
            if let Some(values) = array.as_boolean_opt() {
                values
                    .iter()
                    .flatten()
                    .for_each(|value| take(mix(u64::from(value))));
            }
        }
        _ => formatted(array, take),
    }
}

fn primitives<T: ArrowPrimitiveType>(array: &ArrayRef, mut take: impl FnMut(T::Native)) {
    let Some(values) = array.as_primitive_opt::<T>() else {
        return;
    };
    if values.null_count() == 0 {
        values.values().iter().for_each(|value| take(*value));
    } else {
        values.iter().flatten().for_each(take);
    }
}

/// Types that no job has but a source may: by their text.
fn formatted(array: &ArrayRef, mut take: impl FnMut(u64)) {
    let options = FormatOptions::default();
    if let Ok(formatter) = ArrayFormatter::try_new(array.as_ref(), &options) {
        let valid = (0..array.len()).filter(|row| array.is_valid(*row));
        valid.for_each(|row| take(hash_text(&formatter.value(row).to_string())));
    }
}
