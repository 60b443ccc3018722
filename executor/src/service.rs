//! The services of an executor's two ports: results and health on one, tasks on the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use async_trait::async_trait;
use ballista_core::serde::protobuf::executor_grpc_server::{ExecutorGrpc, ExecutorGrpcServer};
use ballista_core::serde::protobuf::{
    CancelTasksParams, CancelTasksResult, LaunchMultiTaskParams, LaunchMultiTaskResult,
    LaunchTaskParams, LaunchTaskResult, RemoveJobDataParams, RemoveJobDataResult,
    StopExecutorParams, StopExecutorResult,
};
use ballista_core::utils::{GrpcServerConfig, create_grpc_server};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::health::ExecutorHealth;
use planner::cluster::{MAX_MESSAGE_BYTES, MemberListener};
use tokio::sync::{Notify, watch};
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::server::health_reporter;

use crate::tasks::Tasks;
use crate::work::WorkFolder;

/// Interval of the executor's health checks.
const HEALTH_PERIOD: Duration = Duration::from_millis(500);

type Answer<T> = Result<Response<T>, Status>;

/// Takes tasks from the scheduler.
pub(crate) struct TaskService {
    tasks: Tasks,
    work: WorkFolder,
    stop: Arc<Notify>,
}

impl TaskService {
    /// Starts tasks with `tasks`, whose results lie in `work`; notifies `stop` when the scheduler wants the executor to
    /// end.
    pub(crate) fn new(tasks: Tasks, work: WorkFolder, stop: Arc<Notify>) -> Self {
        Self { tasks, work, stop }
    }
}

#[async_trait]
impl ExecutorGrpc for TaskService {
    async fn launch_task(&self, _: Request<LaunchTaskParams>) -> Answer<LaunchTaskResult> {
        Err(Status::unimplemented("tasks come by stages"))
    }

    async fn launch_multi_task(
        &self,
        request: Request<LaunchMultiTaskParams>,
    ) -> Answer<LaunchMultiTaskResult> {
        let mut failed_jobs = Vec::new();
        for stage in request.into_inner().multi_tasks {
            let job = stage.job_id.clone();
            if let Err(error) = self.tasks.start(stage) {
                tracing::error!(%job, %error, "failed to decode the tasks of a job");
                failed_jobs.push(job);
            }
        }
        failed_jobs.sort_unstable();
        failed_jobs.dedup();
        Ok(Response::new(LaunchMultiTaskResult { failed_jobs }))
    }

    async fn stop_executor(
        &self,
        request: Request<StopExecutorParams>,
    ) -> Answer<StopExecutorResult> {
        let StopExecutorParams {
            executor_id,
            reason,
            ..
        } = request.into_inner();
        // One that ran at this address before is meant otherwise.
        if executor_id == self.tasks.executor().metadata.id {
            tracing::info!(%reason, "the scheduler stops this executor");
            self.stop.notify_one();
        }
        Ok(Response::new(StopExecutorResult {}))
    }

    async fn cancel_tasks(&self, request: Request<CancelTasksParams>) -> Answer<CancelTasksResult> {
        let mut cancelled = true;
        for task in request.into_inner().task_infos {
            let (stage, number) = (task.stage_id as usize, task.task_id as usize);
            let executor = self.tasks.executor();
            let ended = executor.cancel_task(task.job_id.into(), stage, number);
            cancelled &= ended.await.is_ok();
        }
        Ok(Response::new(CancelTasksResult { cancelled }))
    }

    async fn remove_job_data(
        &self,
        request: Request<RemoveJobDataParams>,
    ) -> Answer<RemoveJobDataResult> {
        let job = request.into_inner();
        let removed = self.work.remove(job.job_id, job.remove_stage_ids).await;
        removed.map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Response::new(RemoveJobDataResult {}))
    }
}

/// Serves tasks until `stopped` is true.
pub(crate) async fn serve_tasks(
    listener: MemberListener,
    service: TaskService,
    stopped: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let service = ExecutorGrpcServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    create_grpc_server(&GrpcServerConfig::default())
        .add_service(service)
        .serve_with_incoming_shutdown(listener.incoming(), until(stopped))
        .await
}

/// Serves the results in the folder, with the standard gRPC health service beside them, until `stopped` is true. The
/// executor is healthy while the scheduler knows of it.
pub(crate) async fn serve_results(
    listener: MemberListener,
    work_dir: PathBuf,
    health: ExecutorHealth,
    stopped: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let work_dir = work_dir.to_string_lossy().into_owned();
    let flight = FlightServiceServer::new(BallistaFlightService::new(work_dir))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let (reporter, health_service) = health_reporter();
    let report = async move {
        loop {
            let status = if health.is_ready() {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            reporter.set_service_status("", status).await;
            tokio::time::sleep(HEALTH_PERIOD).await;
        }
    };
    let serve = create_grpc_server(&GrpcServerConfig::default())
        .add_service(health_service)
        .add_service(flight)
        .serve_with_incoming_shutdown(listener.incoming(), until(stopped));
    tokio::select! {
        ended = serve => ended,
        () = report => Ok(()),
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // Whoever would tell is gone with the process.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
