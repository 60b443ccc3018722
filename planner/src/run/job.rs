//! The driver of a job: index, contract, passes, publication.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Array, AsArray, RecordBatch};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use serde_json::json;
use uuid::Uuid;

use super::account::{ReportParts, build_report};
use super::audit::{Audit, now};
use super::discover::{PROFILE_ROWS, discover, open_source, source_types};
use super::learn::{PassLogs, Summing, merge_sketches};
use super::{Phase, Progress};
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::learn::GoneRows;
use crate::operators::{
    LOG_TIME, LearnExec, LearnedState, PARSE_TIME, PublishExec, STEP_TIME, WRITE_TIME, scan_splits,
};
use crate::profile::{ColumnSketch, RowSample};
use crate::program::{Learned, Need, Program};
use crate::report::{Report, render_html};
use crate::session::session_in;
use crate::sink::{
    Account, Attempt, FileEntry, Manifest, OutputFolder, SinkPlan, Software, SplitOutcome,
};
use crate::source::Source;
use crate::spec::{JobSpec, Partitions, PiiStrategy};

/// A job and what it needs from the process that runs it.
#[derive(Debug)]
pub struct JobRun {
    /// The spec.
    pub spec: JobSpec,
    /// Where relative paths of the spec start.
    pub base: PathBuf,
    /// Counters that the job keeps.
    pub progress: Arc<Progress>,
}

/// A job that was published.
#[derive(Debug)]
pub struct Finished {
    /// The report.
    pub report: Report,
    /// The output.
    pub output: PathBuf,
}

impl JobRun {
    /// A run of a spec whose relative paths start at `base`.
    pub fn new(spec: JobSpec, base: PathBuf) -> Self {
        Self {
            spec,
            base,
            progress: Arc::default(),
        }
    }

    /// Runs the job in this process and publishes its output.
    pub async fn run(&self) -> Result<Finished> {
        self.check()?;
        let root = self.base.join(&self.spec.output.location);
        let folder = OutputFolder::open(&root)?;
        let job_id = match &self.spec.options.job_id {
            Some(id) => id.clone(),
            None => Uuid::now_v7().to_string(),
        };
        let attempt = folder.begin(&Uuid::now_v7().simple().to_string())?;
        match self.attempt(&attempt, &job_id).await {
            Ok((report, manifest)) => {
                folder.publish(&attempt, &manifest)?;
                Ok(Finished {
                    report,
                    output: root,
                })
            }
            Err(error) => {
                // The first error is the one to tell.
                let _ = folder.abandon();
                Err(error)
            }
        }
    }

    /// What can be known to be wrong before anything is read or written.
    fn check(&self) -> Result<()> {
        if self.spec.output.location.is_empty() {
            return Err(Error::field("output.location", "expected a directory"));
        }
        if self.spec.output.location.contains("://") {
            let problem = "this version writes to directories of this machine only";
            return Err(Error::field("output.location", problem));
        }
        let dataset = &self.spec.dataset;
        let columns = dataset
            .columns
            .iter()
            .chain(dataset.schema.iter().flat_map(|s| &s.columns));
        let hashed = columns.into_iter().any(|column| {
            let default = dataset.pii_strategy.unwrap_or(PiiStrategy::Hash);
            match column.pii_strategy {
                Some(strategy) => strategy == PiiStrategy::Hash,
                None => column.pii == Some(true) && default == PiiStrategy::Hash,
            }
        });
        if hashed {
            crate::secret::resolve(&dataset.pii_salt.clone().unwrap_or_default())?;
        }
        Ok(())
    }

    fn partitions(&self) -> usize {
        match self.spec.options.partitions {
            Partitions::Count(count) => count,
            Partitions::Auto => {
                std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
            }
        }
    }

