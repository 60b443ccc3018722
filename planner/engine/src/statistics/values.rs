//! Which values a column repeats, and how often.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt16Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, UInt16Type, UInt64Type};
use datafusion::execution::memory_pool::MemoryReservation;
use hashbrown::HashMap;
use serde_json::{Map, json};
use udfs::kernels::canonical::{Canonicalizer, LearnOptions, learn_values};
use udfs::kernels::cell::CellKernel;

use crate::error::{Error, Result};
use crate::operation::{
    Accumulator, CleaningBatch, DriverContext, PartialState, PartialStates, ReportContext,
    SplitContext, Statistic, StatisticFiles, StatisticReport, StatisticValue, Stored, Traffic,
    known,
};

/// The values that text columns repeat, from which their canonical ones are learned. Its value is a `Vec` of
/// [`CanonicalValues`], in the order of the columns.
#[derive(Debug, Clone, PartialEq)]
pub struct FrequentValues {
    /// The columns.
    pub columns: Vec<usize>,
}

/// Canonical values that were learned from a column, and the kernel made of them.
#[derive(Debug, Default)]
pub struct CanonicalValues {
    /// The values; empty where the column has none.
    pub values: Vec<String>,
    kernel: OnceLock<Canonicalizer>,
}

impl CanonicalValues {
    /// These values.
    pub fn new(values: Vec<String>) -> Self {
        Self {
            values,
            kernel: OnceLock::new(),
        }
    }

    /// The kernel that brings a value to the nearest of these; none where there are none.
    pub fn kernel(&self, min_similarity: f64) -> Option<&dyn CellKernel> {
        if self.values.is_empty() {
            return None;
        }
        let make = || Canonicalizer::new(self.values.clone(), min_similarity);
        Some(self.kernel.get_or_init(make))
    }
}

impl Statistic for FrequentValues {
    fn describe(&self, names: &dyn Fn(&[usize]) -> String) -> String {
        format!("how often {} repeat a value", names(&self.columns))
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            what: "counts of values",
            row_bytes: None,
        }
    }

    fn accumulator(&self, _: &SplitContext) -> Box<dyn Accumulator> {
        Box::new(Counts::new(self.columns.clone()))
    }

    fn evaluate(
        &self,
        partial: PartialStates,
        driver: &mut DriverContext<'_>,
    ) -> Result<StatisticValue> {
        let counts = partial.by_split();
        let values = canonical_values(self.columns.len(), &counts, driver.memory)?;
        let values = values.into_iter().map(CanonicalValues::new);
        Ok(StatisticValue::new(values.collect::<Vec<_>>()))
    }

    fn store(&self, value: &StatisticValue, files: &StatisticFiles) -> Result<Stored> {
        let columns = known::<Vec<CanonicalValues>>(Some(value))?.iter();
        let batches = columns.map(|column| {
            let values = StringArray::from_iter_values(&column.values);
            Ok(RecordBatch::try_from_iter([(
                "value",
                Arc::new(values) as ArrayRef,
            )])?)
        });
        files.write_streams(&batches.collect::<Result<Vec<_>>>()?)
    }

    fn load(&self, stored: &Stored, _: u64) -> Result<StatisticValue> {
        let columns = stored.read_streams()?.into_iter().map(|batch| {
            let values = batch.column(0).as_string::<i32>().iter().flatten();
            CanonicalValues::new(values.map(str::to_owned).collect())
        });
        Ok(StatisticValue::new(columns.collect::<Vec<_>>()))
    }

    fn report(
        &self,
        value: Option<&StatisticValue>,
        context: &ReportContext<'_>,
    ) -> Option<StatisticReport> {
        let values = value.and_then(StatisticValue::get::<Vec<CanonicalValues>>);
        let columns = self.columns.iter().zip(values.into_iter().flatten());
        let mut found = Map::new();
        for (column, values) in columns {
            let column = &context.contract.columns[*column];
            if !column.pii {
                found.insert(column.name.clone(), json!(values.values.len()));
            }
        }
        Some(StatisticReport {
            found,
            ..StatisticReport::exact()
        })
    }
}

/// A column with more different values than this has no canonical ones.
const MOST_VALUES: usize = 100_000;

/// About what a counted value takes beside its text.
const VALUE_BYTES: usize = 48;

/// Counts of the values of columns.
#[derive(Debug)]
struct Counts {
    columns: Vec<usize>,
    // None once a column has too many values.
    counts: Vec<Option<HashMap<String, u64>>>,
}

impl Counts {
    fn new(columns: Vec<usize>) -> Self {
        let counts = columns.iter().map(|_| Some(HashMap::new())).collect();
        Self { columns, counts }
    }
}

impl Accumulator for Counts {
    fn update(&mut self, batch: &CleaningBatch) -> Result<usize> {
        let mut bytes = 0;
        for (column, counts) in self.columns.iter().zip(&mut self.counts) {
            let Some(map) = counts else { continue };
            let array = batch.columns[*column]
                .as_string_view_opt()
                .ok_or(Error::Bug("values are counted of text columns only"))?;
            for row in 0..array.len() {
                if array.is_null(row) || !batch.is_live(row) {
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

    /// One batch: column by place, value (null where a column has too many), count.
    fn finish(self: Box<Self>) -> Result<Vec<PartialState>> {
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
        let counts = RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(UInt16Array::from(places)),
                Arc::new(StringArray::from(values)),
                Arc::new(UInt64Array::from(numbers)),
            ],
        )?;
        Ok(PartialState::whole(counts))
    }
}

/// The canonical values of each column that the counts of all splits show. The counts' memory is asked of the pool
/// of `memory`.
fn canonical_values(
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::operation::Splits;

    /// Values come back from files as they were, and a column without any too.
    #[test]
    fn stored_values() {
        let folder = tempfile::tempdir().unwrap();
        let files = StatisticFiles {
            folder: crate::storage::Place::own(folder.path()),
            op: 2,
            splits: Splits { count: 1, rows: 9 },
        };
        let statistic = FrequentValues {
            columns: vec![0, 1],
        };
        let value = StatisticValue::new(vec![
            CanonicalValues::new(vec!["x".to_owned()]),
            CanonicalValues::default(),
        ]);
        let stored = statistic.store(&value, &files).unwrap();
        let back = statistic.load(&stored, 0).unwrap();
        assert_eq!(format!("{back:?}"), format!("{value:?}"));
    }
}
