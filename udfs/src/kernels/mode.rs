//! The most frequent of the values of arrays; of equally frequent ones the smallest.
//!
//! This is the definition of the step `impute`. Values are counted in Arrow's row format, whose
//! bytes have the order of the values: numbers by size, floats in the total order of IEEE 754, texts
//! byte by byte, `false` before `true`. Counts of parts add up to the counts of the whole.

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::is_not_null;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use hashbrown::HashMap;

/// How often each value occurs; nulls are not counted.
#[derive(Debug)]
pub struct ValueCounts {
    converter: RowConverter,
    counts: HashMap<Box<[u8]>, u64, foldhash::fast::RandomState>,
    /// Bytes of the values.
    bytes: usize,
}

impl ValueCounts {
    /// Creates an empty counter of this type.
    ///
    /// # Errors
    /// When the type has no order.
    pub fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        Ok(Self {
            converter: RowConverter::new(vec![SortField::new(data_type.clone())])?,
            counts: HashMap::default(),
            bytes: 0,
        })
    }

    /// Counts each present value of `array` once.
    ///
    /// # Errors
    /// When `array` is of another type.
    pub fn add(&mut self, array: &ArrayRef) -> Result<(), ArrowError> {
        self.add_times(array, |_| 1)
    }

    /// Counts each present value of `array` as often as `counts` has beside it.
    ///
    /// # Errors
    /// When `array` is of another type, or the lengths differ.
    pub fn add_counts(&mut self, array: &ArrayRef, counts: &UInt64Array) -> Result<(), ArrowError> {
        if array.len() != counts.len() {
            let problem = "the numbers of values and counts differ";
            return Err(ArrowError::InvalidArgumentError(problem.to_owned()));
        }
        self.add_times(array, |row| counts.value(row))
    }

    fn add_times(
        &mut self,
        array: &ArrayRef,
        times: impl Fn(usize) -> u64,
    ) -> Result<(), ArrowError> {
        // Also what a dictionary or a null array holds without a validity of its own.
        let present = is_not_null(array)?;
        let rows = self
            .converter
            .convert_columns(std::slice::from_ref(array))?;
        for (place, row) in rows.iter().enumerate() {
            if !present.value(place) {
                continue;
            }
            if let Some(count) = self.counts.get_mut(row.as_ref()) {
                *count += times(place);
            } else {
                let value: Box<[u8]> = row.as_ref().into();
                self.bytes += value.len();
                self.counts.insert(value, times(place));
            }
        }
        Ok(())
    }

    /// Returns the mode, as an array of one value; `None` when nothing was counted.
    ///
    /// # Errors
    /// When the value cannot be converted to an array.
    pub fn mode(&self) -> Result<Option<ArrayRef>, ArrowError> {
        let best = self
            .counts
            .iter()
            .max_by(|left, right| left.1.cmp(right.1).then_with(|| right.0.cmp(left.0)));
        let mode = best.map(|(value, _)| self.values([value.as_ref()]));
        mode.transpose()
    }

    /// Returns the distinct values in ascending order, and how often each occurs.
    ///
    /// # Errors
    /// When the values cannot be converted to an array.
    pub fn counts(&self) -> Result<(ArrayRef, UInt64Array), ArrowError> {
        let mut counts: Vec<(&[u8], u64)> = self
            .counts
            .iter()
            .map(|(value, count)| (value.as_ref(), *count))
            .collect();
        counts.sort_unstable();
        let values = self.values(counts.iter().map(|(value, _)| *value))?;
        Ok((values, counts.iter().map(|(_, count)| *count).collect()))
    }

    fn values<'a>(
        &self,
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<ArrayRef, ArrowError> {
        let parser = self.converter.parser();
        let rows = values.into_iter().map(|value| parser.parse(value));
        let mut columns = self.converter.convert_rows(rows)?;
        columns.pop().ok_or_else(|| {
            ArrowError::ComputeError("a row of one column was converted to no column".to_owned())
        })
    }

    /// Bytes that the counts take.
    pub fn size(&self) -> usize {
        let entry = size_of::<(Box<[u8]>, u64)>() + 1;
        size_of_val(self.counts.hasher())
            + self.converter.size()
            + self.counts.capacity() * entry
            + self.bytes
    }
}

