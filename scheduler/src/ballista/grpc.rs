//! The gRPC service of the scheduler's port: Ballista's, except for how executors join.
//!
//! Ballista verifies that an executor can be reached by a connection in the clear, which nothing can replace. So executors
//! are taken in here, by a connection like all others between members, and then known to Ballista.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use ballista_core::BALLISTA_PROTOCOL_VERSION;
use ballista_core::error::BallistaError;
use ballista_core::serde::protobuf::executor_metric::Metric;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{
    CancelJobParams, CancelJobResult, CleanJobDataParams, CleanJobDataResult,
    CreateUpdateSessionParams, CreateUpdateSessionResult, ExecuteQueryParams, ExecuteQueryResult,
    ExecutorHeartbeat, ExecutorMetric, ExecutorRegistration, ExecutorStoppedParams,
    ExecutorStoppedResult, GetJobMetricsParams, GetJobMetricsResult, GetJobStatusParams,
    GetJobStatusResult, HeartBeatParams, HeartBeatResult, PollWorkParams, PollWorkResult,
    RegisterExecutorParams, RegisterExecutorResult, RemoveSessionParams, RemoveSessionResult,
    UpdateTaskStatusParams, UpdateTaskStatusResult,
};
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::ClusterState;
use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use planner::cluster::{MemberTls, PARTITIONS_DONE, WANTS_PROGRESS, connect_member};
use tonic::{Code, Request, Response, Status};

use super::stages::partitions_done;

/// Ballista's scheduler with our plans.
pub(super) type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

type Answer<T> = Result<Response<T>, Status>;

/// Serves Ballista's protocol to the members of the cluster.
pub(super) struct ClusterService {
    server: Server,
    cluster: Arc<dyn ClusterState>,
    tls: Option<MemberTls>,
}

impl ClusterService {
    /// Serves `server`, whose executors are in `cluster` and are connected to with `tls`.
    pub(super) fn new(
        server: Server,
        cluster: Arc<dyn ClusterState>,
        tls: Option<MemberTls>,
    ) -> Self {
        Self {
            server,
            cluster,
            tls,
        }
    }

    /// Takes an executor in, if its port for tasks answers as a member's, and lets waiting tasks go to it.
    async fn take_in(&self, registration: ExecutorRegistration) -> Result<(), Status> {
        let metadata = metadata_of(registration)?;
        let (host, port) = (metadata.host.clone(), metadata.grpc_port);
        let reached = connect_member(&host, port, self.tls.as_ref()).await;
        reached.map_err(|error| {
            tracing::warn!(%host, port, %error, "refused an executor whose task port does not answer");
            Status::unavailable(format!("{host}:{port} does not answer: {error}"))
        })?;
        let executor_id = metadata.id.clone();
        let vcores = metadata.specification.vcores;
        let slots = ExecutorData {
            executor_id: executor_id.clone(),
            total_vcores: vcores,
            available_vcores: vcores,
        };
        tracing::info!(executor = %executor_id, %host, port, "an executor has joined");
        let joined = self.cluster.register_executor(metadata, slots).await;
        joined.map_err(|error| refusal(&error))?;
        // Ballista offers waiting tasks after each report, also after an empty one.
        let report = UpdateTaskStatusParams {
            executor_id,
            task_status: Vec::new(),
        };
        self.server.update_task_status(Request::new(report)).await?;
        Ok(())
    }
}

fn refusal(error: &BallistaError) -> Status {
    let text = error.to_string();
    if text.contains("already registered") {
        Status::already_exists(text)
    } else {
        Status::internal(text)
    }
}

/// Verifies what an executor says about itself.
fn metadata_of(registration: ExecutorRegistration) -> Result<ExecutorMetadata, Status> {
    same_protocol(&registration)?;
    let port = |port: u32| {
        u16::try_from(port).map_err(|_| Status::invalid_argument(format!("{port} is not a port")))
    };
    let missing =
        |what: &str| Status::invalid_argument(format!("the executor does not tell {what}"));
    Ok(ExecutorMetadata {
        port: port(registration.port)?,
        grpc_port: port(registration.grpc_port)?,
        host: registration.host.ok_or_else(|| missing("its host"))?,
        specification: registration
            .specification
            .ok_or_else(|| missing("its slots"))?
            .into(),
        os_info: registration
            .os_info
            .ok_or_else(|| missing("its system"))?
            .into(),
        id: registration.id,
    })
}

fn same_protocol(registration: &ExecutorRegistration) -> Result<(), Status> {
    let theirs = registration.ballista_protocol_version;
    if theirs == BALLISTA_PROTOCOL_VERSION {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "protocol version mismatch: scheduler={BALLISTA_PROTOCOL_VERSION}, executor={theirs}"
    )))
}

