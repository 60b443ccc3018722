//! A pass that gathers statistics: applies what is known, and gathers what is not, split by split.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{LargeBinaryArray, RecordBatch, UInt16Array, UInt64Array};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, Time};

use super::metrics::StatisticMetrics;
use super::pass::{PassExec, PassWork, SplitWorker};
use super::state::{PassContext, PassState, SplitKnowledge};
use super::{LOG_TIME, STEP_TIME};
use crate::error::{Error, Result};
use crate::operation::{Accumulator, CleaningBatch, KEY_BUCKETS, PartialState, SplitContext};
use crate::program::{Action, Profiler};
use crate::source::Source;

/// Gathers the statistics of a pass; gives partial states by operation, split and bucket.
pub type LearnExec = PassExec<Learning>;

/// What a pass that learns works with.
pub struct Learning(pub Arc<PassState>);

/// In the place of an operation: the profile of the columns before cleaning, as JSON.
pub const PROFILE_OP: u16 = u16::MAX;

/// Schema of what a pass gives: `op`, `split`, `bucket`, and the partial state as an Arrow IPC stream.
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
        let place = PassContext::new(&self.0, metrics, partition)?;
        let program = &place.program;
        let pass = program.passes.get(self.0.pass);
        let statistics = pass.into_iter().flat_map(|pass| pass.learns());
        let statistics =
            statistics.map(|op| (op, StatisticMetrics::of(program, op, metrics, partition)));
        Ok(Learner {
            reservation: MemoryConsumer::new(format!("LearnExec[{partition}]"))
                .register(context.memory_pool()),
            open: Vec::new(),
            measures: Measures {
                statistics: statistics.collect(),
                stepping: MetricBuilder::new(metrics).subset_time(STEP_TIME, partition),
                logging: MetricBuilder::new(metrics).subset_time(LOG_TIME, partition),
            },
            place,
        })
    }
}

/// Accumulates statistics for the splits of one partition.
struct Learner {
    place: PassContext,
    reservation: MemoryReservation,
    open: Vec<OpenSplit>,
    measures: Measures,
}

/// What the work of one partition is measured by.
struct Measures {
    /// By operation.
    statistics: BTreeMap<usize, StatisticMetrics>,
    stepping: Time,
    logging: Time,
}

/// A statistic that is gathered of a split.
struct OpenStatistic {
    op: usize,
    /// Whether its partial states belong to buckets of keys.
    keyed: bool,
    accumulator: Box<dyn Accumulator>,
}

