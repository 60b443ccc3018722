//! The driver of a job: index, contract, passes, publication.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryPool;
use serde_json::json;
use uuid::Uuid;

use super::Admission;
use super::account::{ReportParts, build_report};
use super::audit::{Audit, now};
use super::checkpoint::Checkpoint;
use super::clock::Clock;
use super::discover::{discover, open_source, source_types};
use super::engine::Engine;
use super::explain::explain;
use super::gathered::merge_sketches;
use super::indexes::name_columns;
use super::workers::Cluster;
use super::{Phase, Progress};
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::profile::ColumnSketch;
use crate::program::{PlanSpec, Program};
use crate::report::{Report, render_html};
use crate::sink::{Account, Attempt, FileEntry, Manifest, Output, SinkOrder, Software};
use crate::source::Source;
use crate::spec::{ColumnSpec, JobSpec, Partitions, PiiStrategy, Secret};
use crate::storage::{LocationPolicy, Place};

/// A job and what it needs from the process that runs it.
#[derive(Debug)]
pub struct JobRun {
    /// The spec.
    pub spec: JobSpec,
    /// Which locations the spec may name, and where relative ones start.
    pub locations: LocationPolicy,
    /// The cluster whose executors do the passes; this process when none.
    pub cluster: Option<Arc<dyn Cluster>>,
    /// Memory that the job shares with others; its own, of `options.memory_limit`, when none.
    pub memory: Option<Arc<dyn MemoryPool>>,
    /// Where the job keeps what it learns until it is published, so that another attempt goes on from there; nowhere
    /// when none.
    pub checkpoint: Option<Place>,
    /// Two rows, the smaller first, of which near duplicates are to be explained; in this process only.
    pub(super) watched: Option<(u64, u64)>,
    /// Counters that the job keeps.
    pub progress: Arc<Progress>,
    /// Who is asked whether so many rows may be read, once they are counted; nobody when none.
    pub admission: Option<Admission>,
}

/// A job that was published.
#[derive(Debug)]
pub struct Finished {
    /// The report.
    pub report: Report,
    /// The output.
    pub output: Place,
    /// The files that the manifest names, from the output on.
    pub files: Vec<String>,
    /// Changed cells, by transformation and column.
    pub changed: Vec<ChangedColumn>,
}

/// How many cells of a column a transformation was the last to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedColumn {
    /// The transformation.
    pub transformation_id: String,
    /// The column.
    pub column: String,
    /// Cells.
    pub cells: u64,
    /// Of these, with a confidence below 1.
    pub uncertain: u64,
}

impl JobRun {
    /// A run of a spec of whoever runs the process: it may name any location; relative paths start at `base`.
    pub fn new(spec: JobSpec, base: PathBuf) -> Self {
        Self {
            spec,
            locations: LocationPolicy::everything(base),
            cluster: None,
            memory: None,
            checkpoint: None,
            watched: None,
            progress: Arc::default(),
            admission: None,
        }
    }

    /// Runs the job and publishes its output.
    pub async fn run(&self) -> Result<Finished> {
        let root = self.check()?;
        let output = Output::open(&root)?;
        let job_id = match &self.spec.options.job_id {
            Some(id) => id.clone(),
            None => Uuid::now_v7().to_string(),
        };
        let attempt = output.begin(&Uuid::now_v7().simple().to_string())?;
        match self.attempt(&attempt, &job_id).await {
            Ok((report, manifest, changed)) => {
                output.publish(&attempt, &manifest)?;
                let files = manifest.files.into_iter();
                Ok(Finished {
                    report,
                    output: root,
                    files: files.map(|file| file.path).collect(),
                    changed,
                })
            }
            Err(error) => {
                // The first error is the one to tell.
                let _ = output.abandon();
                Err(error)
            }
        }
    }

    /// What can be known to be wrong before anything is read or written. Gives the place of the
    /// output.
    fn check(&self) -> Result<Place> {
        let output = &self.spec.output;
        let place = self
            .locations
            .place(&output.location, output.credentials.as_ref());
        let place = place.map_err(|error| Error::field("output.location", error.to_string()))?;
        let dataset = &self.spec.dataset;
        let columns = dataset
            .columns
            .iter()
            .chain(dataset.schema.iter().flat_map(|s| &s.columns));
        let columns: Vec<&ColumnSpec> = columns.collect();
        let any = |wanted: PiiStrategy| {
            let default = dataset.pii_strategy.unwrap_or(PiiStrategy::Hash);
            columns.iter().any(|column| match column.pii_strategy {
                Some(strategy) => strategy == wanted,
                None => column.pii == Some(true) && default == wanted,
            })
        };
        if any(PiiStrategy::Hash) {
            crate::secret::resolve(&dataset.pii_salt.clone().unwrap_or_default())?;
        }
        if any(PiiStrategy::Tokenize) {
            let key = dataset.pii_token_key.clone();
            crate::secret::resolve(&key.unwrap_or_else(Secret::token_key))?;
        }
        Ok(place)
    }

    pub(super) fn partitions(&self) -> usize {
        match self.spec.options.partitions {
            Partitions::Count(count) => count,
            Partitions::Auto => {
                std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
            }
        }
    }