    async fn attempt(&self, attempt: &Attempt, job_id: &str) -> Result<(Report, Manifest)> {
        let mut clock = Clock::start();
        let mut audit = Audit::default();
        audit.record(
            "job_started",
            json!({"job_id": job_id, "name": self.spec.name}),
        );
        self.progress.enter(Phase::Index, 0)?;
        let source = open_source(
            &self.spec.source,
            self.spec.output.rows_per_file,
            &self.base,
            &attempt.staging,
        )?;
        clock.lap(Phase::Index);
        audit.record(
            "source_indexed",
            json!({"files": source.files.len(), "rows": source.total_rows, "splits": source.split_count()}),
        );
        let contract = discover(
            &source,
            &self.spec.dataset,
            self.partitions(),
            self.looks_for_pii(),
            &self.progress,
        )?;
        clock.lap(Phase::Infer);
        let program = Arc::new(Program::compile(
            &self.spec,
            &contract,
            &source_types(&source),
        )?);
        audit.record(
            "contract_completed",
            json!({"columns": contract.columns.len()}),
        );
        let engine = Engine::new(self, &source, &program)?;
        let learned = engine.learn(&mut clock, &mut audit).await?;
        let various = various_columns(&learned.before);
        let sink = self.sink(attempt, job_id, &source, &program, various)?;
        let mut written = engine.publish(Arc::new(sink), &learned, &mut clock).await?;
        clock.lap(Phase::Write);
        audit.record(
            "data_written",
            json!({"files": written.files.len(), "rows": written.account.clean_rows}),
        );
        self.progress.enter(Phase::Publish, 0)?;
        self.publish(
            attempt,
            job_id,
            ReportParts {
                spec: &self.spec,
                job_id,
                source: &source,
                program: &program,
                learned: &learned.learned,
                sampled: engine.sampled,
                before: merge_sketches(
                    [learned.before, std::mem::take(&mut written.before)].into_iter(),
                ),
                written,
            },
            clock,
            audit,
        )
    }

    /// Whether the values must be looked at for personal data that the contract does not name.
    fn looks_for_pii(&self) -> bool {
        let mut steps = self.spec.steps.iter().flatten();
        self.spec.dataset.pii_detect
            || steps.any(|step| match step {
                crate::steps::StepSpec::Pii(step) => step.detect,
                _ => false,
            })
    }

    fn sink(
        &self,
        attempt: &Attempt,
        job_id: &str,
        source: &Source,
        program: &Arc<Program>,
        various: Vec<bool>,
    ) -> Result<SinkPlan> {
        SinkPlan::new(
            Arc::clone(program),
            attempt.files.clone(),
            job_id,
            &self.spec.output,
            source.files.iter().map(|file| file.path.clone()).collect(),
            RowSample::of(source.total_rows, PROFILE_ROWS, self.spec.options.seed),
            various,
        )
    }

    fn publish(
        &self,
        attempt: &Attempt,
        job_id: &str,
        parts: ReportParts<'_>,
        mut clock: Clock,
        mut audit: Audit,
    ) -> Result<(Report, Manifest)> {
        let mut files = parts.written.files.clone();
        let contract = serde_json::to_value(&parts.program.contract)?;
        let mut report = build_report(parts)?;
        report.generated_at = Some(now());
        clock.lap(Phase::Publish);
        report.timings = clock.seconds();
        let html = render_html(&report)?;
        let root = &attempt.files;
        files.push(FileEntry::write(
            root,
            "report.json",
            &serde_json::to_vec_pretty(&report)?,
        )?);
        files.push(FileEntry::write(root, "report.html", html.as_bytes())?);
        for step in &report.transformations_applied {
            audit.record(
                "transformation_applied",
                json!({"id": step.id, "type": step.step, "rows_removed": step.rows_removed, "rows_modified": step.rows_modified}),
            );
        }
        audit.record("output_published", json!({"files": files.len() + 1}));
        files.push(FileEntry::write(root, "audit.json", &audit.to_json()?)?);
        let manifest = Manifest {
            version: 1,
            job_id: job_id.to_owned(),
            created_at: now(),
            spec: serde_json::to_value(&self.spec)?,
            contract,
            software: Software {
                data_sanitizer: env!("CARGO_PKG_VERSION").to_owned(),
                datafusion: datafusion::DATAFUSION_VERSION.to_owned(),
            },
            files,
        };
        Ok((report, manifest))
    }
}

/// Seconds by phase.
struct Clock {
    begun: Instant,
    last: Instant,
    laps: BTreeMap<String, f64>,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            last: now,
            laps: BTreeMap::new(),
        }
    }

    fn lap(&mut self, phase: Phase) {
        let now = Instant::now();
        *self.laps.entry(phase.name()).or_default() += (now - self.last).as_secs_f64();
        self.last = now;
    }

    /// Adds the processor time that the operators of a plan have measured.
    fn add_metrics(&mut self, plan: &dyn ExecutionPlan) {
        for name in [PARSE_TIME, STEP_TIME, LOG_TIME, WRITE_TIME] {
            let metric = plan.metrics().and_then(|metrics| metrics.sum_by_name(name));
            let Some(MetricValue::Time { time, .. }) = metric else {
                continue;
            };
            let seconds = time.value() as f64 / 1e9;
            *self.laps.entry(format!("cpu_{name}")).or_default() += seconds;
        }
        for child in plan.children() {
            self.add_metrics(child.as_ref());
        }
    }

    fn seconds(mut self) -> BTreeMap<String, f64> {
        self.laps
            .insert("total".to_owned(), self.begun.elapsed().as_secs_f64());
        self.laps
    }
}

