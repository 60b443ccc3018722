//! A source whose cleaned rows are asked for, rather than written: what SQL plans and runs.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::Metric;

use super::audit::Audit;
use super::clock::Clock;
use super::discover::{discover, source_types};
use super::engine::{AllLearned, Engine};
use super::job::JobRun;
use crate::error::{Error, Result};
use crate::operators::{CleanExec, PassState, scan_groups};
use crate::profile::RowSample;
use crate::program::{PlanSpec, Program};
use crate::source::Source;
use crate::spec::JobSpec;
use crate::steps::ImpliedSteps;
use crate::storage::Place;

/// The cleaned rows of a source, planned: their schema is known.
#[derive(Debug)]
pub struct Relation {
    run: JobRun,
    source: Arc<Source>,
    recipe: Arc<PlanSpec>,
    program: Arc<Program>,
    schema: SchemaRef,
}

/// The cleaned rows of a source, ready to be read any number of times.
pub struct LearnedRelation {
    source: Arc<Source>,
    state: Arc<PassState>,
    schema: SchemaRef,
    /// Of the operations and statistics of the passes that learned.
    metrics: Vec<Arc<Metric>>,
    // Holds the memory of what was learned.
    _learned: AllLearned,
}

impl Relation {
    /// Plans the job of `run` for `source` instead of the source and the output that the job names.
    /// Looks at the values where the contract leaves a type open; blocks the thread for that time.
    pub fn plan(run: JobRun, source: Arc<Source>, implied: ImpliedSteps) -> Result<Self> {
        refuse_output_options(&run.spec)?;
        let contract = discover(
            &source,
            &run.spec.dataset,
            run.partitions(),
            run.looks_for_pii(),
            &run.progress,
        )?;
        let recipe = PlanSpec::new(run.spec.clone(), contract, source_types(&source));
        let recipe = Arc::new(recipe.with_implied(implied));
        let program = recipe.program()?;
        refuse_tokens(&program)?;
        Ok(Self {
            schema: program.output_schema(),
            run,
            source,
            recipe,
            program,
        })
    }

    /// The same, but for the rows of clusters of near duplicates in the place of those that stay, with four
    /// more columns: the cluster, the row's number, whether it stays, and its score.
    pub fn of_clusters(mut self) -> Self {
        let own = self
            .schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone());
        let number = |name: &str| Field::new(name, DataType::Int64, true);
        let more = [
            number("cluster_id"),
            number("row_id"),
            Field::new("survivor", DataType::Boolean, true),
            Field::new("score", DataType::Float64, true),
        ];
        self.schema = Arc::new(Schema::new(own.chain(more).collect::<Vec<_>>()));
        self
    }

    /// Schema of the cleaned rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The job, compiled.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What is cleaned.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// A relation of the same plan that has learned nothing: to be shown, not to be read.
    pub fn unlearned(&self) -> Arc<dyn ExecutionPlan> {
        let state = Arc::new(PassState {
            recipe: Arc::clone(&self.recipe),
            pass: self.program.passes.len() - 1,
            known: Vec::new(),
            rows_per_split: self.source.rows_per_split,
            total_rows: self.source.total_rows,
            first_row_id: 0,
            profile_sample: RowSample::of(0, 0, 0),
            figure_sample: None,
            remote: false,
            exchange: None,
            progress: Arc::clone(&self.run.progress),
        });
        let scan = scan_groups(&self.source, &[(0..self.source.split_count()).collect()]);
        Arc::new(CleanExec::new(scan, state, Arc::clone(&self.schema)))
    }

    /// Runs the passes that learn. What workers in other processes must know is stored in `folder`,
    /// which must outlive the relation.
    pub async fn learn(&self, folder: &Place) -> Result<LearnedRelation> {
        if self.run.cluster.is_some() {
            folder
                .make_folder()
                .map_err(|error| crate::Error::io(folder.clone(), error))?;
        }
        let recipe = Arc::clone(&self.recipe);
        let engine = Engine::new(&self.run, &self.source, recipe, folder.clone()).await?;
        let mut clock = Clock::start();
        let learned = engine.learn(&mut clock, &mut Audit::default()).await?;
        Ok(LearnedRelation {
            source: Arc::clone(&self.source),
            state: engine.last_state(&learned),
            schema: Arc::clone(&self.schema),
            metrics: clock.operations(),
            _learned: learned,
        })
    }
}

/// What tokens stand for lies in an output, which a relation has none of.
fn refuse_tokens(program: &Program) -> Result<()> {
    if program.token_columns().is_empty() {
        return Ok(());
    }
    let problem = "tokenize is for jobs, which have an output that keeps what tokens stand for";
    Err(Error::field("pii_strategy", problem))
}

/// Some options are of outputs, which a relation has none of.
fn refuse_output_options(spec: &JobSpec) -> Result<()> {
    let mut options = spec.steps.iter().flatten();
    match options.find_map(|step| step.step().output_option()) {
        Some(option) => Err(Error::field(option, "is for jobs, which have an output")),
        None => Ok(()),
    }
}

impl LearnedRelation {
    /// A plan that gives the cleaned rows of these splits, a partition for each group of them.
    pub fn scan(&self, groups: &[Vec<usize>]) -> Arc<dyn ExecutionPlan> {
        let scan = scan_groups(&self.source, groups);
        let (state, schema) = (Arc::clone(&self.state), Arc::clone(&self.schema));
        Arc::new(CleanExec::new(scan, state, schema).after(self.metrics.clone()))
    }
}

impl std::fmt::Debug for LearnedRelation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LearnedRelation")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
