//! What a pass works with, and what of it a worker needs for a split.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::matching::pair_buckets;
use crate::operation::{CleaningBatch, Learned, LearnedFile};
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
    /// What tells people how far the job is.
    pub progress: Arc<Progress>,
}

/// What is known of the answer to an operation's need.
#[derive(Debug, Clone, Default)]
pub enum Known {
    /// It needs nothing, or has not learned it yet.
    #[default]
    Nothing,
    /// In the memory of this process.
    Here(Arc<Learned>),
    /// In a file that every worker can read.
    Stored(LearnedFile),
}

impl Known {
    fn is_key_plan(&self) -> bool {
        match self {
            Self::Here(learned) => matches!(learned.as_ref(), Learned::KeyPlan(_)),
            Self::Stored(file) => matches!(file, LearnedFile::KeyPlan(_)),
            Self::Nothing => false,
        }
    }
}

impl PassState {
    /// Buckets among which pairs of rows are divided: the process that knows all of them compares them
    /// in one.
    pub fn pair_buckets(&self) -> usize {
        let alone = |known: &Known| !matches!(known, Known::Stored(_));
        if self.known.iter().all(alone) {
            1
        } else {
            pair_buckets(self.total_rows)
        }
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
    /// What is the same for all splits.
    shared: Vec<Option<Arc<Learned>>>,
}

/// What was learned, for one split, by operation.
pub(super) struct SplitKnowledge(Vec<Option<Arc<Learned>>>);

impl PassContext {
    pub(super) fn new(state: &Arc<PassState>) -> Result<Self> {
        let shared = state.known.iter().map(|known| match known {
            Known::Nothing => Ok(None),
            Known::Here(learned) => Ok(Some(Arc::clone(learned))),
            Known::Stored(file) if file.is_for_all() => Ok(Some(Arc::new(file.of_split(0)?))),
            Known::Stored(_) => Ok(None),
        });
        Ok(Self {
            shared: shared.collect::<Result<_>>()?,
            program: state.recipe.program()?,
            state: Arc::clone(state),
        })
    }

    /// What the work on a split needs to know.
    pub(super) fn knowledge(&self, split: u64) -> Result<SplitKnowledge> {
        let known = self.state.known.iter().zip(&self.shared).enumerate();
        let last = self.state.pass + 1 == self.program.passes.len();
        let known = known.map(|(op, (known, shared))| match known {
            // What only leads to another operation's knowledge is not asked for when that is there, but
            // for a plan, which indexes are made by.
            known if last && known.is_key_plan() => Ok(shared.clone()),
            _ if last
                && self
                    .program
                    .ops
                    .get(op)
                    .is_some_and(|op| op.op.is_prerequisite()) =>
            {
                Ok(None)
            }
            Known::Stored(file) if !file.is_for_all() => Ok(Some(Arc::new(file.of_split(split)?))),
            _ => Ok(shared.clone()),
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
        let learned = known.0.get(number).and_then(Option::as_deref);
        op.op.apply(frame, learned)
    }
}