/// What was learned by a job's passes.
struct AllLearned {
    learned: Vec<Option<Arc<Learned>>>,
    before: Vec<Option<ColumnSketch>>,
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

/// Runs the passes of a program over a source in this process.
struct Engine<'a> {
    run: &'a JobRun,
    source: &'a Arc<Source>,
    program: &'a Arc<Program>,
    context: Arc<TaskContext>,
    /// Share of the rows that figures rest on.
    sampled: f64,
    figure_sample: Option<RowSample>,
    partitions: usize,
}

impl<'a> Engine<'a> {
    fn new(run: &'a JobRun, source: &'a Arc<Source>, program: &'a Arc<Program>) -> Result<Self> {
        let limit = usize::try_from(run.spec.options.memory_limit.0).unwrap_or(usize::MAX);
        let pool: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(limit));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&pool))
            .build_arc()?;
        let partitions = run.partitions().min(source.split_count().max(1));
        let config = SessionConfig::new().with_target_partitions(partitions);
        let session = session_in(config, runtime);
        let (figure_sample, sampled) = figure_sample(program, source, limit, run.spec.options.seed);
        Ok(Self {
            run,
            source,
            program,
            context: session.task_ctx(),
            sampled,
            figure_sample,
            partitions,
        })
    }

    fn state(&self, pass: usize, learned: &[Option<Arc<Learned>>]) -> LearnedState {
        LearnedState {
            program: Arc::clone(self.program),
            pass,
            learned: Arc::new(learned.to_vec()),
            rows_per_split: self.source.rows_per_split,
            total_rows: self.source.total_rows,
            profile_sample: RowSample::of(
                self.source.total_rows,
                PROFILE_ROWS,
                self.run.spec.options.seed,
            ),
            figure_sample: self.figure_sample,
            progress: Arc::clone(&self.run.progress),
        }
    }

    /// Runs every pass that learns.
    async fn learn(&self, clock: &mut Clock, audit: &mut Audit) -> Result<AllLearned> {
        let mut learned: Vec<Option<Arc<Learned>>> = vec![None; self.program.ops.len()];
        let mut before = Vec::new();
        let splits: Vec<usize> = (0..self.source.split_count()).collect();
        let memory = MemoryConsumer::new("what was learned").register(self.context.memory_pool());
        for pass in 0..self.program.passes.len() - 1 {
            self.run
                .progress
                .enter(Phase::Learn(pass + 1), self.source.total_rows)?;
            let scan = scan_splits(self.source, &splits, self.partitions);
            let plan = Arc::new(LearnExec::new(scan, self.state(pass, &learned)));
            let mut logs = PassLogs::default();
            let held = memory.new_empty();
            let learns: Vec<usize> = self.program.passes[pass].learns().collect();
            self.collect(plan, clock, |batch| {
                held.try_grow(batch.get_array_memory_size())?;
                logs.add(&batch)
            })
            .await
            .map_err(|error| self.explained(error, || learning(self.program, pass)))?;
            if pass == 0 {
                before = logs.take_profiles();
            }
            let mut gone = GoneRows::default();
            let summing = Summing {
                sampled: self.sampled,
                threads: self.partitions,
                memory: &memory,
            };
            for op in learns {
                let answer = logs
                    .sum(self.program, op, &mut gone, &summing)
                    .map_err(|error| {
                        self.explained(error, || {
                            format!("what {} learns", needing(self.program, op))
                        })
                    })?;
                learned[op] = Some(Arc::new(answer));
            }
            clock.lap(Phase::Learn(pass + 1));
            audit.record("pass_finished", json!({"pass": pass + 1}));
        }
        Ok(AllLearned {
            learned,
            before,
            _memory: memory,
        })
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

    /// Runs the pass that writes.
    async fn publish(
        &self,
        sink: Arc<SinkPlan>,
        learned: &AllLearned,
        clock: &mut Clock,
    ) -> Result<Written> {
        self.run
            .progress
            .enter(Phase::Write, self.source.total_rows)?;
        let splits: Vec<usize> = (0..self.source.split_count()).collect();
        let scan = scan_splits(self.source, &splits, self.partitions);
        let state = self.state(self.program.passes.len() - 1, &learned.learned);
        let plan = PublishExec::new(scan, state, Arc::clone(&sink));
        let mut outcomes: BTreeMap<u64, SplitOutcome> = BTreeMap::new();
        self.collect(Arc::new(plan), clock, |batch| {
            let column = batch.column(0).as_binary::<i32>();
            for row in 0..column.len() {
                let outcome: SplitOutcome = serde_json::from_slice(column.value(row))?;
                outcomes.insert(outcome.split, outcome);
            }
            Ok(())
        })
        .await
        .map_err(|error| self.explained(error, || "writing the output".to_owned()))?;
        if outcomes.len() != self.source.split_count() {
            return Err(Error::Bug("a split was not written"));
        }
        if outcomes.is_empty() {
            // Readers find the columns in an output without rows too.
            let empty = crate::sink::PartWriter::create(sink, 0)?.finish()?;
            outcomes.insert(0, empty);
        }
        let mut files = Vec::new();
        let mut account = Account::new(self.program);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for outcome in outcomes.into_values() {
            files.extend(outcome.files);
            account.merge(outcome.account);
            before.push(outcome.before);
            after.push(outcome.after);
        }
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(Written {
            files,
            account,
            before: merge_sketches(before.into_iter()),
            after: merge_sketches(after.into_iter()),
        })
    }

    /// Runs every partition of a plan as a task of its own and hands each batch to `take`.
    async fn collect(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        clock: &mut Clock,
        mut take: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
        let mut tasks = tokio::task::JoinSet::new();
        for partition in 0..plan.output_partitioning().partition_count() {
            let mut stream = plan.execute(partition, Arc::clone(&self.context))?;
            let sender = sender.clone();
            let progress = Arc::clone(&self.run.progress);
            tasks.spawn(async move {
                while let Some(batch) = stream.next().await {
                    let batch = batch.map_err(Error::from).and_then(|batch| {
                        progress.check()?;
                        Ok(batch)
                    });
                    let failed = batch.is_err();
                    if sender.send(batch).await.is_err() || failed {
                        return;
                    }
                }
            });
        }
        drop(sender);
        while let Some(batch) = receiver.recv().await {
            take(batch?)?;
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|_| Error::Bug("a task of the plan panicked"))?;
        }
        clock.add_metrics(plan.as_ref());
        Ok(())
    }
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

