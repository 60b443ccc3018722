//! What a pass works with, and what of it a worker needs for a split.

use std::sync::Arc;

use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use super::learn::PartialStateExchange;
use super::metrics::OperationMetrics;
use crate::error::{Error, Result};
use crate::operation::{CleaningBatch, StatisticValue, Stored};
use crate::profile::RowSample;
use crate::program::{PlanSpec, Program};
use crate::progress::Progress;

/// What a pass works with, the same in every partition.
#[derive(Debug)]
pub struct PassState {
    /// What the program is made from.
    pub recipe: Arc<PlanSpec>,
    /// Number of the pass.
    pub pass: usize,
    /// What was learned in earlier passes, by operation.
    pub known: Vec<Known>,
    /// Rows of every split but the last.
    pub rows_per_split: u64,
    /// Rows of the source.
    pub total_rows: u64,
    /// The number of its first row outside of the job.
    pub first_row_id: u64,
    /// Rows that profiles look at.
    pub profile_sample: RowSample,
    /// Rows that figures rest on; all when none.
    pub figure_sample: Option<RowSample>,
    /// Whether the driver is another process, which errors must reach.
    pub remote: bool,
    /// Where partial states go that the driver evaluates in this process; none where they travel.
    pub exchange: Option<Arc<PartialStateExchange>>,
    /// What tells people how far the job is.
    pub progress: Arc<Progress>,
}

/// What is known of an operation's statistic.
#[derive(Debug, Clone, Default)]
pub enum Known {
    /// It has none, or it is not computed yet.
    #[default]
    Nothing,
    /// The value, in the memory of this process.
    Here(StatisticValue),
    /// The files of the value, which every worker can read.
    Stored(Stored),
}

impl PassState {
    /// Whether one process evaluates the partial states of all splits.
    pub fn is_alone(&self) -> bool {
        let here = |known: &Known| !matches!(known, Known::Stored(_));
        self.known.iter().all(here)
    }

    /// Rows of a split.
    pub fn split_rows(&self, split: u64) -> u64 {
        let start = split * self.rows_per_split;
        self.rows_per_split
            .min(self.total_rows.saturating_sub(start))
    }
}

/// What a worker has at hand for the splits of its partition.
pub(super) struct PassContext {
    pub(super) state: Arc<PassState>,
    pub(super) program: Arc<Program>,
    /// By operation.
    operations: Vec<OperationMetrics>,
    /// What is the same for all splits.
    shared: Vec<Option<StatisticValue>>,
}

/// What was learned, for one split, by operation.
pub(super) struct SplitKnowledge(Vec<Option<StatisticValue>>);

impl PassContext {
    pub(super) fn new(
        state: &Arc<PassState>,
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
    ) -> Result<Self> {
        let program = state.recipe.program()?;
        let known = state.known.iter().enumerate();
        let shared = known.map(|(op, known)| match known {
            Known::Nothing => Ok(None),
            Known::Here(value) => Ok(Some(value.clone())),
            Known::Stored(stored) => {
                let statistic = program.statistic(op)?;
                let shared = (!statistic.is_by_split()).then(|| statistic.load(stored, 0));
                shared.transpose()
            }
        });
        Ok(Self {
            shared: shared.collect::<Result<_>>()?,
            operations: OperationMetrics::of(&program, metrics, partition),
            program,
            state: Arc::clone(state),
        })
    }

    /// What the work on a split needs to know.
    pub(super) fn knowledge(&self, split: u64) -> Result<SplitKnowledge> {
        let last = self.state.pass + 1 == self.program.passes.len();
        let known = self.state.known.iter().zip(&self.shared).enumerate();
        let known = known.map(|(op, (known, shared))| {
            if matches!(known, Known::Nothing) {
                return Ok(None);
            }
            let statistic = self.program.statistic(op)?;
            if !statistic.is_by_split() {
                return Ok(shared.clone());
            }
            // What only leads to another statistic is not asked for when that is there.
            if last && self.program.ops[op].op.is_prerequisite() {
                return Ok(None);
            }
            match known {
                Known::Stored(stored) => statistic.load(stored, split).map(Some),
                _ => Ok(shared.clone()),
            }
        });
        Ok(SplitKnowledge(known.collect::<Result<_>>()?))
    }

    /// Applies one operation to a frame of a split.
    pub(super) fn apply(
        &self,
        number: usize,
        frame: &mut CleaningBatch,
        known: &SplitKnowledge,
    ) -> Result<()> {
        let op = self
            .program
            .ops
            .get(number)
            .ok_or(Error::Bug("no such operation"))?;
        let value = known.0.get(number).and_then(Option::as_ref);
        let metrics = &self.operations[number];
        let (live, changes) = (frame.live_rows(), frame.changes.len());
        let timer = metrics.time.timer();
        op.op.apply(frame, value)?;
        timer.done();
        // Each pass applies it anew; the last one to all rows, with all that it needs.
        if self.state.pass + 1 == self.program.passes.len() {
            metrics.count(frame, live, changes);
        }
        Ok(())
    }
}
