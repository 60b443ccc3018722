//! The passes of a program over a source: their plans, and what comes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryPool, MemoryReservation,
};
use datafusion::physical_plan::ExecutionPlan;
use serde_json::json;

use super::audit::Audit;
use super::clock::Clock;
use super::discover::PROFILE_ROWS;
use super::gathered::{Gathered, merge_sketches};
use super::in_order::InOrder;
use super::indexes::Earlier;
use super::job::JobRun;
use super::workers::Workers;
use super::{Phase, Progress};
use crate::error::{Error, Result};
use crate::operation::{
    Collected, DriverContext, Extensions, KEY_BUCKETS, KeyedStatistic, PartialStates, RemovedRows,
    Splits, Statistic, StatisticFiles, StatisticValue, Stored,
};
use crate::operators::{Known, LearnExec, PassState, PublishExec, SumExec, SumOrder, scan_splits};
use crate::profile::{ColumnSketch, RowSample};
use crate::program::{PlanSpec, Program};
use crate::sink::{Account, FileEntry, PartFolder, PartWriter, SinkOrder, SinkPlan, SplitOutcome};
use crate::source::Source;
use crate::storage::Place;

/// Bytes of keys that one partition of a sum holds.
const SUM_BYTES: u64 = 16 << 20;

/// What was learned by a job's passes.
pub(super) struct AllLearned {
    pub(super) learned: Vec<Option<StatisticValue>>,
    /// The same, as the workers get it.
    known: Vec<Known>,
    pub(super) before: Vec<Option<ColumnSketch>>,
    // Of the memory that it takes.
    _memory: MemoryReservation,
}

/// What the last pass wrote.
pub(super) struct Written {
    pub(super) files: Vec<FileEntry>,
    pub(super) account: Account,
    pub(super) before: Vec<Option<ColumnSketch>>,
    pub(super) after: Vec<Option<ColumnSketch>>,
}

impl Written {
    /// Adds what came of the split behind the last one.
    fn add(&mut self, outcome: SplitOutcome) {
        self.files.extend(outcome.files);
        self.account.merge(outcome.account);
        merge_sketches(&mut self.before, outcome.before);
        merge_sketches(&mut self.after, outcome.after);
    }
}

/// Runs the passes of a program over a source.
pub(super) struct Engine<'a> {
    run: &'a JobRun,
    source: &'a Arc<Source>,
    recipe: Arc<PlanSpec>,
    program: Arc<Program>,
    workers: Workers,
    memory: Arc<dyn MemoryPool>,
    /// Where what was learned is stored for workers in other processes.
    learned_folder: Place,
    /// Share of the rows that figures rest on.
    pub(super) sampled: f64,
    figure_sample: Option<RowSample>,
    /// Outputs of earlier jobs with which rows are compared.
    earlier: Earlier,
}

impl<'a> Engine<'a> {
    pub(super) async fn new(
        run: &'a JobRun,
        source: &'a Arc<Source>,
        recipe: Arc<PlanSpec>,
        learned_folder: Place,
    ) -> Result<Self> {
        let limit = usize::try_from(run.spec.options.memory_limit.0).unwrap_or(usize::MAX);
        let memory = match &run.memory {
            Some(shared) => Arc::clone(shared),
            None => Arc::new(FairSpillPool::new(limit)),
        };
        let program = recipe.program()?;
        let earlier = Earlier::open(run, &program)?;
        let (figure_sample, sampled) =
            figure_sample(&program, source, limit, run.spec.options.seed);
        let workers = match &run.cluster {
            Some(cluster) => Workers::cluster(cluster.as_ref()).await?,
            None => Workers::local(run.partitions(), Arc::clone(&memory))?,
        };
        Ok(Self {
            run,
            source,
            recipe,
            program,
            workers,
            memory,
            learned_folder,
            sampled,
            figure_sample,
            earlier,
        })
    }

    /// The number of the source's first row outside of the job.
    pub(super) fn first_row_id(&self) -> u64 {
        self.earlier.next_row_id()
    }

    fn progress(&self) -> &Arc<Progress> {
        &self.run.progress
    }

    /// What the last pass works with.
    pub(super) fn last_state(&self, learned: &AllLearned) -> Arc<PassState> {
        self.state(self.program.passes.len() - 1, &learned.known)
    }

