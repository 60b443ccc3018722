//! The last pass: the whole program, and its output written split by split.

use std::sync::Arc;

use arrow::array::{BinaryArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, Time};

use super::pass::{PassExec, PassWork, SplitWorker};
use super::state::{PassContext, PassState, SplitKnowledge};
use super::{STEP_TIME, WRITE_TIME};
use crate::error::Result;
use crate::operation::CleaningBatch;
use crate::sink::{PartWriter, SinkOrder, SinkPlan};
use crate::source::Source;

/// Applies the program to each split and writes its part of the output; gives one row a split: its
/// number, and the [`SplitOutcome`](crate::sink::SplitOutcome) as JSON.
pub type PublishExec = PassExec<Publishing>;

/// What the last pass works with.
pub struct Publishing {
    pub state: Arc<PassState>,
    pub order: SinkOrder,
}

/// Schema of what the last pass gives.
fn publish_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("split", DataType::UInt64, false),
        Field::new("outcome", DataType::Binary, false),
    ]))
}

impl PublishExec {
    /// The last pass over the splits that `input` reads.
    pub fn new(input: Arc<dyn ExecutionPlan>, state: Arc<PassState>, order: SinkOrder) -> Self {
        Self::over(input, Arc::new(Publishing { state, order }))
    }
}

impl PassWork for Publishing {
    const NAME: &'static str = "PublishExec";

    fn schema(&self) -> SchemaRef {
        publish_schema()
    }

    fn state(&self) -> &PassState {
        &self.state
    }

    fn begin(
        &self,
        source: &Arc<Source>,
        partition: usize,
        _: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<impl SplitWorker> {
        let place = PassContext::new(&self.state, metrics, partition)?;
        let sink = SinkPlan::new(
            Arc::clone(&place.program),
            Arc::clone(source),
            self.order.clone(),
            &self.state.recipe.job.output,
            self.state.profile_sample,
        )?
        .numbered_from(self.state.first_row_id);
        Ok(Publisher {
            place,
            sink: Arc::new(sink),
            open: Vec::new(),
            stepping: MetricBuilder::new(metrics).subset_time(STEP_TIME, partition),
            writing: MetricBuilder::new(metrics).subset_time(WRITE_TIME, partition),
        })
    }
}

/// Writes the splits of one partition.
struct Publisher {
    place: PassContext,
    sink: Arc<SinkPlan>,
    open: Vec<OpenPart>,
    stepping: Time,
    writing: Time,
}

/// A split of which some frames have come.
struct OpenPart {
    split: u64,
    rows: u64,
    known: SplitKnowledge,
    part: PartWriter,
}

impl SplitWorker for Publisher {
    fn take(&mut self, mut frame: CleaningBatch) -> Result<Option<RecordBatch>> {
        let state = &self.place.state;
        let number = frame.first_row / state.rows_per_split;
        frame.is_published = true;
        let at = match self.open.iter().position(|open| open.split == number) {
            Some(at) => at,
            None => {
                self.open.push(OpenPart {
                    split: number,
                    rows: 0,
                    known: self.place.knowledge(number)?,
                    part: PartWriter::create(Arc::clone(&self.sink), number)?,
                });
                self.open.len() - 1
            }
        };
        let program = &self.place.program;
        let open = &mut self.open[at];
        let timer = self.stepping.timer();
        open.part.before().dirty(&frame, program, None, false);
        for op in 0..program.ops.len() {
            self.place.apply(op, &mut frame, &open.known)?;
            open.part.before().dirty(&frame, program, Some(op), false);
        }
        timer.done();
        let _timer = self.writing.timer();
        frame.renumber(state.first_row_id);
        open.part.write(&frame)?;
        open.rows += frame.rows() as u64;
        state.progress.add_rows(frame.rows() as u64);
        if open.rows < state.split_rows(number) {
            return Ok(None);
        }
        outcome(self.open.swap_remove(at).part).map(Some)
    }
}

fn outcome(part: PartWriter) -> Result<RecordBatch> {
    let outcome = part.finish()?;
    let split = UInt64Array::from(vec![outcome.split]);
    let json = serde_json::to_vec(&outcome)?;
    let json = BinaryArray::from(vec![json.as_slice()]);
    Ok(RecordBatch::try_new(
        publish_schema(),
        vec![Arc::new(split), Arc::new(json)],
    )?)
}
