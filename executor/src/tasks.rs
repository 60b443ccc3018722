//! Runs tasks on threads of their own, and reports how they ended.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ballista_core::error::BallistaError;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::BallistaCodec;
use ballista_core::serde::protobuf::task_status::Status;
use ballista_core::serde::protobuf::{
    MultiTaskDefinition, OperatorMetricsSet, SuccessfulTask, TaskStatus,
};
use ballista_core::serde::scheduler::from_proto::get_task_definition_vec;
use ballista_core::serde::scheduler::{TaskDefinition, TaskKey};
use ballista_executor::execution_engine::{ExecutionEngine, QueryStageExecutor};
use ballista_executor::executor::Executor;
use datafusion::execution::TaskContext;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use rustix::process::setpriority_process;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedSender;

use crate::engine::MeteredEngine;

/// Niceness of the threads of tasks: signs of life and answers to others go before them.
const NICENESS: i32 = 10;

type Codec = BallistaCodec<LogicalPlanNode, PhysicalPlanNode>;

/// Runs tasks, as many at the same time as there are threads.
#[derive(Clone)]
pub(crate) struct Tasks {
    executor: Arc<Executor>,
    engine: Arc<MeteredEngine>,
    codec: Codec,
    threads: Arc<Threads>,
    reports: UnboundedSender<TaskStatus>,
}

/// The threads of tasks. Whatever runs on them ends with them.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Tasks {
    /// Starts the threads, one for each slot of the executor. Each task that ends is reported to `reports`.
    pub(crate) fn new(
        executor: Arc<Executor>,
        engine: Arc<MeteredEngine>,
        codec: Codec,
        reports: UnboundedSender<TaskStatus>,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(executor.vcores)
            .thread_name("task")
            .on_thread_start(|| {
                // Of this thread alone. Where it is not allowed, tasks are as urgent as the rest.
                let _ = setpriority_process(None, NICENESS);
            })
            .enable_all()
            .build()?;
        Ok(Self {
            executor,
            engine,
            codec,
            threads: Arc::new(Threads(Some(runtime))),
            reports,
        })
    }

    /// Returns the executor whose tasks these are.
    pub(crate) fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    /// Decodes the tasks of one stage, and starts them.
    pub(crate) fn start(&self, tasks: MultiTaskDefinition) -> Result<(), BallistaError> {
        let functions: &BallistaFunctionRegistry = &self.executor.function_registry;
        let tasks = get_task_definition_vec(
            tasks,
            Arc::clone(&self.executor.runtime_producer),
            self.executor.produce_config(),
            functions.scalar_functions.clone(),
            functions.aggregate_functions.clone(),
            functions.window_functions.clone(),
            functions.higher_order_functions.clone(),
            self.codec.clone(),
        )?;
        for task in tasks {
            self.spawn(task);
        }
        Ok(())
    }

    fn spawn(&self, task: TaskDefinition) {
        let Some(runtime) = &self.threads.0 else {
            return;
        };
        let blank = TaskStatus {
            task_id: task.task_id as u32,
            job_id: task.job_id.clone().into(),
            stage_id: task.stage_id as u32,
            stage_attempt_num: task.stage_attempt_num as u32,
            launch_time: task.launch_time,
            start_exec_time: now(),
            end_exec_time: 0,
            metrics: Vec::new(),
            status: None,
        };
        let (executor, engine) = (Arc::clone(&self.executor), Arc::clone(&self.engine));
        let running = runtime.spawn(async move { run(&executor, engine.as_ref(), task).await });
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let ended = running.await.unwrap_or_else(|error| {
                let problem = format!("the task ended without a result: {error}");
                Err(BallistaError::Internal(problem))
            });
            let (status, metrics) = match ended {
                Ok((done, metrics)) => (Status::Successful(done), metrics),
                Err(error) => {
                    tracing::info!(job = %blank.job_id, task = blank.task_id, %error, "a task failed");
                    (Status::Failed(error.into()), Vec::new())
                }
            };
            // Nobody reports any more when the process ends.
            let _ = reports.send(TaskStatus {
                end_exec_time: now(),
                metrics,
                status: Some(status),
                ..blank
            });
        });
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

type Done = (SuccessfulTask, Vec<OperatorMetricsSet>);

/// Runs a task, and tells where its results lie and what its operators have measured.
async fn run(
    executor: &Executor,
    engine: &dyn ExecutionEngine,
    task: TaskDefinition,
) -> Result<Done, BallistaError> {
    let identity = format!(
        "TID {}/{}.{}/{}.{}",
        task.job_id, task.stage_id, task.stage_attempt_num, task.task_id, task.task_attempt_num
    );
    let key = TaskKey {
        job_id: task.job_id.clone(),
        stage_id: task.stage_id,
        task_id: task.task_id,
    };
    let stage = engine.create_query_stage_exec(
        task.job_id,
        task.stage_id,
        task.task_id,
        task.global_output_partition_ids,
        task.plan,
        &executor.work_dir,
        &task.session_config,
    )?;
    let runtime = executor.produce_runtime_for_session(
        &task.session_id,
        &task.session_config,
        task.vcores_consumed,
    )?;
    let functions = task.function_registry;
    let context = Arc::new(TaskContext::new(
        Some(identity.clone()),
        task.session_id,
        task.session_config,
        functions.scalar_functions.clone(),
        functions.higher_order_functions.clone(),
        functions.aggregate_functions.clone(),
        functions.window_functions.clone(),
        runtime,
    ));
    tracing::info!("Execute task: [{identity}]");
    let begun = Instant::now();
    let result = executor
        .execute_query_stage(key, Arc::clone(&stage), context)
        .await;
    tracing::info!("Finished task: [{identity}] in {:?}", begun.elapsed());
    let partitions = result?;
    let done = SuccessfulTask {
        executor_id: executor.metadata.id.clone(),
        partitions,
        runtime_stats: stage.collect_runtime_stats_reports(),
        task_column_stats: stage.collect_column_stats(),
        window_state: stage.collect_window_state_reports()?,
    };
    Ok((done, metrics_of(stage.as_ref())))
}

/// Returns what operators have measured; nothing where Ballista has no notation for some of it.
fn metrics_of(stage: &dyn QueryStageExecutor) -> Vec<OperatorMetricsSet> {
    let metrics = stage.collect_plan_metrics().into_iter();
    let metrics: Result<Vec<_>, BallistaError> = metrics.map(TryInto::try_into).collect();
    metrics.unwrap_or_default()
}
