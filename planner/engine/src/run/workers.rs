//! Who runs the tasks of a plan: threads of this process, or the executors of a cluster.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use tracing::{Instrument, info_span};

use super::Progress;
use super::clock::Clock;
use crate::error::{Error, Result};
use crate::session::session_in;
use crate::telemetry::METRICS;

/// Makes the plan of some splits.
pub type SplitPlan<'a> = dyn Fn(&[usize]) -> Result<Arc<dyn ExecutionPlan>> + Send + Sync + 'a;

/// A cluster whose executors can run the passes of jobs.
#[async_trait]
pub trait Cluster: Debug + Send + Sync {
    /// Connects to it.
    ///
    /// # Errors
    /// It does not answer.
    async fn connect(&self) -> Result<Box<dyn Executors>>;
}

/// The executors of a cluster.
#[async_trait]
pub trait Executors: Send + Sync {
    /// Runs the plan that `plan` makes of some splits over all of them, and hands each batch to `take`, some perhaps
    /// twice. Where each split stands `alone`, what was lost can be computed again by itself. `measured` is told the
    /// processor times of operators, by name, in nanoseconds.
    ///
    /// # Errors
    /// The plan fails, or executors are lost again and again.
    async fn run(
        &self,
        splits: (Vec<usize>, bool),
        plan: &SplitPlan<'_>,
        progress: &Progress,
        measured: &mut (dyn for<'n> FnMut(&'n str, u64) + Send),
        take: &mut (dyn FnMut(RecordBatch) -> Result<()> + Send),
    ) -> Result<()>;
}

/// Who runs the tasks of a plan.
pub(super) enum Workers {
    /// Tasks of this process.
    Here {
        context: Arc<TaskContext>,
        threads: usize,
    },
    /// The executors of a cluster.
    Cluster(Box<dyn Executors>),
}

impl Workers {
    /// So many tasks of this process, which ask `memory` for theirs.
    pub(super) fn local(threads: usize, memory: Arc<dyn MemoryPool>) -> Result<Self> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(memory)
            .build_arc()?;
        let config = SessionConfig::new().with_target_partitions(threads);
        Ok(Self::Here {
            context: session_in(config, runtime).task_ctx(),
            threads,
        })
    }

    /// The executors of a cluster.
    pub(super) async fn cluster(cluster: &dyn Cluster) -> Result<Self> {
        Ok(Self::Cluster(cluster.connect().await?))
    }

    /// Partitions into which so many splits are divided.
    pub(super) fn partitions(&self, splits: usize) -> usize {
        match self {
            Self::Here { threads, .. } => (*threads).min(splits.max(1)),
            // A split is what a cluster deals out and does again.
            Self::Cluster(_) => splits.max(1),
        }
    }

    /// Whether they see what is in the memory of this process.
    pub(super) fn share_memory(&self) -> bool {
        matches!(self, Self::Here { .. })
    }

    /// Runs the plan that `plan` makes of the splits and hands each batch to `take`, some perhaps
    /// twice. Where each split stands `alone`, what was lost can be computed again by itself.
    pub(super) async fn run(
        &self,
        (splits, alone): (Vec<usize>, bool),
        plan: impl Fn(&[usize]) -> Result<Arc<dyn ExecutionPlan>> + Send + Sync,
        progress: &Arc<Progress>,
        clock: &mut Clock,
        mut take: impl FnMut(RecordBatch) -> Result<()> + Send,
    ) -> Result<()> {
        let phase = progress.now().0.map(|phase| phase.name());
        let span = info_span!(
            "pass",
            phase = phase.unwrap_or_default(),
            splits = splits.len()
        );
        match self {
            Self::Here { context, .. } => {
                let plan = plan(&splits)?;
                run_here(&plan, context, progress, take)
                    .instrument(span)
                    .await?;
                METRICS.spilled_bytes.add([], spilled(plan.as_ref()) as f64);
                clock.add_metrics(plan.as_ref());
                Ok(())
            }
            Self::Cluster(cluster) => {
                let mut measured = |name: &str, time| clock.add_time(name, time);
                cluster
                    .run((splits, alone), &plan, progress, &mut measured, &mut take)
                    .instrument(span)
                    .await
            }
        }
    }
}

/// Bytes that the operators of a plan have written to disk for lack of memory.
fn spilled(plan: &dyn ExecutionPlan) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spilled_bytes());
    let below = plan.children().into_iter();
    own.unwrap_or(0) + below.map(|child| spilled(child.as_ref())).sum::<usize>()
}

/// Runs every partition of a plan as a task of its own.
async fn run_here(
    plan: &Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
    progress: &Arc<Progress>,
    mut take: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    let mut tasks = tokio::task::JoinSet::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        let mut stream = plan.execute(partition, Arc::clone(context))?;
        let sender = sender.clone();
        let progress = Arc::clone(progress);
        let task = async move {
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(Error::from).and_then(|batch| {
                    progress.check()?;
                    Ok(batch)
                });
                let failed = batch.is_err();
                if sender.send(batch).await.is_err() || failed {
                    return;
                }
            }
        };
        tasks.spawn(task.in_current_span());
    }
    drop(sender);
    while let Some(batch) = receiver.recv().await {
        take(batch?)?;
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|_| Error::Bug("a task of the plan panicked"))?;
    }
    Ok(())
}