    fn state(&self, pass: usize, known: &[Known]) -> Arc<PassState> {
        Arc::new(PassState {
            recipe: Arc::clone(&self.recipe),
            pass,
            known: known.to_vec(),
            rows_per_split: self.source.rows_per_split,
            total_rows: self.source.total_rows,
            first_row_id: self.first_row_id(),
            profile_sample: RowSample::of(
                self.source.total_rows,
                PROFILE_ROWS,
                self.run.spec.options.seed,
            ),
            figure_sample: self.figure_sample,
            remote: false,
            exchange: self.workers.share_memory().then(Arc::default),
            progress: Arc::clone(self.progress()),
        })
    }

    fn splits(&self) -> Vec<usize> {
        (0..self.source.split_count()).collect()
    }

    fn scan(&self, splits: &[usize]) -> Arc<dyn ExecutionPlan> {
        scan_splits(self.source, splits, self.workers.partitions(splits.len()))
    }

    /// Runs every pass that gathers statistics.
    pub(super) async fn learn(&self, clock: &mut Clock, audit: &mut Audit) -> Result<AllLearned> {
        let ops = self.program.ops.len();
        let mut learned: Vec<Option<StatisticValue>> = vec![None; ops];
        let mut known: Vec<Known> = vec![Known::Nothing; ops];
        let mut before = Vec::new();
        // By transformation.
        let mut shared = self.earlier.shared();
        let memory = MemoryConsumer::new("statistics").register(&self.memory);
        let passes = self.program.passes.len() - 1;
        self.progress().expect_passes(passes);
        for pass in 0..passes {
            self.progress()
                .enter(Phase::Learn(pass + 1), self.source.total_rows)?;
            let state = self.state(pass, &known);
            let order = self.sum_order(pass, &shared)?;
            let plan = |splits: &[usize]| -> Result<Arc<dyn ExecutionPlan>> {
                let learn = LearnExec::new(self.scan(splits), Arc::clone(&state));
                Ok(match &order {
                    None => Arc::new(learn),
                    Some(order) => {
                        let partitions = sum_partitions(self.keyed_bytes(pass));
                        let recipe = Arc::clone(&self.recipe);
                        let learn = Arc::new(learn);
                        Arc::new(SumExec::over(learn, partitions, recipe, order.clone())?)
                    }
                })
            };
            let alone = order.is_none();
            let mut gathered = Gathered::default();
            let held = memory.new_empty();
            self.workers
                .run(
                    (self.splits(), alone),
                    plan,
                    self.progress(),
                    clock,
                    |batch| {
                        held.try_grow(batch.get_array_memory_size())?;
                        gathered.add(&batch)?;
                        for (op, split, state) in state.exchange.iter().flat_map(|e| e.take()) {
                            held.try_grow(state.batch.get_array_memory_size())?;
                            gathered.put(op, split, state);
                        }
                        Ok(())
                    },
                )
                .await
                .map_err(|error| self.explained(error, || learning(&self.program, pass)))?;
            if pass == 0 {
                before = gathered.take_profiles();
            }
            let mut removed = RemovedRows::default();
            for op in self.program.passes[pass].learns() {
                let transformation = self.program.ops[op].transformation;
                let mut driver = DriverContext {
                    op,
                    drops_rows: self.program.ops[op].op.drops_rows(),
                    contract: &self.program.contract,
                    rows: self.source.total_rows,
                    sampled: self.sampled,
                    watched: self.run.watched,
                    threads: self.run.partitions(),
                    memory: &memory,
                    removed: &mut removed,
                    shared: shared.entry(transformation).or_default(),
                    files: self.files(op),
                };
                let by_workers = order.as_ref().is_some_and(|order| order.has(op));
                let partial = gathered.take(op);
                let collected =
                    self.evaluate(by_workers, partial, &mut driver)
                        .map_err(|error| {
                            self.explained(error, || {
                                format!("what {} learns", needing(&self.program, op))
                            })
                        })?;
                match collected {
                    Collected::Stored(stored) => known[op] = Known::Stored(stored),
                    Collected::Value(value) => {
                        known[op] = self.known(op, &value)?;
                        learned[op] = Some(value);
                    }
                }
            }
            clock.lap(Phase::Learn(pass + 1));
            audit.record("pass_finished", json!({"pass": pass + 1}));
        }
        Ok(AllLearned {
            learned,
            known,
            before,
            _memory: memory,
        })
    }

    /// Evaluates a statistic from its partial states, or from what workers tell of the buckets that they have
    /// evaluated.
    fn evaluate(
        &self,
        by_workers: bool,
        partial: PartialStates,
        driver: &mut DriverContext<'_>,
    ) -> Result<Collected> {
        let statistic = self.program.statistic(driver.op)?;
        match statistic.keyed().filter(|_| by_workers) {
            Some(keyed) => keyed.collect(partial.by_bucket(), driver),
            None => statistic.evaluate(partial, driver).map(Collected::Value),
        }
    }

