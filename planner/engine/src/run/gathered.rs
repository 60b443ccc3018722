//! What the passes of a job have gathered of the splits.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{UInt16Type, UInt64Type};

use super::in_order::InOrder;
use crate::error::Result;
use crate::operation::{PartialState, PartialStates};
use crate::operators::{PROFILE_OP, for_each_state};
use crate::profile::ColumnSketch;

/// The partial states of a pass, as they come from its splits.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// By operation.
    states: BTreeMap<usize, PartialStates>,
    /// Profiles before cleaning, of splits that have come before their turn.
    early: InOrder<Vec<Option<ColumnSketch>>>,
    /// Profiles before cleaning, of all others together.
    before: Vec<Option<ColumnSketch>>,
}

impl Gathered {
    /// Adds what one split gave.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let ops = batch.column(0).as_primitive::<UInt16Type>();
        let splits = batch.column(1).as_primitive::<UInt64Type>();
        let states = batch.column(3).as_binary::<i64>();
        for row in (0..batch.num_rows()).filter(|row| ops.value(*row) == PROFILE_OP) {
            let profile = serde_json::from_slice(states.value(row))?;
            self.early.add(splits.value(row), profile);
            while let Some(sketches) = self.early.take() {
                merge_sketches(&mut self.before, sketches);
            }
        }
        for_each_state(batch, |op, split, state| {
            self.put(op, split, state);
            Ok(())
        })
    }

    /// Adds a partial state of an operation and a split.
    pub(super) fn put(&mut self, op: usize, split: u64, state: PartialState) {
        let states = self.states.entry(op).or_default();
        states.0.insert((state.bucket, split), state.batch);
    }

    /// The profiles of the columns before cleaning, of all splits together.
    pub(super) fn take_profiles(&mut self) -> Vec<Option<ColumnSketch>> {
        std::mem::take(&mut self.before)
    }

    /// The partial states of an operation.
    pub(super) fn take(&mut self, op: usize) -> PartialStates {
        self.states.remove(&op).unwrap_or_default()
    }
}

/// Adds the sketches of rows that come later in the source.
pub(super) fn merge_sketches(
    merged: &mut Vec<Option<ColumnSketch>>,
    later: Vec<Option<ColumnSketch>>,
) {
    if merged.len() < later.len() {
        merged.resize_with(later.len(), || None);
    }
    for (total, sketch) in merged.iter_mut().zip(later) {
        match (total.as_mut(), sketch) {
            (Some(total), Some(sketch)) => total.merge(sketch),
            (None, Some(sketch)) => *total = Some(sketch),
            (_, None) => {}
        }
    }
}
