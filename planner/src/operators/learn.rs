//! A pass that learns: applies what is known, takes down what is not, split by split.

use std::fmt;
use std::sync::Arc;

use arrow::array::{BinaryArray, RecordBatch, UInt16Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as EngineResult;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{
    ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, Time,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt};

use super::scan::to_frame;
use super::{LOG_TIME, STEP_TIME, map_properties};
use crate::error::{Error, Result};
use crate::learn::SplitLog;
use crate::profile::{Profiler, RowSample};
use crate::program::{Action, Frame, Learned, Program};
use crate::run::Progress;

/// What a pass works with, the same in every partition.
#[derive(Clone)]
pub struct LearnedState {
    /// The program.
    pub program: Arc<Program>,
    /// Number of the pass.
    pub pass: usize,
    /// What was learned in earlier passes, by operation.
    pub learned: Arc<Vec<Option<Arc<Learned>>>>,
    /// Rows of every split but the last.
    pub rows_per_split: u64,
    /// Rows of the source.
    pub total_rows: u64,
    /// Rows that profiles look at.
    pub profile_sample: RowSample,
    /// Rows that figures rest on; all when none.
    pub figure_sample: Option<RowSample>,
    /// What tells people how far the job is.
    pub progress: Arc<Progress>,
}

impl LearnedState {
    /// Applies one operation to a frame.
    pub fn apply(&self, number: usize, frame: &mut Frame) -> Result<()> {
        let op = self
            .program
            .ops
            .get(number)
            .ok_or(Error::Bug("no such operation"))?;
        let learned = self
            .learned
            .get(number)
            .and_then(|learned| learned.as_deref());
        op.op.apply(frame, learned)
    }

    /// Rows of a split.
    pub fn split_rows(&self, split: u64) -> u64 {
        let start = split * self.rows_per_split;
        self.rows_per_split
            .min(self.total_rows.saturating_sub(start))
    }
}

/// Learns what the operations of a pass need; gives logs by operation, split and bucket.
pub struct LearnExec {
    input: Arc<dyn ExecutionPlan>,
    state: LearnedState,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// In the place of an operation: the profile of the columns before cleaning, as JSON.
pub const PROFILE_OP: u16 = u16::MAX;

/// Schema of what a pass gives: `op`, `split`, `bucket`, and the log as an Arrow IPC stream.
pub fn learn_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("op", DataType::UInt16, false),
        Field::new("split", DataType::UInt64, false),
        Field::new("bucket", DataType::UInt16, false),
        Field::new("log", DataType::Binary, false),
    ]))
}