    /// Where the value of an operation's statistic is stored.
    fn files(&self, op: usize) -> StatisticFiles {
        StatisticFiles {
            folder: self.learned_folder.clone(),
            op,
            splits: Splits {
                count: self.source.split_count(),
                rows: self.source.rows_per_split,
            },
        }
    }

    /// Stores what was learned in files that outlive this process.
    pub(super) fn stored(&self, learned: &AllLearned) -> Result<Vec<Option<Stored>>> {
        let known = learned.known.iter().enumerate();
        let files = known.map(|(op, known)| match known {
            Known::Nothing => Ok(None),
            Known::Stored(stored) => Ok(Some(stored.clone())),
            Known::Here(value) => {
                let statistic = self.program.statistic(op)?;
                statistic.store(value, &self.files(op)).map(Some)
            }
        });
        files.collect()
    }

    /// Loads what an earlier attempt has learned.
    pub(super) fn recall(
        &self,
        files: Vec<Option<Stored>>,
        before: Vec<Option<ColumnSketch>>,
    ) -> Result<AllLearned> {
        let mut learned = Vec::with_capacity(files.len());
        for (op, stored) in files.iter().enumerate() {
            let Some(stored) = stored else {
                learned.push(None);
                continue;
            };
            let statistic = self.program.statistic(op)?;
            let whole = (!statistic.is_by_split()).then(|| statistic.load(stored, 0));
            learned.push(whole.transpose()?);
        }
        let known = files.into_iter();
        let known = known.map(|stored| stored.map_or(Known::Nothing, Known::Stored));
        Ok(AllLearned {
            learned,
            known: known.collect(),
            before,
            _memory: MemoryConsumer::new("statistics").register(&self.memory),
        })
    }

    /// The value of an operation's statistic, as the workers get it.
    fn known(&self, op: usize, value: &StatisticValue) -> Result<Known> {
        if self.workers.share_memory() {
            return Ok(Known::Here(value.clone()));
        }
        let statistic = self.program.statistic(op)?;
        statistic.store(value, &self.files(op)).map(Known::Stored)
    }

    /// The keyed statistics of a pass, which workers in other processes evaluate; none where there are none, or where
    /// this process does.
    fn sum_order(
        &self,
        pass: usize,
        shared: &BTreeMap<u16, Extensions>,
    ) -> Result<Option<SumOrder>> {
        if self.workers.share_memory() {
            return Ok(None);
        }
        let nothing = Extensions::default();
        let mut sums = Vec::new();
        let (mut drops, mut counts_behind) = (false, false);
        for op in self.program.passes[pass].learns() {
            let statistic = self.program.statistic(op)?;
            let Some(keyed) = statistic.keyed() else {
                // Of the rows that stay.
                counts_behind |= statistic.outlives_drops() && !sums.is_empty();
                continue;
            };
            let transformation = self.program.ops[op].transformation;
            let shared = shared.get(&transformation).unwrap_or(&nothing);
            sums.push((op, keyed.order(&self.files(op), shared)?));
            drops |= self.program.ops[op].op.drops_rows();
        }
        let all = RowSample::of(0, 0, 0);
        Ok((!sums.is_empty()).then(|| SumOrder {
            folder: self.learned_folder.clone(),
            splits: self.files(0).splits,
            told: (counts_behind && drops).then(|| self.figure_sample.unwrap_or(all)),
            sums,
        }))
    }

    /// Bytes of the keys of a pass, about.
    fn keyed_bytes(&self, pass: usize) -> u64 {
        let row = keyed_row_bytes(&self.program, pass);
        self.source.total_rows.saturating_mul(row)
    }

    /// A refusal of the memory pool as an error that names the limit and what needed the memory;
    /// any other error as it is.
    fn explained(&self, error: Error, what: impl FnOnce() -> String) -> Error {
        if !error.is_out_of_memory() {
            return error;
        }
        Error::Memory {
            what: what(),
            limit: self.run.spec.options.memory_limit,
        }
    }

    /// Writes what belongs to the indexes of an output beside the parts of its splits.
    pub(super) fn complete_indexes(
        &self,
        parts: &PartFolder,
        learned: &AllLearned,
    ) -> Result<Vec<FileEntry>> {
        let next_row_id = self.first_row_id() + self.source.total_rows;
        self.earlier
            .complete(&self.program, &learned.learned, parts, next_row_id)
    }

