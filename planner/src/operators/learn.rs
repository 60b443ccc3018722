//! A pass that learns: applies what is known, takes down what is not, split by split.

use std::sync::Arc;

use arrow::array::{LargeBinaryArray, RecordBatch, UInt16Array, UInt64Array};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, Time};

use super::pass::{PassExec, PassWork, SplitWorker};
use super::state::{PassContext, PassState, SplitKnowledge};
use super::{LOG_TIME, STEP_TIME};
use crate::error::{Error, Result};
use crate::learn::{Accumulator, KEY_BUCKETS, LogContext};
use crate::operation::CleaningBatch;
use crate::program::{Action, Profiler};
use crate::source::Source;

/// Learns what the operations of a pass need; gives logs by operation, split and bucket.
pub type LearnExec = PassExec<Learning>;

/// What a pass that learns works with.
pub struct Learning(pub(crate) Arc<PassState>);

/// In the place of an operation: the profile of the columns before cleaning, as JSON.
pub const PROFILE_OP: u16 = u16::MAX;

/// Schema of what a pass gives: `op`, `split`, `bucket`, and the log as an Arrow IPC stream.
pub fn learn_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("op", DataType::UInt16, false),
        Field::new("split", DataType::UInt64, false),
        Field::new("bucket", DataType::UInt16, false),
        Field::new("log", DataType::LargeBinary, false),
    ]))
}

impl LearnExec {
    /// A pass over the splits that `input` reads.
    pub fn new(input: Arc<dyn ExecutionPlan>, state: Arc<PassState>) -> Self {
        Self::over(input, Arc::new(Learning(state)))
    }
}

impl PassWork for Learning {
    const NAME: &'static str = "LearnExec";

    fn schema(&self) -> SchemaRef {
        learn_schema()
    }

    fn state(&self) -> &PassState {
        &self.0
    }

    fn begin(
        &self,
        _: &Arc<Source>,
        partition: usize,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<impl SplitWorker> {
        Ok(Learner {
            place: PassContext::new(&self.0)?,
            reservation: MemoryConsumer::new(format!("LearnExec[{partition}]"))
                .register(context.memory_pool()),
            open: Vec::new(),
            stepping: MetricBuilder::new(metrics).subset_time(STEP_TIME, partition),
            logging: MetricBuilder::new(metrics).subset_time(LOG_TIME, partition),
        })
    }
}

/// Accumulates statistics for the splits of one partition.
struct Learner {
    place: PassContext,
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
    known: SplitKnowledge,
    logs: Vec<(usize, Accumulator)>,
    before: Option<Profiler>,
}

impl SplitWorker for Learner {
    fn take(&mut self, mut frame: CleaningBatch) -> Result<Option<RecordBatch>> {
        let number = frame.first_row / self.place.state.rows_per_split;
        let at = match self.open.iter().position(|split| split.number == number) {
            Some(at) => at,
            None => {
                self.open.push(OpenSplit::new(number, &self.place)?);
                self.open.len() - 1
            }
        };
        let rows = frame.rows() as u64;
        let state = &self.place.state;
        let split = &mut self.open[at];
        let grown = split.observe(&mut frame, &self.place, &self.stepping, &self.logging)?;
        self.reservation.try_grow(grown)?;
        split.bytes += grown;
        split.rows += rows;
        state.progress.add_rows(rows);
        if split.rows < state.split_rows(number) {
            return Ok(None);
        }
        let split = self.open.swap_remove(at);
        let bytes = split.bytes;
        let _timer = self.logging.timer();
        // Until the logs are handed on, they are there twice: as they were kept, and encoded.
        self.reservation.try_grow(bytes)?;
        let logs = split.finish()?;
        self.reservation.shrink(2 * bytes);
        Ok(Some(logs))
    }
}

impl OpenSplit {
    fn new(number: u64, place: &PassContext) -> Result<Self> {
        let (program, state) = (&place.program, &place.state);
        let pass = program
            .passes
            .get(state.pass)
            .ok_or(Error::Bug("no such pass"))?;
        let rows = usize::try_from(state.split_rows(number)).unwrap_or_default();
        let context = LogContext {
            first_row: number * state.rows_per_split,
            rows,
            total_rows: state.total_rows,
            figure_sample: state.figure_sample,
            seed: state.recipe.job.options.seed,
            pair_buckets: state.pair_buckets(),
        };
        let mut logs = Vec::new();
        for op in pass.learns() {
            let need = program.ops[op]
                .op
                .need()
                .ok_or(Error::Bug("nothing to learn"))?;
            logs.push((op, Accumulator::new(&need, &context)));
        }
        Ok(Self {
            number,
            rows: 0,
            bytes: 0,
            known: place.knowledge(number)?,
            logs,
            before: (state.pass == 0).then(|| Profiler::new(program, state.profile_sample)),
        })
    }

    /// Takes the frame through the pass; gives the bytes that its logs took.
    fn observe(
        &mut self,
        frame: &mut CleaningBatch,
        place: &PassContext,
        stepping: &Time,
        logging: &Time,
    ) -> Result<usize> {
        let program = &place.program;
        let pass = &program.passes[place.state.pass];
        let mut grown = 0;
        if let Some(before) = &mut self.before {
            before.dirty(frame, program, None, true);
        }
        for action in &pass.actions {
            match action {
                Action::Apply(number) => {
                    let _timer = stepping.timer();
                    place.apply(*number, frame, &self.known)?;
                    if let Some(before) = &mut self.before {
                        before.dirty(frame, program, Some(*number), true);
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
        let (mut ops, mut buckets) = (Vec::new(), Vec::new());
        // All logs in one buffer, which is the column as it stands.
        let mut logs = Vec::with_capacity(self.bytes + self.bytes / 8);
        let mut lengths = Vec::new();
        // What is no key goes to any bucket, so that all partitions have some.
        let any = (self.number % KEY_BUCKETS as u64) as u16;
        for (op, log) in self.logs {
            let spread = (!log.is_keys()).then_some(any);
            for entry in log.finish()? {
                let start = logs.len();
                entry.encode(&mut logs)?;
                ops.push(op as u16);
                buckets.push(spread.unwrap_or(entry.bucket));
                lengths.push(logs.len() - start);
            }
        }
        if let Some(before) = self.before {
            let start = logs.len();
            serde_json::to_writer(&mut logs, &before.finish())?;
            ops.push(PROFILE_OP);
            buckets.push(any);
            lengths.push(logs.len() - start);
        }
        let splits = UInt64Array::from(vec![self.number; ops.len()]);
        let offsets = OffsetBuffer::from_lengths(lengths);
        let logs = LargeBinaryArray::try_new(offsets, Buffer::from_vec(logs), None)?;
        Ok(RecordBatch::try_new(
            learn_schema(),
            vec![
                Arc::new(UInt16Array::from(ops)),
                Arc::new(splits),
                Arc::new(UInt16Array::from(buckets)),
                Arc::new(logs),
            ],
        )?)
    }
}