impl LearnExec {
    /// A pass over the splits that `input` reads.
    pub fn new(input: Arc<dyn ExecutionPlan>, state: LearnedState) -> Self {
        let properties = map_properties(&input, learn_schema());
        Self {
            input,
            state,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl fmt::Debug for LearnExec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LearnExec")
            .field("pass", &self.state.pass)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for LearnExec {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LearnExec: pass={}", self.state.pass + 1)
    }
}

impl ExecutionPlan for LearnExec {
    fn name(&self) -> &str {
        "LearnExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or(Error::Bug("a pass without input"))?;
        Ok(Arc::new(Self::new(input, self.state.clone())))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let reservation =
            MemoryConsumer::new(format!("LearnExec[{partition}]")).register(context.memory_pool());
        let mut learner = Learner {
            state: self.state.clone(),
            reservation,
            open: Vec::new(),
            stepping: MetricBuilder::new(&self.metrics).subset_time(STEP_TIME, partition),
            logging: MetricBuilder::new(&self.metrics).subset_time(LOG_TIME, partition),
        };
        let logs = input
            .map(move |batch| Ok(learner.observe(to_frame(batch?)?)?))
            .try_filter_map(|logs| futures::future::ready(Ok(logs)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            learn_schema(),
            logs,
        )))
    }
}

/// Takes down the splits of one partition.
struct Learner {
    state: LearnedState,
    reservation: MemoryReservation,
    open: Vec<OpenSplit>,
    stepping: Time,
    logging: Time,
}

/// A split of which some frames have come.
struct OpenSplit {
    number: u64,
    rows: u64,
    bytes: usize,
    logs: Vec<(usize, SplitLog)>,
    before: Option<Profiler>,
}

impl Learner {
    /// Takes down a frame; gives the logs of its split when the split is complete.
    fn observe(&mut self, mut frame: Frame) -> Result<Option<RecordBatch>> {
        let number = frame.first_row / self.state.rows_per_split;
        let place = match self.open.iter().position(|split| split.number == number) {
            Some(place) => place,
            None => {
                self.open.push(OpenSplit::new(number, &self.state)?);
                self.open.len() - 1
            }
        };
        let rows = frame.rows() as u64;
        let state = &self.state;
        let split = &mut self.open[place];
        let grown = split.observe(&mut frame, state, &self.stepping, &self.logging)?;
        self.reservation.try_grow(grown)?;
        split.bytes += grown;
        split.rows += rows;
        state.progress.add_rows(rows);
        if split.rows < state.split_rows(number) {
            return Ok(None);
        }
        let split = self.open.swap_remove(place);
        let bytes = split.bytes;
        let _timer = self.logging.timer();
        let logs = split.finish()?;
        self.reservation.shrink(bytes);
        Ok(Some(logs))
    }
}

impl OpenSplit {
    fn new(number: u64, state: &LearnedState) -> Result<Self> {
        let pass = state
            .program
            .passes
            .get(state.pass)
            .ok_or(Error::Bug("no such pass"))?;
        let mut logs = Vec::new();
        for op in pass.learns() {
            let need = state.program.ops[op]
                .op
                .need()
                .ok_or(Error::Bug("nothing to learn"))?;
            logs.push((op, SplitLog::new(&need, state.figure_sample.as_ref())));
        }
        Ok(Self {
            number,
            rows: 0,
            bytes: 0,
            logs,
            before: (state.pass == 0).then(|| Profiler::new(&state.program, state.profile_sample)),
        })
    }

    /// Takes the frame through the pass; gives the bytes that its logs took.
    fn observe(
        &mut self,
        frame: &mut Frame,
        state: &LearnedState,
        stepping: &Time,
        logging: &Time,
    ) -> Result<usize> {
        let pass = &state.program.passes[state.pass];
        let mut grown = 0;
        if let Some(before) = &mut self.before {
            before.dirty(frame, &state.program, None, true);
        }
        for action in &pass.actions {
            match action {
                Action::Apply(number) => {
                    let _timer = stepping.timer();
                    state.apply(*number, frame)?;
                    if let Some(before) = &mut self.before {
                        before.dirty(frame, &state.program, Some(*number), true);
                    }
                }
                Action::Learn(number) => {
                    let log = self.logs.iter_mut().find(|(op, _)| op == number);
                    let (_, log) = log.ok_or(Error::Bug("a log that was not opened"))?;
                    let _timer = logging.timer();
                    grown += log.observe(frame)?;
                }
            }
        }
        Ok(grown)
    }

    fn finish(self) -> Result<RecordBatch> {
        let (mut ops, mut buckets, mut logs) = (Vec::new(), Vec::new(), Vec::new());
        for (op, log) in self.logs {
            for entry in log.finish()? {
                ops.push(op as u16);
                buckets.push(entry.bucket);
                logs.push(entry.encode()?);
            }
        }
        if let Some(before) = self.before {
            ops.push(PROFILE_OP);
            buckets.push(0);
            logs.push(serde_json::to_vec(&before.finish())?);
        }
        let splits = UInt64Array::from(vec![self.number; ops.len()]);
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        Ok(RecordBatch::try_new(
            learn_schema(),
            vec![
                Arc::new(UInt16Array::from(ops)),
                Arc::new(splits),
                Arc::new(UInt16Array::from(buckets)),
                Arc::new(BinaryArray::from(logs)),
            ],
        )?)
    }
}
