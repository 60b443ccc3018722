//! The last pass of a relation: applies everything and gives the cleaned rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, Time};

use super::STEP_TIME;
use super::pass::{PassExec, PassWork, SplitWorker};
use super::state::{PassState, SplitKnowledge, Workplace};
use crate::error::{Error, Result};
use crate::program::{Frame, Program};
use crate::source::Source;

/// Applies the program to each split and gives the rows that stay, in the order of the source.
pub type CleanExec = PassExec<Cleaning>;

/// What the last pass of a relation works with.
pub struct Cleaning {
    pub(crate) state: Arc<PassState>,
    /// Schema of the cleaned rows.
    pub(crate) schema: SchemaRef,
}

impl CleanExec {
    /// The last pass over the splits that `input` reads; the program gives rows of this schema.
    pub fn new(input: Arc<dyn ExecutionPlan>, state: Arc<PassState>, schema: SchemaRef) -> Self {
        Self::over(input, Arc::new(Cleaning { state, schema }))
    }
}

impl PassWork for Cleaning {
    const NAME: &'static str = "CleanExec";

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn state(&self) -> &PassState {
        &self.state
    }

    fn begin(
        &self,
        _: &Arc<Source>,
        partition: usize,
        _: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<impl SplitWorker> {
        Ok(Cleaner {
            place: Workplace::new(&self.state)?,
            schema: Arc::clone(&self.schema),
            split: None,
            stepping: MetricBuilder::new(metrics).subset_time(STEP_TIME, partition),
        })
    }
}

/// Cleans the splits of one partition.
struct Cleaner {
    place: Workplace,
    schema: SchemaRef,
    /// The split that the last frame was of.
    split: Option<(u64, SplitKnowledge)>,
    stepping: Time,
}

impl SplitWorker for Cleaner {
    fn take(&mut self, mut frame: Frame) -> Result<Option<RecordBatch>> {
        let state = &self.place.state;
        state.progress.check()?;
        let number = frame.first_row / state.rows_per_split;
        let known = match self.split.take() {
            Some((split, known)) if split == number => known,
            _ => self.place.knowledge(number)?,
        };
        let _timer = self.stepping.timer();
        let program = &self.place.program;
        for op in 0..program.ops.len() {
            self.place.apply(op, &mut frame, &known)?;
        }
        check_fatal(&frame, program)?;
        self.split = Some((number, known));
        state.progress.add_rows(frame.rows() as u64);
        cleaned_rows(&frame, program, &self.schema).map(Some)
    }
}

/// Refuses a row that breaks a rule which fails the job.
fn check_fatal(frame: &Frame, program: &Program) -> Result<()> {
    let fatal = frame.flags.iter().filter(|flag| flag.fatal);
    let rows = fatal.flat_map(|flag| flag.rows.iter().map(move |row| (*row, flag)));
    let Some((row, flag)) = rows.min_by_key(|(row, _)| *row) else {
        return Ok(());
    };
    Err(Error::Violation {
        transformation_id: program.transformations[usize::from(flag.transformation)]
            .id
            .clone(),
        row_id: frame.first_row + u64::from(row),
        column: program.contract.columns[flag.column].name.clone(),
        rule: flag.rule.to_owned(),
    })
}

/// The rows of a frame that stay.
fn cleaned_rows(frame: &Frame, program: &Program, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = program.output.iter();
    let columns: Vec<ArrayRef> = columns
        .map(|column| Arc::clone(&frame.columns[column.column]))
        .collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(frame.rows()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)?;
    match frame.live() {
        None => Ok(batch),
        Some(mask) => Ok(filter_record_batch(
            &batch,
            &BooleanArray::new(mask.clone(), None),
        )?),
    }
}
