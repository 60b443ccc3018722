//! The last pass: the whole program, and its output written split by split.

use std::fmt;
use std::sync::Arc;

use arrow::array::{BinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as EngineResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{
    ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, Time,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt};

use super::scan::to_frame;
use super::{LearnedState, STEP_TIME, WRITE_TIME, map_properties};
use crate::error::{Error, Result};
use crate::program::Frame;
use crate::sink::{PartWriter, SinkPlan};

/// Applies the program to each split and writes its part of the output; gives one row a split: the
/// [`SplitOutcome`](crate::sink::SplitOutcome) as JSON.
pub struct PublishExec {
    input: Arc<dyn ExecutionPlan>,
    state: LearnedState,
    sink: Arc<SinkPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
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
        let properties = map_properties(&input, publish_schema());
        Self {
            input,
            state,
            sink,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl fmt::Debug for PublishExec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PublishExec")
            .finish_non_exhaustive()
    }
}

impl DisplayAs for PublishExec {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PublishExec")
    }
}

impl ExecutionPlan for PublishExec {
    fn name(&self) -> &str {
        "PublishExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or(Error::Bug("a pass without input"))?;
        let (state, sink) = (self.state.clone(), Arc::clone(&self.sink));
        Ok(Arc::new(Self::new(input, state, sink)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let mut publisher = Publisher {
            state: self.state.clone(),
            sink: Arc::clone(&self.sink),
            open: Vec::new(),
            stepping: MetricBuilder::new(&self.metrics).subset_time(STEP_TIME, partition),
            writing: MetricBuilder::new(&self.metrics).subset_time(WRITE_TIME, partition),
        };
        let outcomes = input
            .map(move |batch| Ok(publisher.write(to_frame(batch?)?)?))
            .try_filter_map(|outcome| futures::future::ready(Ok(outcome)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            publish_schema(),
            outcomes,
        )))
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

impl Publisher {
    /// Writes a frame; gives the outcome of its split when the split is complete.
    fn write(&mut self, mut frame: Frame) -> Result<Option<RecordBatch>> {
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
