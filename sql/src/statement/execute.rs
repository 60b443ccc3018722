//! Running a physical plan: in this process, or on the executors of a cluster.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as EngineResult;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::{
    RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter,
};
use datafusion::physical_plan::union::{InterleaveExec, UnionExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{Stream, StreamExt, TryStreamExt};
use planner::cluster::Cluster;
use planner::run::Progress;

use super::context::StatementContext;
use crate::error::{Error, Result};

/// Batches of a partition that wait for their reader.
const AHEAD: usize = 32;

/// Poll interval for cancellation.
const LOOK: Duration = Duration::from_millis(50);

/// The rows of a plan, its partitions one after the other.
pub(super) async fn rows(
    context: &Arc<StatementContext>,
    plan: Arc<dyn ExecutionPlan>,
    state: &SessionState,
) -> Result<SendableRecordBatchStream> {
    let schema = plan.schema();
    let rows = if for_cluster(context, &plan) {
        on_cluster(context, plan).await?.boxed()
    } else {
        let threads = context.session.engine().options().threads.max(1);
        let task = state.task_ctx();
        let partitions = 0..plan.output_partitioning().partition_count();
        // A partition is begun when one of the earlier ones has ended, and waits for its turn.
        let parts = partitions.map(move |at| {
            let (plan, task) = (Arc::clone(&plan), Arc::clone(&task));
            async move { ahead(&plan, at, &task) }
        });
        let parts = futures::stream::iter(parts).buffered(threads);
        parts.try_flatten().boxed()
    };
    let rows = cancellable(rows, Arc::clone(context));
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// The rows of a plan, a stream for each partition.
pub(super) async fn parts(
    context: &Arc<StatementContext>,
    plan: Arc<dyn ExecutionPlan>,
    state: &SessionState,
) -> Result<Vec<SendableRecordBatchStream>> {
    if for_cluster(context, &plan) {
        return Ok(vec![rows(context, plan, state).await?]);
    }
    let task = state.task_ctx();
    let partitions = 0..plan.output_partitioning().partition_count();
    let parts = partitions.map(|at| {
        let rows = ahead(&plan, at, &task)?;
        let rows = cancellable(rows, Arc::clone(context));
        let rows = RecordBatchStreamAdapter::new(plan.schema(), rows);
        Ok(Box::pin(rows) as SendableRecordBatchStream)
    });
    parts.collect()
}

/// A partition whose rows are computed ahead of their reader, and by a task of their own: some operators
/// work for long before they look up, and their reader is to hear of it when somebody cancels.
fn ahead(
    plan: &Arc<dyn ExecutionPlan>,
    partition: usize,
    task: &Arc<TaskContext>,
) -> EngineResult<SendableRecordBatchStream> {
    let mut builder = RecordBatchReceiverStreamBuilder::new(plan.schema(), AHEAD);
    let mut rows = plan.execute(partition, Arc::clone(task))?;
    let reader = builder.tx();
    builder.spawn(async move {
        while let Some(batch) = rows.next().await {
            let failed = batch.is_err();
            if reader.send(batch).await.is_err() || failed {
                break;
            }
        }
        Ok(())
    });
    Ok(builder.build())
}

/// The rows until somebody cancels; what the statement needs lasts as long as they do.
fn cancellable(
    rows: impl Stream<Item = EngineResult<RecordBatch>> + Send + 'static,
    context: Arc<StatementContext>,
) -> impl Stream<Item = EngineResult<RecordBatch>> + Send {
    let rows = Box::pin(rows);
    futures::stream::unfold(Some((rows, context)), |state| async move {
        let (mut rows, context) = state?;
        // Rows that are always there leave no time to look.
        let next = match context.scope.progress.check() {
            Err(error) => Err(error.into()),
            Ok(()) => tokio::select! {
                next = rows.next() => next?,
                error = cancelled(&context.scope.progress) => Err(error.into()),
            },
        };
        match next {
            Ok(batch) => {
                context.scope.progress.add_rows(batch.num_rows() as u64);
                Some((Ok(batch), Some((rows, context))))
            }
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// Waits until somebody cancels.
async fn cancelled(progress: &Progress) -> planner::Error {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Err(error) = progress.check() {
            return error;
        }
    }
}

/// Whether executors run a plan: where there are some, and the plan reads what they can reach. What
/// only this process knows, such as the catalog, it reads by itself.
fn for_cluster(context: &StatementContext, plan: &Arc<dyn ExecutionPlan>) -> bool {
    if context.session.engine().options().cluster.is_none() {
        return false;
    }
    let mut reads = false;
    travels(plan, &mut reads) && reads
}

/// Whether executors can run a plan; `reads` becomes true where it reads rows.
fn travels(plan: &Arc<dyn ExecutionPlan>, reads: &mut bool) -> bool {
    // Ballista deals out the partitions of a stage by its scans; those of a union with anything else
    // in it are dealt out wrongly, and the job never ends.
    if plan.is::<UnionExec>() || plan.is::<InterleaveExec>() {
        return false;
    }
    let children = plan.children();
    if !children.is_empty() {
        return children.into_iter().all(|child| travels(child, reads));
    }
    let scan = plan.downcast_ref::<DataSourceExec>();
    if scan.is_some_and(|scan| {
        scan.data_source()
            .downcast_ref::<FileScanConfig>()
            .is_some()
    }) {
        *reads = true;
        return true;
    }
    plan.is::<EmptyExec>() || plan.is::<PlaceholderRowExec>()
}

async fn on_cluster(
    context: &Arc<StatementContext>,
    plan: Arc<dyn ExecutionPlan>,
) -> Result<impl Stream<Item = EngineResult<RecordBatch>> + Send + use<>> {
    let address = context.session.engine().options().cluster.as_ref();
    let address = address.ok_or(Error::Bug("a cluster without an address"))?;
    let cluster = Cluster::connect(address).await?;
    let progress = Arc::clone(&context.scope.progress);
    let schema = plan.schema();
    let rows = cluster.query(without_views(plan)?, progress).await?;
    Ok(rows.map(move |batch| {
        let batch = batch?;
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| cast(column, field.data_type()));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&schema),
            columns,
            &rows,
        )?)
    }))
}

/// The plan with plain texts in the place of views. An executor cuts a large batch into messages, and
/// each of them would hold all the bytes that the views of the whole batch look at.
fn without_views(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    let mut viewed = false;
    let columns = schema.fields().iter().enumerate().map(|(at, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
        let plain = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            _ => return (column, field.name().clone()),
        };
        viewed = true;
        let column: Arc<dyn PhysicalExpr> = Arc::new(CastExpr::new(column, plain, None));
        (column, field.name().clone())
    });
    let columns: Vec<_> = columns.collect();
    if !viewed {
        return Ok(plan);
    }
    Ok(Arc::new(ProjectionExec::try_new(columns, plan)?))
}
