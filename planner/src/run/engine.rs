//! The passes of a program over a source: their plans, and what comes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryPool, MemoryReservation,
};
use datafusion::physical_plan::ExecutionPlan;
use serde_json::json;

use super::audit::Audit;
use super::clock::Clock;
use super::discover::PROFILE_ROWS;
use super::earlier::{Earlier, carry_on};
use super::in_order::InOrder;
use super::job::JobRun;
use super::learn::{PassLogs, Summing, merge_sketches};
use super::near::{self, Found};
use super::workers::Workers;
use super::{Phase, Progress};
use crate::error::{Error, Result};
use crate::learn::{KEY_BUCKETS, RemovedRows};
use crate::matching::{IndexHead, MatchingNeed, index_files};
use crate::operation::{Learned, LearnedFile, Need, RepeatsFiles, Splits};
use crate::operators::{
    BucketSum, Known, LearnExec, PassState, PublishExec, SumExec, SumOrder, scan_splits,
};
use crate::profile::{ColumnSketch, RowSample};
use crate::program::{PlanSpec, Program};
use crate::sink::{Account, FileEntry, PartFolder, PartWriter, SinkOrder, SinkPlan, SplitOutcome};
use crate::source::Source;
use crate::storage::Place;

/// Estimated memory per shuffled key, in bytes.
pub(super) const KEY_BYTES: u64 = 32;

/// Bytes of the keys by which a row may meet others.
pub(super) const ROW_KEYS_BYTES: u64 = 480;

/// Bytes of keys that one partition of a sum holds.
const SUM_BYTES: u64 = 16 << 20;