    /// Runs the pass that writes.
    pub(super) async fn publish(
        &self,
        order: SinkOrder,
        learned: &AllLearned,
        clock: &mut Clock,
    ) -> Result<Written> {
        self.progress()
            .enter(Phase::Write, self.source.total_rows)?;
        order.prepare(&self.run.spec.output, &self.program)?;
        let state = self.last_state(learned);
        let sample = state.profile_sample;
        let plan = |splits: &[usize]| -> Result<Arc<dyn ExecutionPlan>> {
            let state = Arc::clone(&state);
            Ok(Arc::new(PublishExec::new(
                self.scan(splits),
                state,
                order.clone(),
            )))
        };
        let mut outcomes: InOrder<SplitOutcome> = InOrder::default();
        let mut written = Written {
            files: Vec::new(),
            account: Account::new(&self.program),
            before: Vec::new(),
            after: Vec::new(),
        };
        self.workers
            .run(
                (self.splits(), true),
                plan,
                self.progress(),
                clock,
                |batch| {
                    let column = batch.column(1).as_binary::<i32>();
                    for row in 0..column.len() {
                        let outcome: SplitOutcome = serde_json::from_slice(column.value(row))?;
                        outcomes.add(outcome.split, outcome);
                    }
                    while let Some(outcome) = outcomes.take() {
                        written.add(outcome);
                    }
                    Ok(())
                },
            )
            .await
            .map_err(|error| self.explained(error, || "writing the output".to_owned()))?;
        if outcomes.taken() != self.source.split_count() as u64 {
            return Err(Error::Bug("a split was not written"));
        }
        if outcomes.taken() == 0 {
            // Readers find the columns in an output without rows too.
            let program = Arc::clone(&self.program);
            let output = &self.run.spec.output;
            let sink = SinkPlan::new(program, Arc::clone(self.source), order, output, sample)?
                .numbered_from(self.first_row_id());
            written.add(PartWriter::create(Arc::new(sink), 0)?.finish()?);
        }
        written
            .files
            .sort_by(|left, right| left.path.cmp(&right.path));
        Ok(written)
    }
}

/// Bytes of the keys that a row has in a pass, about.
pub(super) fn keyed_row_bytes(program: &Program, pass: usize) -> u64 {
    let ops = program.passes[pass].learns();
    let keyed = ops.filter_map(|op| program.ops[op].op.statistic()?.keyed());
    keyed.map(KeyedStatistic::row_bytes).max().unwrap_or(1)
}

/// Partitions of sums over so many bytes: such that one takes little memory, whatever its worker.
pub(super) fn sum_partitions(bytes: u64) -> usize {
    let wanted = usize::try_from(bytes / SUM_BYTES).unwrap_or(usize::MAX);
    wanted.clamp(1, KEY_BUCKETS)
}

/// A pass that learns, with what it learns.
fn learning(program: &Program, pass: usize) -> String {
    let steps = program.passes[pass].learns().map(|op| needing(program, op));
    let steps: Vec<String> = steps.collect();
    let also = if pass == 0 {
        ", and profiles the columns"
    } else {
        ""
    };
    format!(
        "pass {}, which learns for {}{also}",
        pass + 1,
        steps.join(" and ")
    )
}

/// The step of an operation, with the columns that it learns from.
fn needing(program: &Program, op: usize) -> String {
    let columns: Vec<&str> = program.ops[op]
        .op
        .reads()
        .iter()
        .map(|column| program.contract.columns[column].name.as_str())
        .collect();
    let columns = match columns.len() {
        0..=3 => columns.join(", "),
        count => format!("{count} columns"),
    };
    format!("{} ({columns})", program.step_of(op))
}

/// Figures rest on all rows while their values take at most a quarter of the memory limit; else on
/// a sample that does. The choice depends on the data and the job alone.
fn figure_sample(
    program: &Program,
    source: &Source,
    limit: usize,
    seed: u64,
) -> (Option<RowSample>, f64) {
    let statistics = program.ops.iter().filter_map(|op| op.op.statistic());
    let widths = statistics.map(Statistic::sampled_row_bytes);
    let bytes = widths.sum::<usize>() as u64;
    let room = (limit as u64 / 4).max(1 << 20);
    if bytes == 0 || source.total_rows.saturating_mul(bytes) <= room {
        return (None, 1.0);
    }
    let rows = room / bytes;
    (
        Some(RowSample::of(source.total_rows, rows, seed ^ 0x5eed)),
        rows as f64 / source.total_rows as f64,
    )
}
