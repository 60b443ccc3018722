//! Ballista's engine, whose tasks are counted and are part of the trace of their job.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use ballista_core::JobId;

use ballista_core::serde::protobuf::{
    RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_executor::execution_engine::{
    DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor,
};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;
use planner::cluster::MemberTls;
use planner::telemetry::{METRICS, TraceOptions, continue_trace, trace_id, traceparent};
use tracing::{Instrument, Span, field, info_span};

use crate::memory::TaskMemory;
use crate::pool::ConnectionPool;

/// Counts the tasks of Ballista's engine and their memory, and traces them.
pub(crate) struct MeteredEngine {
    engine: DefaultExecutionEngine,
    memory: TaskMemory,
}

impl MeteredEngine {
    /// Counts the memory of tasks in `memory`, and connects to other executors with `tls`.
    pub(crate) fn new(memory: TaskMemory, tls: Option<MemberTls>) -> Self {
        let pool = Arc::new(ConnectionPool::new(tls.as_ref()));
        let engine = DefaultExecutionEngine::with_client_pool(pool);
        Self { engine, memory }
    }
}

impl ExecutionEngine for MeteredEngine {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        global_output_partition_ids: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let span = info_span!(
            "task",
            cluster_job = %job_id,
            stage = stage_id,
            task = task_id,
            trace_id = field::Empty,
        );
        if let Some(options) = config.options().extensions.get::<TraceOptions>() {
            continue_trace(&span, &options.parent);
        }
        if let Some(trace) = trace_id(&span) {
            span.record("trace_id", trace);
        }
        let task = self.engine.create_query_stage_exec(
            job_id,
            stage_id,
            task_id,
            global_output_partition_ids,
            plan,
            work_dir,
            config,
        )?;
        Ok(Arc::new(MeteredTask {
            task,
            span,
            memory: self.memory.clone(),
        }))
    }
}

#[derive(Debug)]
struct MeteredTask {
    task: Arc<dyn QueryStageExecutor>,
    span: Span,
    memory: TaskMemory,
}

impl fmt::Display for MeteredTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task.fmt(f)
    }
}

/// Tells how a task ended, also where nobody waited for its end.
struct Ended {
    begun: Instant,
    outcome: &'static str,
}

impl Drop for Ended {
    fn drop(&mut self) {
        METRICS.tasks.count([self.outcome]);
        let seconds = self.begun.elapsed().as_secs_f64();
        METRICS.task_seconds.observe([], seconds);
    }
}

impl MeteredTask {
    /// The context of the task, whose operators make their spans children of its own: they run in other tasks of the
    /// runtime, which know nothing of the span.
    fn told_of(&self, context: &TaskContext) -> Arc<TaskContext> {
        let own = self.span.in_scope(traceparent).unwrap_or_default();
        let mut config = context.session_config().clone();
        if let Some(options) = config.options_mut().extensions.get_mut::<TraceOptions>() {
            options.parent = own;
        }
        Arc::new(TaskContext::new(
            context.task_id(),
            context.session_id(),
            config,
            context.scalar_functions().clone(),
            context.higher_order_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            context.runtime_env(),
        ))
    }
}

#[async_trait]
impl QueryStageExecutor for MeteredTask {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let _running = METRICS.tasks_running.hold();
        let _memory = self.memory.hold(context.memory_pool());
        let mut ended = Ended {
            begun: Instant::now(),
            outcome: "cancelled",
        };
        let result = self
            .task
            .execute_query_stage(task_id, self.told_of(&context))
            .instrument(self.span.clone())
            .await;
        ended.outcome = match &result {
            Ok(written) => {
                let bytes: u64 = written.iter().map(|part| part.num_bytes).sum();
                let rows: u64 = written.iter().map(|part| part.num_rows).sum();
                METRICS.shuffle_bytes.add([], bytes as f64);
                METRICS.shuffle_rows.add([], rows as f64);
                "completed"
            }
            Err(_) => "failed",
        };
        result
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        let metrics = self.task.collect_plan_metrics();
        let spilled = metrics.iter().filter_map(MetricsSet::spilled_bytes);
        METRICS.spilled_bytes.add([], spilled.sum::<usize>() as f64);
        metrics
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.task.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.task.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.task.collect_column_stats()
    }
}