/// A split of which some frames have come.
struct OpenSplit {
    number: u64,
    rows: u64,
    bytes: usize,
    known: SplitKnowledge,
    logs: Vec<OpenStatistic>,
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
        let grown = split.observe(&mut frame, &self.place, &self.measures)?;
        self.reservation.try_grow(grown)?;
        split.bytes += grown;
        split.rows += rows;
        state.progress.add_rows(rows);
        if split.rows < state.split_rows(number) {
            return Ok(None);
        }
        let split = self.open.swap_remove(at);
        let bytes = split.bytes;
        let _timer = self.measures.logging.timer();
        let here = state.exchange.as_deref();
        // Until states are handed on, they are there twice where they are encoded.
        let twice = self.reservation.new_empty();
        if here.is_none() {
            twice.try_grow(bytes)?;
        }
        let states = split.finish(here)?;
        self.reservation.shrink(bytes);
        Ok(Some(states))
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
        let context = SplitContext {
            first_row: number * state.rows_per_split,
            rows,
            total_rows: state.total_rows,
            sample: state.figure_sample,
            seed: state.recipe.job.options.seed,
            alone: state.is_alone(),
        };
        let mut logs = Vec::new();
        for op in pass.learns() {
            let statistic = program.statistic(op)?;
            logs.push(OpenStatistic {
                op,
                keyed: statistic.keyed().is_some(),
                accumulator: statistic.accumulator(&context),
            });
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
        measures: &Measures,
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
                    let _timer = measures.stepping.timer();
                    place.apply(*number, frame, &self.known)?;
                    if let Some(before) = &mut self.before {
                        before.dirty(frame, program, Some(*number), true);
                    }
                }
                Action::Learn(number) => {
                    let open = self.logs.iter_mut().find(|open| open.op == *number);
                    let open = open.ok_or(Error::Bug("a statistic that was not opened"))?;
                    let own = measures.statistics.get(number);
                    let own = own.ok_or(Error::Bug("a statistic that is not measured"))?;
                    let timers = (measures.logging.timer(), own.time.timer());
                    let bytes = open.accumulator.update(frame)?;
                    drop(timers);
                    own.memory.add(bytes);
                    grown += bytes;
                }
            }
        }
        Ok(grown)
    }

    /// The partial states of the split: for the driver to take where it is, or encoded.
    fn finish(self, here: Option<&PartialStateExchange>) -> Result<RecordBatch> {
        // What is no key goes to any bucket, so that all partitions have some.
        let any = (self.number % KEY_BUCKETS as u64) as u16;
        let mut rows = Rows::new(self.number, self.bytes + self.bytes / 8);
        for open in self.logs {
            let spread = (!open.keyed).then_some(any);
            for mut state in open.accumulator.finish()? {
                state.bucket = spread.unwrap_or(state.bucket);
                match here {
                    Some(exchange) => exchange.put(open.op, self.number, state),
                    None => rows.add(open.op as u16, state.bucket, |to| state.encode(to))?,
                }
            }
        }
        if let Some(before) = self.before {
            let profile = before.finish();
            rows.add(PROFILE_OP, any, |to| {
                Ok(serde_json::to_writer(to, &profile)?)
            })?;
        }
        rows.finish()
    }
}

/// What a split gives, row by row.
struct Rows {
    split: u64,
    ops: Vec<u16>,
    buckets: Vec<u16>,
    /// All states in one buffer, which is the column as it stands.
    states: Vec<u8>,
    lengths: Vec<usize>,
}

impl Rows {
    fn new(split: u64, bytes: usize) -> Self {
        Self {
            split,
            ops: Vec::new(),
            buckets: Vec::new(),
            states: Vec::with_capacity(bytes),
            lengths: Vec::new(),
        }
    }

    fn add(
        &mut self,
        op: u16,
        bucket: u16,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let start = self.states.len();
        encode(&mut self.states)?;
        self.ops.push(op);
        self.buckets.push(bucket);
        self.lengths.push(self.states.len() - start);
        Ok(())
    }

    fn finish(self) -> Result<RecordBatch> {
        let splits = UInt64Array::from(vec![self.split; self.ops.len()]);
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        let states = LargeBinaryArray::try_new(offsets, Buffer::from_vec(self.states), None)?;
        Ok(RecordBatch::try_new(
            learn_schema(),
            vec![
                Arc::new(UInt16Array::from(self.ops)),
                Arc::new(splits),
                Arc::new(UInt16Array::from(self.buckets)),
                Arc::new(states),
            ],
        )?)
    }
}

/// Where the driver takes partial states that are gathered in its own process, so that they are neither encoded nor
/// copied.
#[derive(Debug, Default)]
pub struct PartialStateExchange(Mutex<Vec<(usize, u64, PartialState)>>);

impl PartialStateExchange {
    /// Puts a state of an operation and a split there.
    fn put(&self, op: usize, split: u64, state: PartialState) {
        let states = self.0.lock();
        states
            .unwrap_or_else(PoisonError::into_inner)
            .push((op, split, state));
    }

    /// Takes what is there: operation, split and state.
    pub fn take(&self) -> Vec<(usize, u64, PartialState)> {
        let states = self.0.lock();
        std::mem::take(&mut states.unwrap_or_else(PoisonError::into_inner))
    }
}