/// Returns the mode of the present values of `array`, as an array of one value; `None` when all are null.
///
/// # Errors
/// When the type has no order.
pub fn mode(array: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    let mut counts = ValueCounts::new(array.data_type())?;
    counts.add(array)?;
    counts.mode()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, NullArray, StringViewArray};
    use arrow::compute::cast;
    use arrow::datatypes::{Int64Type, TimeUnit};
    use arrow::util::display::array_value_to_string;
    use proptest::prelude::*;

    use super::*;

    /// Modes of every kind of type; of equally frequent values the smallest, nulls uncounted.
    #[test]
    fn modes() {
        use DataType::*;
        let cases: &[(DataType, &[&str], &str)] = &[
            (Utf8View, &["b", "a", "b"], "b"),
            (Utf8, &["b", "a", "é", "Z"], "Z"),
            (LargeUtf8, &["b", "ab", "a"], "a"),
            (Boolean, &["true", "false", "true"], "true"),
            (Boolean, &["true", "false"], "false"),
            (Int64, &["10", "9", "-1"], "-1"),
            (Int8, &["10", "9", "9"], "9"),
            (Float64, &["NaN", "2.5", "1e10"], "2.5"),
            (Float64, &["NaN", "NaN", "1"], "NaN"),
            (Decimal128(6, 2), &["2.50", "10.00"], "2.50"),
            (Date32, &["2021-01-02", "2021-01-01"], "2021-01-01"),
            (
                Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                &["2021-01-02T00:00:00Z"],
                "2021-01-02T00:00:00Z",
            ),
        ];
        for (data_type, cells, want) in cases {
            let cells: Vec<Option<&str>> = cells.iter().map(|cell| Some(*cell)).collect();
            let nulls = vec![None; 4];
            let cells: ArrayRef = Arc::new(StringViewArray::from([cells, nulls].concat()));
            let values = cast(&cells, data_type).unwrap();
            let mode = mode(&values).unwrap().unwrap();
            assert_eq!(mode.data_type(), data_type);
            assert_eq!(
                array_value_to_string(&mode, 0).unwrap(),
                *want,
                "{data_type}"
            );
        }
        let nothing: [ArrayRef; 3] = [
            Arc::new(Int64Array::from(vec![None, None])),
            Arc::new(StringViewArray::from(Vec::<&str>::new())),
            Arc::new(NullArray::new(3)),
        ];
        for array in nothing {
            assert!(mode(&array).unwrap().is_none());
        }
    }

    proptest! {
        /// The mode by counting in order, however the values are divided and summed up again.
        #[test]
        fn by_counting(values in prop::collection::vec(prop::option::of(-3i64..3), 0..40), cut in 0usize..40) {
            let array = Int64Array::from(values.clone());
            let cut = cut.min(values.len());
            let mut whole = ValueCounts::new(&DataType::Int64).unwrap();
            for part in [array.slice(0, cut), array.slice(cut, values.len() - cut)] {
                let mut counts = ValueCounts::new(&DataType::Int64).unwrap();
                counts.add(&(Arc::new(part) as ArrayRef)).unwrap();
                let (values, times) = counts.counts().unwrap();
                whole.add_counts(&values, &times).unwrap();
            }
            let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
            for value in values.into_iter().flatten() {
                *counts.entry(value).or_default() += 1;
            }
            let most = counts.values().max();
            let want = counts.iter().find(|(_, count)| Some(*count) == most).map(|(value, _)| *value);
            let found = whole.mode().unwrap().map(|mode| mode.as_primitive::<Int64Type>().value(0));
            prop_assert_eq!(found, want);
            let array: ArrayRef = Arc::new(array);
            let found = mode(&array).unwrap().map(|mode| mode.as_primitive::<Int64Type>().value(0));
            prop_assert_eq!(found, want);
        }
    }
}
