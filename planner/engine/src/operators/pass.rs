//! What a pass is to the engine, whatever it does with the splits.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as EngineResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, Metric, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use super::scan::{split_scan, to_frame};
use super::state::PassState;
use crate::error::{Error, Result};
use crate::failure::failure_for_driver;
use crate::operation::CleaningBatch;
use crate::source::Source;
use crate::telemetry::{in_span, partition_span};

/// What a pass does, the same in every partition.
pub trait PassWork: Send + Sync + 'static {
    /// Name of the operator.
    const NAME: &'static str;

    /// Schema of what the pass gives.
    fn schema(&self) -> SchemaRef;

    /// What the pass works with.
    fn state(&self) -> &PassState;

    /// Begins on a partition of the splits of a source.
    fn begin(
        &self,
        source: &Arc<Source>,
        partition: usize,
        context: &TaskContext,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<impl SplitWorker>;
}

/// What works on the splits of one partition.
pub trait SplitWorker: Send + 'static {
    /// Takes a frame; gives rows once there are some: for a frame, or when its split is complete.
    fn take(&mut self, frame: CleaningBatch) -> Result<Option<RecordBatch>>;
}

/// Maps each partition of splits by itself to rows of its own.
pub struct PassExec<W> {
    input: Arc<dyn ExecutionPlan>,
    work: Arc<W>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// Of the passes before.
    earlier: Vec<Arc<Metric>>,
}

impl<W: PassWork> PassExec<W> {
    /// A pass over the splits that `input` reads.
    pub(super) fn over(input: Arc<dyn ExecutionPlan>, work: Arc<W>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(work.schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            input,
            work,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            earlier: Vec::new(),
        }
    }

    /// The same, which shows the metrics of the passes before as well.
    #[must_use]
    pub(crate) fn after(self, earlier: Vec<Arc<Metric>>) -> Self {
        Self { earlier, ..self }
    }
}

impl<W> PassExec<W> {
    /// What the pass does.
    pub fn work(&self) -> &W {
        &self.work
    }
}

impl<W: PassWork> fmt::Debug for PassExec<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct(W::NAME)
            .field("pass", &self.work.state().pass)
            .finish_non_exhaustive()
    }
}

impl<W: PassWork> DisplayAs for PassExec<W> {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.work.state();
        write!(formatter, "{}: pass={}", W::NAME, state.pass + 1)?;
        // A scheduler knows the recipe only.
        match state.recipe.compiled() {
            Some(program) => write!(formatter, ", {}", program.operations_of(state.pass)),
            None => Ok(()),
        }
    }
}

impl<W: PassWork> ExecutionPlan for PassExec<W> {
    fn name(&self) -> &str {
        W::NAME
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
        let mut metrics = self.metrics.clone_inner();
        self.earlier
            .iter()
            .for_each(|metric| metrics.push(Arc::clone(metric)));
        Some(metrics)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or(Error::Bug("a pass without input"))?;
        let plan = Self::over(input, Arc::clone(&self.work));
        Ok(Arc::new(plan.after(self.earlier.clone())))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let span = partition_span(&context, partition);
        let _in = span.enter();
        let remote = self.work.state().remote;
        let told = move |error: Error| {
            if remote {
                failure_for_driver(error)
            } else {
                error.into()
            }
        };
        let source = split_scan(&self.input)?.source();
        let mut worker = self
            .work
            .begin(source, partition, &context, &self.metrics)
            .map_err(told)?;
        let input = self.input.execute(partition, context)?;
        let mut take = move |batch: EngineResult<RecordBatch>| worker.take(to_frame(batch?)?);
        let given = in_span(
            span.clone(),
            input.map(move |batch| take(batch).map_err(told)),
        )
        .try_filter_map(|given| futures::future::ready(Ok(given)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.work.schema(),
            given,
        )))
    }
}
