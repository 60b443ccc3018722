//! Which values a column repeats, and how often.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt16Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, UInt16Type, UInt64Type};
use datafusion::execution::memory_pool::MemoryReservation;
use hashbrown::HashMap;
use udfs::kernels::canonical::{LearnOptions, learn_values};

use crate::error::{Error, Result};
use crate::operation::CleaningBatch;

/// A column with more different values than this has no canonical ones.
const MOST_VALUES: usize = 100_000;

/// About what a counted value takes beside its text.
const VALUE_BYTES: usize = 48;

/// Counts of the values of columns.
#[derive(Debug)]
pub struct ValueLog {
    columns: Vec<usize>,
    // None once a column has too many values.
    counts: Vec<Option<HashMap<String, u64>>>,
}

impl ValueLog {
    /// An empty log of these columns.
    pub fn new(columns: Vec<usize>) -> Self {
        let counts = columns.iter().map(|_| Some(HashMap::new())).collect();
        Self { columns, counts }
    }

    /// Counts the values of a frame's live rows; gives the bytes that this took.
    pub fn observe(&mut self, frame: &CleaningBatch) -> Result<usize> {
        let mut bytes = 0;
        for (column, counts) in self.columns.iter().zip(&mut self.counts) {
            let Some(map) = counts else { continue };
            let array = frame.columns[*column]
                .as_string_view_opt()
                .ok_or(Error::Bug("values are counted of text columns only"))?;
            for row in 0..array.len() {
                if array.is_null(row) || !frame.is_live(row) {
                    continue;
                }
                let value = array.value(row);
                if let Some(count) = map.get_mut(value) {
                    *count += 1;
                } else {
                    bytes += value.len() + VALUE_BYTES;
                    map.insert(value.to_owned(), 1);
                }
            }
            if map.len() > MOST_VALUES {
                *counts = None;
            }
        }
        Ok(bytes)
    }

    /// The log as one batch: column by place, value (null where a column has too many), count.
    pub fn finish(self) -> Result<RecordBatch> {
        let (mut places, mut values, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (place, counts) in self.counts.into_iter().enumerate() {
            let sorted: Option<BTreeMap<String, u64>> = counts.map(|map| map.into_iter().collect());
            match sorted {
                None => {
                    places.push(place as u16);
                    values.push(None);
                    numbers.push(0);
                }
                Some(map) => {
                    for (value, count) in map {
                        places.push(place as u16);
                        values.push(Some(value));
                        numbers.push(count);
                    }
                }
            }
        }
        let schema = Schema::new(vec![
            Field::new("column", DataType::UInt16, false),
            Field::new("value", DataType::Utf8, true),
            Field::new("count", DataType::UInt64, false),
        ]);
        Ok(RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(UInt16Array::from(places)),
                Arc::new(StringArray::from(values)),
                Arc::new(UInt64Array::from(numbers)),
            ],
        )?)
    }
}

/// The canonical values of each column that the logs show. The counts' memory is asked of the pool
/// of `memory`.
pub fn sum_values(
    columns: usize,
    logs: &[RecordBatch],
    memory: &MemoryReservation,
) -> Result<Vec<Vec<String>>> {
    let held = memory.new_empty();
    let mut totals: Vec<Option<BTreeMap<String, u64>>> = vec![Some(BTreeMap::new()); columns];
    for log in logs {
        let places = log.column(0).as_primitive::<UInt16Type>();
        let values = log.column(1).as_string::<i32>();
        let counts = log.column(2).as_primitive::<UInt64Type>();
        for row in 0..log.num_rows() {
            let total = &mut totals[usize::from(places.value(row))];
            if values.is_null(row) {
                *total = None;
            } else if let Some(map) = total {
                let value = values.value(row);
                if let Some(count) = map.get_mut(value) {
                    *count += counts.value(row);
                } else {
                    held.try_grow(value.len() + VALUE_BYTES)?;
                    map.insert(value.to_owned(), counts.value(row));
                }
                if map.len() > MOST_VALUES {
                    *total = None;
                }
            }
        }
    }
    let learned = totals.into_iter().map(|total| {
        let counts: Vec<(String, u64)> = total.unwrap_or_default().into_iter().collect();
        learn_values(&counts, &LearnOptions::default())
    });
    Ok(learned.collect())
}