/// What was learned by a job's passes.
pub(super) struct AllLearned {
    pub(super) learned: Vec<Option<Arc<Learned>>>,
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
            Some(address) => Workers::cluster(address).await?,
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
            progress: Arc::clone(self.progress()),
        })
    }

    /// How the source is cut.
    fn cut(&self) -> Splits {
        Splits {
            count: self.source.split_count(),
            rows: self.source.rows_per_split,
        }
    }

    fn splits(&self) -> Vec<usize> {
        (0..self.source.split_count()).collect()
    }

    fn scan(&self, splits: &[usize]) -> Arc<dyn ExecutionPlan> {
        scan_splits(self.source, splits, self.workers.partitions(splits.len()))
    }

    /// Runs every pass that learns.
    pub(super) async fn learn(&self, clock: &mut Clock, audit: &mut Audit) -> Result<AllLearned> {
        let mut learned: Vec<Option<Arc<Learned>>> = vec![None; self.program.ops.len()];
        let mut known: Vec<Known> = vec![Known::Nothing; self.program.ops.len()];
        let mut before = Vec::new();
        // By the operation that compares the pairs.
        let mut found: BTreeMap<usize, Found> = BTreeMap::new();
        let memory = MemoryConsumer::new("what was learned").register(&self.memory);
        let passes = self.program.passes.len() - 1;
        self.progress().expect_passes(passes);
        for pass in 0..passes {
            self.progress()
                .enter(Phase::Learn(pass + 1), self.source.total_rows)?;
            let state = self.state(pass, &known);
            let order = self.sum_order(pass, &found)?;
            let plan = |splits: &[usize]| -> Result<Arc<dyn ExecutionPlan>> {
                let learn = LearnExec::new(self.scan(splits), Arc::clone(&state));
                Ok(match &order {
                    None => Arc::new(learn),
                    Some(order) => {
                        let partitions = sum_partitions(self.summed_bytes(pass));
                        let learn = Arc::new(learn);
                        Arc::new(SumExec::over(learn, partitions, order.clone())?)
                    }
                })
            };
            let alone = order.is_none();
            let mut logs = PassLogs::default();
            let held = memory.new_empty();
            let learns: Vec<usize> = self.program.passes[pass].learns().collect();
            self.workers
                .run(
                    (self.splits(), alone),
                    plan,
                    self.progress(),
                    clock,
                    |batch| {
                        held.try_grow(batch.get_array_memory_size())?;
                        logs.add(&batch)
                    },
                )
                .await
                .map_err(|error| self.explained(error, || learning(&self.program, pass)))?;
            if pass == 0 {
                before = logs.take_profiles();
            }
            let mut gone = RemovedRows::default();
            let summing = Summing {
                watched: self.run.watched,
                rows: self.source.total_rows,
                sampled: self.sampled,
                threads: self.run.partitions(),
                memory: &memory,
            };
            for op in learns {
                let need = self.program.ops[op].op.need();
                let ordered = order.as_ref().is_some_and(|order| order.learns(op));
                if let Some(Need::Sample(need)) = &need {
                    let earlier = self.earlier.of(op).map(AsRef::as_ref);
                    let sampled = near::sample(need, &logs.take_op(op), earlier, &summing)?;
                    let plan = Arc::new(Learned::KeyPlan(Arc::clone(&sampled.plan)));
                    known[op] = self.known(op, &plan)?;
                    found.insert(op + 1, sampled);
                    continue;
                }
                if let Some(Need::Candidates(need) | Need::Matches(need)) = &need {
                    let near = NearDuplicates {
                        engine: self,
                        op,
                        need,
                        ordered,
                        summing: &summing,
                    };
                    let (known_now, answer) = near
                        .sum(logs.take_buckets(op), &mut found, &mut gone)
                        .map_err(|error| {
                            self.explained(error, || {
                                format!("what {} learns", needing(&self.program, op))
                            })
                        })?;
                    known[op] = known_now;
                    learned[op] = answer;
                    continue;
                }
                if order.as_ref().is_some_and(|order| order.learns(op)) {
                    known[op] = Known::Stored(LearnedFile::Repeats(RepeatsFiles {
                        folder: self.learned_folder.clone(),
                        op,
                        buckets: logs.found_buckets(op, &mut gone)?,
                    }));
                    continue;
                }
                let answer = logs
                    .sum(&self.program, op, &mut gone, &summing)
                    .map_err(|error| {
                        self.explained(error, || {
                            format!("what {} learns", needing(&self.program, op))
                        })
                    })?;
                let answer = Arc::new(answer);
                known[op] = self.known(op, &answer)?;
                learned[op] = Some(answer);
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

    /// What was learned, in files that outlive this process; none where some of it is not kept in files.
    pub(super) fn stored(&self, learned: &AllLearned) -> Result<Option<Vec<Option<LearnedFile>>>> {
        let mut files = Vec::with_capacity(learned.known.len());
        for (op, known) in learned.known.iter().enumerate() {
            files.push(match known {
                Known::Nothing => None,
                Known::Stored(file) => Some(file.clone()),
                Known::Here(learned) => match learned.as_ref() {
                    Learned::Repeats(repeats) => {
                        let folder = &self.learned_folder;
                        RepeatsFiles::write(folder, (op, 0), repeats, self.cut())?;
                        Some(LearnedFile::Repeats(RepeatsFiles {
                            folder: folder.clone(),
                            op,
                            buckets: vec![0],
                        }))
                    }
                    Learned::Figures(_) | Learned::Values(_) => {
                        Some(LearnedFile::write(&self.learned_folder, op, learned)?)
                    }
                    _ => return Ok(None),
                },
            });
        }
        Ok(Some(files))
    }

    /// What an earlier attempt has learned, from its files.
    pub(super) fn recall(
        &self,
        files: Vec<Option<LearnedFile>>,
        before: Vec<Option<ColumnSketch>>,
    ) -> Result<AllLearned> {
        let mut learned = Vec::with_capacity(files.len());
        for file in &files {
            learned.push(match file {
                Some(file) if file.is_for_all() => Some(Arc::new(file.of_split(0)?)),
                _ => None,
            });
        }
        let known = files.into_iter();
        let known = known.map(|file| file.map_or(Known::Nothing, Known::Stored));
        Ok(AllLearned {
            learned,
            known: known.collect(),
            before,
            _memory: MemoryConsumer::new("what was learned").register(&self.memory),
        })
    }

    /// What was learned for an operation, as the workers get it.
    fn known(&self, op: usize, learned: &Arc<Learned>) -> Result<Known> {
        if self.workers.share_memory() {
            return Ok(Known::Here(Arc::clone(learned)));
        }
        let file = LearnedFile::write(&self.learned_folder, op, learned)?;
        Ok(Known::Stored(file))
    }

    /// What a pass of workers in other processes finds of keys; none where it learns none, or where
    /// this process finds it by itself.
    fn sum_order(&self, pass: usize, found: &BTreeMap<usize, Found>) -> Result<Option<SumOrder>> {
        if self.workers.share_memory() {
            return Ok(None);
        }
        let mut sums = Vec::new();
        let mut figures = false;
        for op in self.program.passes[pass].learns() {
            match self.program.ops[op].op.need() {
                Some(Need::Repeats(need)) => sums.push((op, BucketSum::Repeats(need.keep))),
                Some(Need::Figures(_)) => figures |= !sums.is_empty(),
                Some(Need::Candidates(need)) => {
                    let meeting = near::meeting(&need, found.get(&op));
                    let earlier = self.earlier.of(op).cloned();
                    sums.push((op, BucketSum::Pairs { meeting, earlier }));
                }
                Some(Need::Matches(need)) => {
                    let found = found.get(&op).ok_or(Error::Bug("matches without pairs"))?;
                    let sample = self.learned_folder.join(&format!("op-{op}-sample.json"));
                    let io = |error| Error::io(&sample, error);
                    let mut file = sample.create().map_err(io)?;
                    serde_json::to_writer(&mut file, &found.sample)?;
                    file.finish().map_err(io)?;
                    let earlier = self.earlier.of(op).cloned();
                    let scores = BucketSum::Scores {
                        need: Box::new(need),
                        sample,
                        earlier,
                    };
                    sums.push((op, scores));
                }
                _ => {}
            }
        }
        let drops = sums
            .iter()
            .any(|(op, _)| self.program.ops[*op].op.drops_rows());
        let all = RowSample::of(0, 0, 0);
        Ok((!sums.is_empty()).then(|| SumOrder {
            folder: self.learned_folder.clone(),
            splits: self.cut(),
            // Figures are of the rows that stay.
            told: (figures && drops).then(|| self.figure_sample.unwrap_or(all)),
            sums,
        }))
    }

    /// Bytes of what a pass sums up bucket by bucket, about.
    fn summed_bytes(&self, pass: usize) -> u64 {
        let ops = self.program.passes[pass].learns();
        let needs = ops.filter_map(|op| self.program.ops[op].op.need());
        let most = needs.map(|need| match need {
            Need::Candidates(_) | Need::Matches(_) => ROW_KEYS_BYTES,
            _ => KEY_BYTES,
        });
        let row = most.max().unwrap_or(KEY_BYTES);
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

    /// Writes what belongs to the indexes of an output beside the parts of its splits: the rows of earlier
    /// outputs, and the heads.
    pub(super) fn complete_indexes(
        &self,
        parts: &PartFolder,
        learned: &AllLearned,
    ) -> Result<Vec<FileEntry>> {
        let next_row_id = self.first_row_id() + self.source.total_rows;
        let mut files = Vec::new();
        for (op, need) in self.program.indexes() {
            let transformation = usize::from(self.program.ops[op].transformation);
            let transformation = &self.program.transformations[transformation].id;
            if let Some(earlier) = self.earlier.of(op) {
                files.extend(carry_on(earlier, transformation, parts)?);
            }
            let Some(Learned::Matches(matches)) = learned.learned[op].as_deref() else {
                return Err(Error::Bug("an index of matches that were not learned"));
            };
            let (contract, agreement) = (&self.program.contract, matches.agreement.clone());
            let head = IndexHead::new(&need, contract, &matches.plan, agreement, next_row_id)?;
            let name = index_files::head(transformation);
            let content = serde_json::to_vec_pretty(&head)?;
            files.push(FileEntry::write(&parts.files, &name, &content)?);
        }
        Ok(files)
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

/// Near duplicates in what a pass has taken down.
struct NearDuplicates<'a> {
    engine: &'a Engine<'a>,
    op: usize,
    need: &'a MatchingNeed,
    /// Whether workers have summed it up.
    ordered: bool,
    summing: &'a Summing<'a>,
}

impl NearDuplicates<'_> {
    /// What the operation has learned: as the workers get it, and as this process keeps it.
    fn sum(
        &self,
        logs: BTreeMap<u16, Vec<RecordBatch>>,
        found: &mut BTreeMap<usize, Found>,
        gone: &mut RemovedRows,
    ) -> Result<(Known, Option<Arc<Learned>>)> {
        let folder = &self.engine.learned_folder;
        let earlier = self.engine.earlier.of(self.op).map(AsRef::as_ref);
        if self.engine.program.ops[self.op].op.is_prerequisite() {
            let mut now = match found.remove(&self.op) {
                Some(sampled) => sampled,
                // What texts are cut into was said.
                None => near::sample(self.need, &[], earlier, self.summing)?,
            };
            let meeting = near::meeting(self.need, Some(&now));
            let known = if self.ordered {
                let files = RepeatsFiles {
                    folder: folder.clone(),
                    op: self.op,
                    buckets: near::pairs_there(&mut now, logs)?,
                };
                Known::Stored(LearnedFile::Candidates {
                    files,
                    least_shared: meeting.least_shared,
                })
            } else {
                let pairs = near::pairs_here(&mut now, meeting, logs, earlier, self.summing)?;
                Known::Here(Arc::new(Learned::Candidates(pairs)))
            };
            found.insert(self.op + 1, now);
            return Ok((known, None));
        }
        let pairs = found.remove(&self.op);
        let pairs = pairs.ok_or(Error::Bug("matches without pairs"))?;
        let program = &self.engine.program;
        let matches = if self.ordered {
            let own = (self.op, self.need);
            near::matches_there(program, own, &pairs, logs, (folder, earlier), self.summing)?
        } else {
            near::matches_here(program, self.need, &pairs, logs, earlier, self.summing)?
        };
        let removed = matches.rows.iter().filter(|row| row.row != row.survivor);
        gone.extend(removed.map(|row| row.row));
        let known = if self.engine.workers.share_memory() {
            None
        } else {
            let place = folder.join(&format!("op-{}-matches.arrow", self.op));
            matches.write(&place, self.engine.cut())?;
            Some(Known::Stored(LearnedFile::Matches(place)))
        };
        let answer = Arc::new(Learned::Matches(matches));
        let known = known.unwrap_or_else(|| Known::Here(Arc::clone(&answer)));
        Ok((known, Some(answer)))
    }
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