    async fn attempt(
        &self,
        attempt: &Attempt,
        job_id: &str,
    ) -> Result<(Report, Manifest, Vec<ChangedColumn>)> {
        let mut clock = Clock::start();
        let mut audit = Audit::default();
        audit.record(
            "job_started",
            json!({"job_id": job_id, "name": self.spec.name}),
        );
        self.progress.enter(Phase::Index, 0)?;
        let staging = self.staging(attempt)?;
        let source = self.open_source(&staging.place)?;
        clock.lap(Phase::Index);
        audit.record(
            "source_indexed",
            json!({"files": source.files.len(), "rows": source.total_rows, "splits": source.split_count()}),
        );
        if let Some(admission) = &self.admission {
            admission.admit(source.total_rows).await?;
        }
        let checkpoint = Checkpoint::of(self, &Uuid::now_v7().simple().to_string())?;
        let recalled = checkpoint.as_ref().and_then(Checkpoint::recall);
        let contract = match &recalled {
            Some(recalled) => recalled.contract.clone(),
            None => discover(
                &source,
                &self.spec.dataset,
                self.partitions(),
                self.looks_for_pii(),
                &self.progress,
            )?,
        };
        clock.lap(Phase::Infer);
        let spec = name_columns(self)?;
        let recipe = PlanSpec::new(spec, contract, source_types(&source));
        let program = recipe.program()?;
        audit.record(
            "contract_completed",
            json!({"columns": program.contract.columns.len()}),
        );
        let recipe = Arc::new(recipe);
        // What is kept outlives the attempt.
        let learned_folder = match &checkpoint {
            Some(checkpoint) => checkpoint.files.clone(),
            None => attempt.learned.clone(),
        };
        let engine = Engine::new(self, &source, recipe, learned_folder).await?;
        let learned = match recalled {
            Some(recalled) => {
                audit.record(
                    "learned_recalled",
                    json!({"passes": program.passes.len() - 1}),
                );
                engine.recall(recalled.known, recalled.before)?
            }
            None => {
                let learned = engine.learn(&mut clock, &mut audit).await?;
                if let Some(checkpoint) = &checkpoint
                    && program.passes.len() > 1
                {
                    let known = engine.stored(&learned)?;
                    checkpoint.keep(&program.contract, known, &learned.before);
                }
                learned
            }
        };
        let order = SinkOrder {
            folder: attempt.parts.clone(),
            job_id: job_id.to_owned(),
            various: various_columns(&learned.before),
        };
        let mut written = engine.publish(order, &learned, &mut clock).await?;
        let indexes = engine.complete_indexes(&attempt.parts, &learned)?;
        written.files.extend(indexes);
        clock.lap(Phase::Write);
        audit.record(
            "data_written",
            json!({"files": written.files.len(), "rows": written.account.clean_rows}),
        );
        self.progress.enter(Phase::Publish, 0)?;
        // Each column is profiled by one of the two.
        let mut before = learned.before;
        merge_sketches(&mut before, std::mem::take(&mut written.before));
        let changed = changed_columns(&program, &written.account);
        let (report, manifest) = self.publish(
            attempt,
            job_id,
            ReportParts {
                spec: &self.spec,
                job_id,
                source: &source,
                program: &program,
                learned: &learned.learned,
                sampled: engine.sampled,
                first_row_id: engine.first_row_id(),
                before,
                written,
            },
            clock,
            audit,
        )?;
        Ok((report, manifest, changed))
    }

    /// Opens the source; `staging` takes decoded copies.
    pub(super) fn open_source(&self, staging: &Place) -> Result<Arc<Source>> {
        let rows_per_split = self.spec.output.rows_per_file;
        open_source(&self.spec.source, rows_per_split, &self.locations, staging)
    }

    /// Where decoded copies of the source go: where the job says, else beside the output, but not into
    /// a store that no other process reads them from.
    fn staging(&self, attempt: &Attempt) -> Result<Staging> {
        let folder = match (&self.spec.options.temp_dir, &attempt.staging) {
            (Some(folder), _) => {
                let folder = self.locations.base().join(folder);
                tempfile::tempdir_in(&folder).map_err(|error| Error::io(folder, error))?
            }
            (None, Place::Object(_)) if self.cluster.is_none() => {
                let made = tempfile::tempdir();
                made.map_err(|error| Error::io(std::env::temp_dir(), error))?
            }
            (None, place) => {
                return Ok(Staging {
                    place: place.clone(),
                    _folder: None,
                });
            }
        };
        Ok(Staging {
            place: Place::own(folder.path()),
            _folder: Some(folder),
        })
    }

    /// Whether the values must be looked at for personal data that the contract does not name.
    pub(super) fn looks_for_pii(&self) -> bool {
        let mut steps = self.spec.steps.iter().flatten();
        self.spec.dataset.pii_detect
            || steps.any(|step| step.step().privacy().is_some_and(|privacy| privacy.detect))
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
        let first_row_id = parts.first_row_id;
        let mut report = build_report(parts)?;
        report.generated_at = Some(now());
        clock.lap(Phase::Publish);
        report.timings = clock.seconds();
        let html = render_html(&report)?;
        let root = &attempt.parts.files;
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
            first_row_id,
            files,
        };
        Ok((report, manifest))
    }
}

fn changed_columns(program: &Program, account: &Account) -> Vec<ChangedColumn> {
    let columns = &program.contract.columns;
    let counts = account.cells.iter().map(|count| ChangedColumn {
        transformation_id: program.transformations[usize::from(count.transformation)]
            .id
            .clone(),
        column: columns[count.column].name.clone(),
        cells: count.cells,
        uncertain: count.uncertain,
    });
    counts.collect()
}

/// Where decoded copies of the source lie.
struct Staging {
    place: Place,
    // A temporary folder goes with the job.
    _folder: Option<tempfile::TempDir>,
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

/// What a job would do, pass by pass, in words. Reads the source's index, and its values only where
/// the contract leaves a type open.
pub fn explain_job(run: &JobRun, staging: &Place) -> Result<String> {
    let source = run.open_source(staging)?;
    let contract: Contract = discover(
        &source,
        &run.spec.dataset,
        run.partitions(),
        run.looks_for_pii(),
        &run.progress,
    )?;
    let program = Program::compile(&run.spec, &contract, &source_types(&source))?;
    Ok(explain(&program, &source))
}
