//! A sample of the rows that are compared, from which the fields are learned.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder, UInt64Array,
};
use arrow::datatypes::UInt64Type;
use serde::{Deserialize, Serialize};
use udfs::kernels::matching::Record;

use super::candidates::{Values, sides};
use super::need::MatchingNeed;
use crate::error::{Error, Result};
use crate::profile::RowSample;
use crate::program::Frame;

/// Rows of a sample: enough for the frequencies that matter.
const SAMPLE_ROWS: u64 = 50_000;

/// In the place of a bucket of keys: how many rows there are.
pub(super) const COUNT_BUCKET: u16 = 64;

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

    /// Adds what was counted in all splits.
    pub fn count(&mut self, counts: &[RecordBatch]) -> Result<()> {
        for part in counts {
            let numbers = |place: usize| {
                let column = part.columns().get(place)?;
                Some(column.as_primitive_opt::<UInt64Type>()?.values())
            };
            let (Some(rows), Some(sides)) = (numbers(0), numbers(1)) else {
                return Err(Error::Bug("counts without rows"));
            };
            for (side, rows) in sides.iter().zip(rows) {
                *self.counts.entry(*side).or_default() += rows;
            }
        }
        Ok(())
    }

    /// Puts the parts of all splits together; rows in the order of their numbers. Of rows that are the
    /// same in all that is compared the first counts: how frequent a value is does not depend on copies.
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
        let mut seen = HashSet::new();
        rows.retain(|(_, side, record)| seen.insert((*side, record.clone())));
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

/// Tells the sample of one table from others.
const SAMPLE_SEED: u64 = 0x6d61_7463_6869_6e67;

/// One split's part of a sample.
#[derive(Debug)]
pub struct SampleLog {
    need: MatchingNeed,
    sampled: RowSample,
    rows: Vec<u64>,
    sides: Vec<u64>,
    values: Vec<StringBuilder>,
}

impl SampleLog {
    /// An empty log of a split of a table of so many rows.
    pub fn new(need: MatchingNeed, total_rows: u64, seed: u64) -> Self {
        Self {
            sampled: RowSample::of(total_rows, SAMPLE_ROWS, seed ^ SAMPLE_SEED),
            rows: Vec::new(),
            sides: Vec::new(),
            values: need.columns.iter().map(|_| StringBuilder::new()).collect(),
            need,
        }
    }

    /// Takes down the frame's live rows of the sample; gives the bytes that this took.
    pub fn observe(&mut self, frame: &Frame) -> Result<usize> {
        let taken = |row: &usize| {
            frame.is_live(*row) && self.sampled.contains(frame.first_row + *row as u64)
        };
        let rows: Vec<usize> = (0..frame.rows()).filter(taken).collect();
        if rows.is_empty() {
            return Ok(0);
        }
        let values = Values::new(frame, &self.need.columns)?;
        let sides = sides(frame, self.need.link_by);
        let mut bytes = 0;
        for row in rows {
            self.rows.push(frame.first_row + row as u64);
            self.sides
                .push(sides.as_ref().map_or(0, |sides| sides[row]));
            bytes += 16;
            for (column, value) in self.values.iter_mut().zip(values.record(row)) {
                bytes += 5 + value.as_ref().map_or(0, String::len);
                column.append_option(value);
            }
        }
        Ok(bytes)
    }

    /// The log: `row`, `side` and the comparable values.
    pub fn finish(mut self) -> Result<RecordBatch> {
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
        Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
    }
}
