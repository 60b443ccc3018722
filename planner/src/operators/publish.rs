//! The last pass: the whole program, and its output written split by split.

use std::sync::Arc;

use arrow::array::{BinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, Time};

use super::pass::{PassExec, PassWork, SplitWorker};
use super::{LearnedState, STEP_TIME, WRITE_TIME};
use crate::error::Result;
use crate::program::Frame;
use crate::sink::{PartWriter, SinkPlan};

/// Applies the program to each split and writes its part of the output; gives one row a split: the
/// [`SplitOutcome`](crate::sink::SplitOutcome) as JSON.
pub type PublishExec = PassExec<Publishing>;

/// What the last pass works with.
pub struct Publishing {
    state: LearnedState,
    sink: Arc<SinkPlan>,
}

/// Schema of what the last pass gives.
fn publish_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(
        "outcome",
        DataType::Binary,
        false,
    )]))
}

impl PublishExec {
    /// The last pass over the splits that `input` reads.
    pub fn new(input: Arc<dyn ExecutionPlan>, state: LearnedState, sink: Arc<SinkPlan>) -> Self {
        Self::over(input, Arc::new(Publishing { state, sink }))
    }
}

impl PassWork for Publishing {
    const NAME: &'static str = "PublishExec";

    fn schema() -> SchemaRef {
        publish_schema()
    }

    fn pass(&self) -> usize {
        self.state.pass
    }

    fn begin(
        &self,
        partition: usize,
        _: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> impl SplitWorker {
        Publisher {
            state: self.state.clone(),
            sink: Arc::clone(&self.sink),
            open: Vec::new(),
            stepping: MetricBuilder::new(metrics).subset_time(STEP_TIME, partition),
            writing: MetricBuilder::new(metrics).subset_time(WRITE_TIME, partition),
        }
    }
}

/// Writes the splits of one partition.
struct Publisher {
    state: LearnedState,
    sink: Arc<SinkPlan>,
    open: Vec<(u64, u64, PartWriter)>,
    stepping: Time,
    writing: Time,
}

impl SplitWorker for Publisher {
    fn take(&mut self, mut frame: Frame) -> Result<Option<RecordBatch>> {
        let number = frame.first_row / self.state.rows_per_split;
        let place = match self.open.iter().position(|(split, _, _)| *split == number) {
            Some(place) => place,
            None => {
                let part = PartWriter::create(Arc::clone(&self.sink), number)?;
                self.open.push((number, 0, part));
                self.open.len() - 1
            }
        };
        let state = &self.state;
        let (_, rows, part) = &mut self.open[place];
        let timer = self.stepping.timer();
        part.before().dirty(&frame, &state.program, None, false);
        for number in 0..state.program.ops.len() {
            state.apply(number, &mut frame)?;
            part.before()
                .dirty(&frame, &state.program, Some(number), false);
        }
        timer.done();
        let _timer = self.writing.timer();
        part.write(&frame)?;
        *rows += frame.rows() as u64;
        self.state.progress.add_rows(frame.rows() as u64);
        if *rows < self.state.split_rows(number) {
            return Ok(None);
        }
        let (_, _, part) = self.open.swap_remove(place);
        outcome(part).map(Some)
    }
}

fn outcome(part: PartWriter) -> Result<RecordBatch> {
    let json = serde_json::to_vec(&part.finish()?)?;
    let column = BinaryArray::from(vec![json.as_slice()]);
    Ok(RecordBatch::try_new(
        publish_schema(),
        vec![Arc::new(column)],
    )?)
}
