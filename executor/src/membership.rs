//! What an executor tells the scheduler: that it is there, that it lives, how tasks ended, and that it goes.

use std::time::{Duration, Instant};

use ballista_core::error::BallistaError;
use ballista_core::serde::protobuf::executor_status::Status;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    ExecutorRegistration, ExecutorStatus, ExecutorStoppedParams, HeartBeatParams,
    RegisterExecutorParams, TaskStatus, UpdateTaskStatusParams,
};
use ballista_executor::health::ExecutorHealth;
use planner::cluster::{ClusterAddress, MAX_MESSAGE_BYTES, connect_channel};
use tokio::sync::mpsc::UnboundedReceiver;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::ExecutorError;

/// Time for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keep-alive interval of a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Time between two tries to reach the scheduler.
const PAUSE: Duration = Duration::from_millis(500);

/// Signs of life in a row that may fail before the executor gives up.
const FAILURES: u32 = 5;

/// The scheduler, as an executor sees it.
#[derive(Clone)]
pub(crate) struct Membership {
    scheduler: SchedulerGrpcClient<Channel>,
    registration: ExecutorRegistration,
    health: ExecutorHealth,
}

impl Membership {
    /// Connects, for as long as `patience` allows trying, and joins the cluster. The executor's ports must be served
    /// already: the scheduler connects to them.
    pub(crate) async fn join(
        address: &ClusterAddress,
        registration: ExecutorRegistration,
        health: ExecutorHealth,
        patience: Duration,
    ) -> Result<Self, ExecutorError> {
        let begun = Instant::now();
        let endpoint = Endpoint::from_shared(address.endpoint())?
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(PATIENCE)
            .keep_alive_while_idle(true);
        let channel = loop {
            match connect_channel(endpoint.clone(), address.tls().cloned()).await {
                Ok(channel) => break channel,
                Err(error) if begun.elapsed() >= patience => {
                    return Err(ExecutorError::Unreachable {
                        scheduler: address.to_string(),
                        problem: chain(&error),
                    });
                }
                Err(error) => {
                    tracing::warn!(scheduler = %address, error = chain(&error), "the scheduler does not answer yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        let scheduler = SchedulerGrpcClient::new(channel)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let mut member = Self {
            scheduler,
            registration,
            health,
        };
        let metadata = Some(member.registration.clone());
        let joined = member
            .scheduler
            .register_executor(RegisterExecutorParams { metadata });
        let joined = joined.await.map_err(BallistaError::from)?;
        if !joined.into_inner().success {
            return Err(ExecutorError::Refused);
        }
        Ok(member)
    }

    /// Gives signs of life until several in a row have failed.
    pub(crate) async fn live(&self, period: Duration) -> ExecutorError {
        let mut failures = 0;
        loop {
            match self.beat(Status::Active(String::new())).await {
                Ok(()) => {
                    self.health.mark_heartbeat_ok();
                    failures = 0;
                }
                Err(status) => {
                    tracing::warn!(%status, "failed to send a heartbeat");
                    self.health.mark_heartbeat_failed();
                    failures += 1;
                    if failures == FAILURES {
                        return ExecutorError::SchedulerLost;
                    }
                }
            }
            tokio::time::sleep(period).await;
        }
    }

    async fn beat(&self, status: Status) -> Result<(), tonic::Status> {
        let beat = HeartBeatParams {
            executor_id: self.registration.id.clone(),
            metrics: Vec::new(),
            status: Some(ExecutorStatus {
                status: Some(status),
            }),
            metadata: Some(self.registration.clone()),
        };
        self.scheduler
            .clone()
            .heart_beat_from_executor(beat)
            .await?;
        Ok(())
    }

    /// Reports how tasks ended, several at a time where they end faster, until nobody tells any more. A report that does
    /// not arrive is sent again.
    pub(crate) async fn report(self, mut ended: UnboundedReceiver<TaskStatus>) {
        while let Some(first) = ended.recv().await {
            let mut task_status = vec![first];
            while let Ok(next) = ended.try_recv() {
                task_status.push(next);
            }
            let report = UpdateTaskStatusParams {
                executor_id: self.registration.id.clone(),
                task_status,
            };
            while let Err(status) = self
                .scheduler
                .clone()
                .update_task_status(report.clone())
                .await
            {
                tracing::error!(%status, "failed to report how tasks ended");
                // The scheduler has read it and does not want it.
                if matches!(
                    status.code(),
                    Code::InvalidArgument | Code::Internal | Code::OutOfRange | Code::Unimplemented
                ) {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Leaves the cluster: no more tasks come, and those that run are given to others.
    pub(crate) async fn leave(&self, reason: &str) {
        let stopped = ExecutorStoppedParams {
            executor_id: self.registration.id.clone(),
            reason: reason.to_owned(),
        };
        if let Err(status) = self.beat(Status::Terminating(String::new())).await {
            tracing::warn!(%status, "failed to tell the scheduler that this executor ends");
        }
        if let Err(status) = self.scheduler.clone().executor_stopped(stopped).await {
            tracing::warn!(%status, "failed to leave the cluster");
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