/// Returns the memory of a process that an executor has measured, in bytes.
fn measured(metrics: &[ExecutorMetric], of: impl Fn(&Metric) -> Option<u64>) -> u64 {
    let found = metrics.iter().filter_map(|metric| metric.metric.as_ref());
    found.filter_map(of).max().unwrap_or(0)
}

#[async_trait]
impl SchedulerGrpc for ClusterService {
    type ExecuteQueryPushStream = <Server as SchedulerGrpc>::ExecuteQueryPushStream;

    async fn poll_work(&self, _: Request<PollWorkParams>) -> Answer<PollWorkResult> {
        Err(Status::unimplemented("tasks are sent to executors"))
    }

    async fn register_executor(
        &self,
        request: Request<RegisterExecutorParams>,
    ) -> Answer<RegisterExecutorResult> {
        let registration = request.into_inner().metadata;
        let registration =
            registration.ok_or_else(|| Status::invalid_argument("the executor is missing"))?;
        self.take_in(registration).await?;
        Ok(Response::new(RegisterExecutorResult { success: true }))
    }

    async fn heart_beat_from_executor(
        &self,
        request: Request<HeartBeatParams>,
    ) -> Answer<HeartBeatResult> {
        let beat = request.into_inner();
        let registration = beat.metadata;
        let registration =
            registration.ok_or_else(|| Status::failed_precondition("the executor is missing"))?;
        same_protocol(&registration)?;
        if registration.id != beat.executor_id {
            return Err(Status::invalid_argument("the executor has two names"));
        }
        let known = self.cluster.get_executor_metadata(&beat.executor_id).await;
        if known.is_err() {
            match self.take_in(registration).await {
                // It has joined meanwhile.
                Err(status) if status.code() == Code::AlreadyExists => {}
                joined => joined?,
            }
        }
        let physical = measured(&beat.metrics, |metric| match metric {
            Metric::ProcPhysicalMemory(bytes) => Some(*bytes),
            _ => None,
        });
        let virtual_memory = measured(&beat.metrics, |metric| match metric {
            Metric::ProcVirtualMemory(bytes) => Some(*bytes),
            _ => None,
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let saved = self.cluster.save_executor_heartbeat(ExecutorHeartbeat {
            executor_id: beat.executor_id,
            timestamp: now.unwrap_or_default().as_secs(),
            metrics: beat.metrics,
            status: beat.status,
            peak_proc_physical_memory: physical,
            peak_proc_virtual_memory: virtual_memory,
        });
        saved.await.map_err(|error| refusal(&error))?;
        Ok(Response::new(HeartBeatResult { reregister: false }))
    }

    async fn update_task_status(
        &self,
        request: Request<UpdateTaskStatusParams>,
    ) -> Answer<UpdateTaskStatusResult> {
        SchedulerGrpc::update_task_status(&self.server, request).await
    }

    async fn create_update_session(
        &self,
        request: Request<CreateUpdateSessionParams>,
    ) -> Answer<CreateUpdateSessionResult> {
        self.server.create_update_session(request).await
    }

    async fn remove_session(
        &self,
        request: Request<RemoveSessionParams>,
    ) -> Answer<RemoveSessionResult> {
        self.server.remove_session(request).await
    }

    async fn execute_query_push(
        &self,
        request: Request<ExecuteQueryParams>,
    ) -> Answer<Self::ExecuteQueryPushStream> {
        self.server.execute_query_push(request).await
    }

    async fn execute_query(
        &self,
        request: Request<ExecuteQueryParams>,
    ) -> Answer<ExecuteQueryResult> {
        self.server.execute_query(request).await
    }

    async fn get_job_status(
        &self,
        request: Request<GetJobStatusParams>,
    ) -> Answer<GetJobStatusResult> {
        let job = request
            .metadata()
            .contains_key(WANTS_PROGRESS)
            .then(|| request.get_ref().job_id.clone());
        let mut answer = self.server.get_job_status(request).await?;
        if let Some(job) = job {
            let jobs = self.server.state.task_manager.get_running_job_cache();
            if let Some(job) = jobs.get(job.as_str()) {
                let done = partitions_done(&*job.execution_graph.read().await);
                answer.metadata_mut().insert(PARTITIONS_DONE, done.into());
            }
        }
        Ok(answer)
    }

    async fn get_job_metrics(
        &self,
        request: Request<GetJobMetricsParams>,
    ) -> Answer<GetJobMetricsResult> {
        self.server.get_job_metrics(request).await
    }

    async fn executor_stopped(
        &self,
        request: Request<ExecutorStoppedParams>,
    ) -> Answer<ExecutorStoppedResult> {
        self.server.executor_stopped(request).await
    }

    async fn cancel_job(&self, request: Request<CancelJobParams>) -> Answer<CancelJobResult> {
        SchedulerGrpc::cancel_job(&self.server, request).await
    }

    async fn clean_job_data(
        &self,
        request: Request<CleanJobDataParams>,
    ) -> Answer<CleanJobDataResult> {
        self.server.clean_job_data(request).await
    }
}
