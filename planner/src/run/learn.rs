//! Summing up what a pass has taken down.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{UInt16Type, UInt64Type};

use crate::error::{Error, Result};
use crate::learn::{GoneRows, LogEntry, find_repeats, in_threads, sum_figures, sum_values};
use crate::operators::PROFILE_OP;
use crate::profile::ColumnSketch;
use crate::program::{Action, CanonicalValues, Learned, Need, Program, Repeats};

/// The logs of a pass, as they come from its splits.
#[derive(Debug, Default)]
pub(super) struct PassLogs {
    /// By operation, bucket and split.
    logs: BTreeMap<(usize, u16, u64), RecordBatch>,
    /// Profiles before cleaning, by split.
    before: BTreeMap<u64, Vec<Option<ColumnSketch>>>,
}

impl PassLogs {
    /// Adds what one split gave.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let ops = batch.column(0).as_primitive::<UInt16Type>();
        let splits = batch.column(1).as_primitive::<UInt64Type>();
        let buckets = batch.column(2).as_primitive::<UInt16Type>();
        let logs = batch.column(3).as_binary::<i32>();
        for row in 0..batch.num_rows() {
            let split = splits.value(row);
            if ops.value(row) == PROFILE_OP {
                self.before
                    .insert(split, serde_json::from_slice(logs.value(row))?);
                continue;
            }
            let entry = LogEntry::decode(buckets.value(row), logs.value(row))?;
            let place = (usize::from(ops.value(row)), entry.bucket, split);
            self.logs.insert(place, entry.batch);
        }
        Ok(())
    }

    /// The profiles of the columns before cleaning, of all splits together.
    pub(super) fn take_profiles(&mut self) -> Vec<Option<ColumnSketch>> {
        merge_sketches(std::mem::take(&mut self.before).into_values())
    }

    /// Logs of an operation, by bucket, each in the order of the splits.
    fn take_op(&mut self, op: usize) -> BTreeMap<u16, Vec<RecordBatch>> {
        let mut buckets: BTreeMap<u16, Vec<RecordBatch>> = BTreeMap::new();
        let mut rest = self.logs.split_off(&(op, 0, 0));
        let mut behind = rest.split_off(&(op + 1, 0, 0));
        self.logs.append(&mut behind);
        for ((_, bucket, _), log) in rest {
            buckets.entry(bucket).or_default().push(log);
        }
        buckets
    }

    /// What the operations of the pass have learned, in their order. Rows that leave by one of
    /// them are taken out of what the later ones learn.
    pub(super) fn sum(
        mut self,
        program: &Program,
        pass: usize,
        sampled: f64,
        threads: usize,
        learned: &mut [Option<Arc<Learned>>],
    ) -> Result<()> {
        let mut gone = GoneRows::default();
        let actions = program.passes[pass].actions.clone();
        for action in actions {
            let Action::Learn(op) = action else { continue };
            let need = program.ops[op]
                .op
                .need()
                .ok_or(Error::Bug("nothing to learn"))?;
            let logs = self.take_op(op);
            let answer = match &need {
                Need::Repeats(need) => {
                    let buckets: Vec<Vec<RecordBatch>> = logs.into_values().collect();
                    let parts = in_threads(threads, buckets, |logs| {
                        find_repeats(need.keep, &logs, &gone)
                    })?;
                    let mut repeats: Vec<(u64, u64)> = parts.into_iter().flatten().collect();
                    repeats.sort_unstable();
                    Learned::Repeats(Repeats(repeats))
                }
                Need::Figures(need) => {
                    let logs: Vec<RecordBatch> = logs.into_values().flatten().collect();
                    Learned::Figures(sum_figures(need, &logs, sampled, threads, &gone)?)
                }
                Need::Values(columns) => {
                    let logs: Vec<RecordBatch> = logs.into_values().flatten().collect();
                    let values = sum_values(columns.len(), &logs)?;
                    Learned::Values(values.into_iter().map(CanonicalValues::new).collect())
                }
            };
            let answer = Arc::new(answer);
            if program.ops[op].op.drops_rows()
                && let Learned::Repeats(repeats) = answer.as_ref()
            {
                gone.extend(repeats.0.iter().map(|(row, _)| *row));
            }
            learned[op] = Some(answer);
        }
        Ok(())
    }
}

/// The sketches of all splits, in order, put together.
pub(super) fn merge_sketches(
    splits: impl Iterator<Item = Vec<Option<ColumnSketch>>>,
) -> Vec<Option<ColumnSketch>> {
    let mut merged: Vec<Option<ColumnSketch>> = Vec::new();
    for sketches in splits {
        if merged.len() < sketches.len() {
            merged.resize_with(sketches.len(), || None);
        }
        for (total, sketch) in merged.iter_mut().zip(sketches) {
            match (total.as_mut(), sketch) {
                (Some(total), Some(sketch)) => total.merge(sketch),
                (None, Some(sketch)) => *total = Some(sketch),
                (_, None) => {}
            }
        }
    }
    merged
}
