//! Summing up what a pass has taken down.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{UInt16Type, UInt64Type};
use datafusion::execution::memory_pool::MemoryReservation;

use super::in_order::InOrder;
use crate::error::{Error, Result};
use crate::learn::{LogEntry, RemovedRows, find_repeats, sum_figures, sum_values};
use crate::matching::merge;
use crate::operation::{CanonicalValues, Keep, Learned, Need, Repeats};
use crate::operators::{PROFILE_OP, told_rows};
use crate::profile::ColumnSketch;
use crate::program::Program;
use planner_base::in_threads;

/// What a sum works with.
pub(super) struct Summing<'a> {
    /// Two rows of which near duplicates are to be explained.
    pub(super) watched: Option<(u64, u64)>,
    /// Rows of the source.
    pub(super) rows: u64,
    /// Share of the rows that figures rest on.
    pub(super) sampled: f64,
    /// Threads.
    pub(super) threads: usize,
    /// Memory of what has been learned; what a sum needs for a while is of the same pool.
    pub(super) memory: &'a MemoryReservation,
}

/// The logs of a pass, as they come from its splits.
#[derive(Debug, Default)]
pub(super) struct PassLogs {
    /// By operation, bucket and split.
    logs: BTreeMap<(usize, u16, u64), RecordBatch>,
    /// Profiles before cleaning, of splits that have come before their turn.
    early: InOrder<Vec<Option<ColumnSketch>>>,
    /// Profiles before cleaning, of all others together.
    before: Vec<Option<ColumnSketch>>,
}

impl PassLogs {
    /// Adds what one split gave.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let ops = batch.column(0).as_primitive::<UInt16Type>();
        let splits = batch.column(1).as_primitive::<UInt64Type>();
        let buckets = batch.column(2).as_primitive::<UInt16Type>();
        let logs = batch.column(3).as_binary::<i64>();
        for row in 0..batch.num_rows() {
            let split = splits.value(row);
            if ops.value(row) == PROFILE_OP {
                self.early
                    .add(split, serde_json::from_slice(logs.value(row))?);
                while let Some(sketches) = self.early.take() {
                    merge_sketches(&mut self.before, sketches);
                }
                continue;
            }
            let ends = logs.value_offsets();
            let (start, end) = (ends[row] as usize, ends[row + 1] as usize);
            let log = logs.values().slice_with_length(start, end - start);
            let entry = LogEntry::decode(buckets.value(row), log)?;
            let place = (usize::from(ops.value(row)), entry.bucket, split);
            self.logs.insert(place, entry.batch);
        }
        Ok(())
    }

    /// The profiles of the columns before cleaning, of all splits together.
    pub(super) fn take_profiles(&mut self) -> Vec<Option<ColumnSketch>> {
        std::mem::take(&mut self.before)
    }

    /// Logs of an operation, in the order of the splits.
    pub(super) fn take_op(&mut self, op: usize) -> Vec<RecordBatch> {
        let mut logs: Vec<_> = self.take_logs(op).into_iter().collect();
        logs.sort_by_key(|((_, _, split), _)| *split);
        logs.into_iter().map(|(_, log)| log).collect()
    }

    /// Logs of an operation, by bucket, each in the order of the splits.
    pub(super) fn take_buckets(&mut self, op: usize) -> BTreeMap<u16, Vec<RecordBatch>> {
        let mut buckets: BTreeMap<u16, Vec<RecordBatch>> = BTreeMap::new();
        for ((_, bucket, _), log) in self.take_logs(op) {
            buckets.entry(bucket).or_default().push(log);
        }
        buckets
    }

    fn take_logs(&mut self, op: usize) -> BTreeMap<(usize, u16, u64), RecordBatch> {
        let mut rest = self.logs.split_off(&(op, 0, 0));
        let mut behind = rest.split_off(&(op + 1, 0, 0));
        self.logs.append(&mut behind);
        rest
    }

    /// The buckets in which workers have found repeats of an operation's keys; the rows of which they
    /// tell join those that are `gone`.
    pub(super) fn found_buckets(&mut self, op: usize, gone: &mut RemovedRows) -> Result<Vec<u16>> {
        let mut buckets = Vec::new();
        for (bucket, told) in self.take_buckets(op) {
            buckets.push(bucket);
            for batch in told {
                gone.extend(told_rows(&LogEntry { bucket, batch })?.iter().copied());
            }
        }
        Ok(buckets)
    }

    /// What an operation has learned in the pass. Rows that left by an operation before it are
    /// `gone`; those that leave by it join them.
    pub(super) fn sum(
        &mut self,
        program: &Program,
        op: usize,
        gone: &mut RemovedRows,
        summing: &Summing<'_>,
    ) -> Result<Learned> {
        let op_of = &program.ops[op].op;
        let need = op_of.need().ok_or(Error::Bug("nothing to learn"))?;
        Ok(match &need {
            Need::Repeats(need) => {
                let repeats = all_repeats(need.keep, self.take_buckets(op), summing)?;
                if op_of.drops_rows() {
                    summing
                        .memory
                        .try_grow(repeats.0.len() * size_of::<u64>())?;
                    gone.extend(repeats.0.iter().map(|(row, _)| *row));
                }
                Learned::Repeats(repeats)
            }
            Need::Figures(need) => {
                let (sampled, threads) = (summing.sampled, summing.threads);
                let logs = self.take_op(op);
                let figures = sum_figures(need, &logs, sampled, threads, gone, summing.memory)?;
                Learned::Figures(figures)
            }
            Need::Merge(need) => {
                let logs = self.take_op(op);
                Learned::Merge(merge(need.columns.len(), &logs, summing.memory)?)
            }
            Need::Sample(_) | Need::Candidates(_) | Need::Matches(_) => {
                return Err(Error::Bug("near duplicates are summed up elsewhere"));
            }
            Need::Values(columns) => {
                let values = sum_values(columns.len(), &self.take_op(op), summing.memory)?;
                Learned::Values(values.into_iter().map(CanonicalValues::new).collect())
            }
        })
    }
}

/// The repeats in the logs of all buckets.
fn all_repeats(
    keep: Keep,
    logs: BTreeMap<u16, Vec<RecordBatch>>,
    summing: &Summing<'_>,
) -> Result<Repeats> {
    let buckets: Vec<Vec<RecordBatch>> = logs.into_values().collect();
    let parts = in_threads(summing.threads, buckets, |logs| -> Result<_> {
        find_repeats(keep, &logs, summing.memory)
    })?;
    // While the parts are put together, every repeat is there twice.
    let twice = summing.memory.new_empty();
    let found = parts.iter().map(Vec::len).sum();
    twice.try_grow(found * size_of::<(u64, u64)>())?;
    let mut repeats = Vec::with_capacity(found);
    repeats.extend(parts.into_iter().flatten());
    repeats.sort_unstable();
    Ok(Repeats(repeats))
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
