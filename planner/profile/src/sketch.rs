//! A mergeable profile of a column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::nullif;
use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use super::extremes::Extremes;
use super::hash::hash_values;
use super::hll::Distinct;
use super::render::show_value;
use super::values::SampledValues;
use super::{ColumnProfile, RowSample};

/// Values that are shown as samples.
const SAMPLES: usize = 8;

/// A mergeable profile of a column: the same for any division of the rows into batches.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ColumnSketch {
    #[serde(with = "super::type_text")]
    data_type: DataType,
    private: bool,
    rows: u64,
    nulls: u64,
    sampled_rows: u64,
    distinct: Distinct,
    extremes: Extremes,
    values: SampledValues,
    /// The values whose rows have the smallest ranks: smallest first, none twice.
    samples: Vec<(u64, String)>,
}

impl ColumnSketch {
    /// Creates an empty sketch. A `private` one keeps counts only and no values.
    pub fn new(data_type: &DataType, private: bool) -> Self {
        let values = if private {
            SampledValues::Nothing
        } else {
            SampledValues::new(data_type)
        };
        Self {
            data_type: data_type.clone(),
            private,
            rows: 0,
            nulls: 0,
            sampled_rows: 0,
            distinct: Distinct::default(),
            extremes: Extremes::None,
            values,
            samples: Vec::new(),
        }
    }

    /// Observes consecutive rows, the first of which has this number in the source; rows that are not live are skipped.
    pub fn observe(
        &mut self,
        array: &ArrayRef,
        first_row: u64,
        live: Option<&BooleanBuffer>,
        sample: &RowSample,
    ) {
        let live = live.filter(|live| live.len() == array.len());
        let rows = live.map_or(array.len(), BooleanBuffer::count_set_bits) as u64;
        self.rows += rows;
        let present = present_values(array, live);
        let missing = present.logical_null_count();
        self.nulls += rows - (array.len() - missing) as u64;
        hash_values(&present, |hash| self.distinct.insert(hash));
        if !self.private {
            self.extremes.merge(Extremes::of(&present));
        }
        self.observe_sample(&present, first_row, live, sample);
    }

    fn observe_sample(
        &mut self,
        present: &ArrayRef,
        first_row: u64,
        live: Option<&BooleanBuffer>,
        sample: &RowSample,
    ) {
        let valid = present.logical_nulls();
        let mut sampled = Vec::new();
        for row in 0..present.len() {
            let rank = sample.rank(first_row + row as u64);
            if rank > sample.threshold || live.is_some_and(|live| !live.value(row)) {
                continue;
            }
            self.sampled_rows += 1;
            if valid.as_ref().is_none_or(|valid| valid.is_valid(row)) {
                sampled.push(row);
                if !self.private {
                    self.offer_sample(rank, || show_value(present, row));
                }
            }
        }
        self.values.add(present, &sampled);
    }

    /// Keeps a value if its row has one of the smallest ranks, each value once.
    fn offer_sample(&mut self, rank: u64, text: impl FnOnce() -> String) {
        let full = self.samples.len() >= SAMPLES;
        if full && self.samples.last().is_some_and(|(last, _)| *last <= rank) {
            return;
        }
        let text = text();
        if let Some(known) = self.samples.iter().position(|(_, other)| *other == text) {
            if self.samples[known].0 <= rank {
                return;
            }
            self.samples.remove(known);
        }
        let place = self.samples.partition_point(|(other, _)| *other < rank);
        self.samples.insert(place, (rank, text));
        self.samples.truncate(SAMPLES);
    }

    /// Merges the sketch of rows that come later in the source.
    pub fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.nulls += later.nulls;
        self.sampled_rows += later.sampled_rows;
        self.distinct.merge(&later.distinct);
        // A value that one of the two may not show, neither may both.
        if later.private && !self.private {
            self.private = true;
            self.values = SampledValues::Nothing;
            self.extremes = Extremes::None;
            self.samples.clear();
        }
        if self.private {
            return;
        }
        self.extremes.merge(later.extremes);
        self.values.merge(later.values);
        for (rank, text) in later.samples {
            self.offer_sample(rank, || text);
        }
    }

    /// Returns the profile of a column of this name and type.
    pub fn finish(&self, name: &str, column_type: &str) -> ColumnProfile {
        let (distinct, distinct_exact) = self.distinct.count();
        let mut profile = ColumnProfile {
            name: name.to_owned(),
            column_type: column_type.to_owned(),
            rows: self.rows,
            nulls: self.nulls,
            distinct: distinct.min(self.rows - self.nulls),
            distinct_exact,
            samples: self.samples.iter().map(|(_, text)| text.clone()).collect(),
            sampled_rows: self.sampled_rows,
            ..ColumnProfile::default()
        };
        if let Some((least, most)) = self.extremes.render(&self.data_type) {
            (profile.min, profile.max) = (Some(least), Some(most));
        }
        self.values.describe(&self.data_type, &mut profile);
        profile
    }
}

/// Returns the array with the values of rows that are not live masked as missing; only the mask is copied.
fn present_values(array: &ArrayRef, live: Option<&BooleanBuffer>) -> ArrayRef {
    let Some(live) = live.filter(|live| live.count_set_bits() < live.len()) else {
        return Arc::clone(array);
    };
    // It fails for no array of the mask's length, which this one has.
    nullif(array, &BooleanArray::new(!live, None)).unwrap_or_else(|_| Arc::clone(array))
}