/// Different values beyond which the dictionary of a part would not fit in its page.
const MOST_WORDS: u64 = 50_000;

/// Columns whose values are too many for a dictionary, or of which fewer than one in four repeats,
/// as far as an earlier pass has seen them.
fn various_columns(before: &[Option<ColumnSketch>]) -> Vec<bool> {
    let various = |sketch: &Option<ColumnSketch>| {
        let profile = sketch.as_ref().map(|sketch| sketch.finish("", ""));
        profile.is_some_and(|profile| {
            profile.distinct > MOST_WORDS || profile.distinct * 4 > profile.rows
        })
    };
    before.iter().map(various).collect()
}

/// Figures rest on all rows while their values take at most a quarter of the memory limit; else on
/// a sample that does. The choice depends on the data and the job alone.
fn figure_sample(
    program: &Program,
    source: &Source,
    limit: usize,
    seed: u64,
) -> (Option<RowSample>, f64) {
    let needs = program.ops.iter().filter_map(|op| op.op.need());
    let widths = needs.map(|need| match need {
        Need::Figures(need) => need.figures.len() * 24 + if need.by.is_empty() { 8 } else { 24 },
        _ => 0,
    });
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

/// What a job would do, pass by pass, in words. Reads the source's index, and its values only where
/// the contract leaves a type open.
pub fn explain_job(run: &JobRun, staging: &Path) -> Result<String> {
    let source = open_source(
        &run.spec.source,
        run.spec.output.rows_per_file,
        &run.base,
        staging,
    )?;
    let contract: Contract = discover(
        &source,
        &run.spec.dataset,
        run.partitions(),
        run.looks_for_pii(),
        &run.progress,
    )?;
    let program = Program::compile(&run.spec, &contract, &source_types(&source))?;
    Ok(super::account::explain(&program, &source))
}
