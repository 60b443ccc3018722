//! A sample of the rows that are compared, from which the fields are learned.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder, UInt64Array,
};
use arrow::datatypes::UInt64Type;
use serde::{Deserialize, Serialize};
use udfs::kernels::matching::Record;

use crate::error::{Error, Result};

/// Rows of a sample: enough for the frequencies that matter.
pub const SAMPLE_ROWS: u64 = 50_000;

/// In the place of a bucket of keys: rows of the sample.
pub const SAMPLE_BUCKET: u16 = 64;

/// In the place of a bucket of keys: how many rows there are.
pub(super) const COUNT_BUCKET: u16 = 65;

/// Rows of a table, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Rows of each side that may match, by the hash of the side; one side where any may match any.
    pub counts: BTreeMap<u64, u64>,
    /// The side of each row of the sample.
    pub sides: Vec<u64>,
    /// The comparable values of each.
    pub records: Vec<Record>,
}

impl Sample {
    /// Rows that may match.
    pub fn rows(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Pairs of them: all, or those of different sides.
    pub fn pairs(&self, linked: bool) -> f64 {
        let all = |rows: u64| rows as f64 * rows.saturating_sub(1) as f64 / 2.0;
        let within: f64 = self.counts.values().map(|rows| all(*rows)).sum();
        if linked {
            all(self.rows()) - within
        } else {
            all(self.rows())
        }
    }

    /// Puts the parts of all splits together; rows in the order of their numbers.
    pub fn merge(parts: &[RecordBatch]) -> Result<Self> {
        let mut sample = Self::default();
        let mut rows: Vec<(u64, u64, Record)> = Vec::new();
        for part in parts {
            let numbers = part
                .column(0)
                .as_primitive_opt::<UInt64Type>()
                .ok_or(Error::Bug("a sample without rows"))?;
            let sides = part
                .column(1)
                .as_primitive_opt::<UInt64Type>()
                .ok_or(Error::Bug("a sample without sides"))?;
            if part.num_columns() == 2 {
                // Counts: sides, and the rows of each.
                for (side, count) in sides.values().iter().zip(numbers.values()) {
                    *sample.counts.entry(*side).or_default() += count;
                }
                continue;
            }
            let columns: Vec<&StringArray> = part.columns()[2..]
                .iter()
                .map(|column| column.as_string_opt::<i32>())
                .collect::<Option<_>>()
                .ok_or(Error::Bug("a sample of no texts"))?;
            for row in 0..part.num_rows() {
                let value = |column: &&StringArray| {
                    column.is_valid(row).then(|| column.value(row).to_owned())
                };
                let record = columns.iter().map(value).collect();
                rows.push((numbers.value(row), sides.value(row), record));
            }
        }
        rows.sort_unstable();
        for (_, side, record) in rows {
            sample.sides.push(side);
            sample.records.push(record);
        }
        Ok(sample)
    }

    /// About the memory that it takes.
    pub fn bytes(&self) -> usize {
        let values = self.records.iter().flatten();
        values
            .map(|value| 24 + value.as_ref().map_or(0, String::len))
            .sum()
    }
}

/// Builds one split's part of a sample.
#[derive(Debug)]
pub(super) struct SampleBuilder {
    rows: Vec<u64>,
    sides: Vec<u64>,
    values: Vec<StringBuilder>,
    counts: BTreeMap<u64, u64>,
}

impl SampleBuilder {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            rows: Vec::new(),
            sides: Vec::new(),
            values: (0..columns).map(|_| StringBuilder::new()).collect(),
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn count(&mut self, side: u64) {
        *self.counts.entry(side).or_default() += 1;
    }

    pub(super) fn add(&mut self, row: u64, side: u64, record: &[Option<String>]) -> usize {
        self.rows.push(row);
        self.sides.push(side);
        let mut bytes = 16;
        for (column, value) in self.values.iter_mut().zip(record) {
            column.append_option(value.as_deref());
            bytes += 5 + value.as_ref().map_or(0, String::len);
        }
        bytes
    }

    /// The counts, and the rows of the sample.
    pub(super) fn finish(mut self) -> Result<(RecordBatch, RecordBatch)> {
        let sides = UInt64Array::from_iter_values(self.counts.keys().copied());
        let numbers = UInt64Array::from_iter_values(self.counts.values().copied());
        let counts = RecordBatch::try_from_iter([
            ("rows", Arc::new(numbers) as ArrayRef),
            ("side", Arc::new(sides)),
        ])?;
        let mut columns: Vec<(String, ArrayRef, bool)> = vec![
            ("row".into(), Arc::new(UInt64Array::from(self.rows)), false),
            (
                "side".into(),
                Arc::new(UInt64Array::from(self.sides)),
                false,
            ),
        ];
        for (place, values) in self.values.iter_mut().enumerate() {
            columns.push((format!("value-{place}"), Arc::new(values.finish()), true));
        }
        let rows = RecordBatch::try_from_iter_with_nullable(columns)?;
        Ok((counts, rows))
    }
}
