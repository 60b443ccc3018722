//! The last pass of a relation: applies everything and gives the cleaned rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array,
};
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::SchemaRef;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, Time};

use super::STEP_TIME;
use super::pass::{PassExec, PassWork, SplitWorker};
use super::state::{PassContext, PassState, SplitKnowledge};
use crate::error::{Error, Result};
use crate::operation::{CleaningBatch, ClusteredRow};
use crate::program::Program;
use crate::source::Source;

/// Applies the program to each split and gives the rows that stay, in the order of the source.
pub type CleanExec = PassExec<Cleaning>;

/// What the last pass of a relation works with.
pub struct Cleaning {
    pub state: Arc<PassState>,
    /// Schema of the cleaned rows; with more columns than these have, of those of clusters.
    pub schema: SchemaRef,
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
            place: PassContext::new(&self.state, metrics, partition)?,
            schema: Arc::clone(&self.schema),
            split: None,
            stepping: MetricBuilder::new(metrics).subset_time(STEP_TIME, partition),
        })
    }
}

/// Cleans the splits of one partition.
struct Cleaner {
    place: PassContext,
    schema: SchemaRef,
    /// The split that the last frame was of.
    split: Option<(u64, SplitKnowledge)>,
    stepping: Time,
}

impl SplitWorker for Cleaner {
    fn take(&mut self, mut frame: CleaningBatch) -> Result<Option<RecordBatch>> {
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
        frame.renumber(state.first_row_id);
        check_fatal(&frame, program)?;
        self.split = Some((number, known));
        state.progress.add_rows(frame.rows() as u64);
        let clusters = self.schema.fields().len() > program.output.len();
        let rows = if clusters {
            clustered_rows(&frame, program, &self.schema)?
        } else {
            cleaned_rows(&frame, program, &self.schema)?
        };
        Ok(Some(rows))
    }
}

/// Refuses a row that breaks a rule which fails the job.
fn check_fatal(frame: &CleaningBatch, program: &Program) -> Result<()> {
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

/// The rows of a frame that belong to clusters of near duplicates, with what became of them.
fn clustered_rows(
    frame: &CleaningBatch,
    program: &Program,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let clustered = || frame.clustered.iter().map(|(_, matched)| matched);
    let places = clustered().map(|matched| (matched.row - frame.first_row) as u32);
    let places = UInt32Array::from_iter_values(places);
    let columns = program.output.iter();
    let mut columns = columns
        .map(|column| Ok(take(&frame.columns[column.column], &places, None)?))
        .collect::<Result<Vec<ArrayRef>>>()?;
    let number = |of: fn(&ClusteredRow) -> u64| {
        Int64Array::from_iter_values(clustered().map(|matched| of(matched) as i64))
    };
    columns.push(Arc::new(number(|matched| matched.cluster)));
    columns.push(Arc::new(number(|matched| matched.row)));
    let stays = clustered().map(|matched| Some(matched.row == matched.survivor));
    columns.push(Arc::new(stays.collect::<BooleanArray>()));
    let scores = clustered().map(|matched| matched.score);
    columns.push(Arc::new(Float64Array::from_iter_values(scores)));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The rows of a frame that stay.
fn cleaned_rows(
    frame: &CleaningBatch,
    program: &Program,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
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
