//! The process of a scheduler.

use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::error::BallistaError;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_grpc_service_with_listener;
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::SchedulerState;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use planner::cluster::{MAX_MESSAGE_BYTES, SanitizerCodec};
use planner::session::{member_config, member_session};
use planner::telemetry::METRICS;
use tokio::net::TcpListener;

use super::SchedulerOptions;
use super::stages::WatchedJobs;
use super::watch::ClusterWatch;

/// What can go wrong with a scheduler.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
    /// Ballista's scheduler failed.
    #[error("the scheduler failed: {0}")]
    Ballista(#[from] BallistaError),
}

/// A scheduler that listens.
pub struct Scheduler {
    address: SocketAddr,
    listener: TcpListener,
    server: SchedulerServer<LogicalPlanNode, PhysicalPlanNode>,
}

impl Scheduler {
    /// Listens, and accepts nothing yet.
    pub async fn bind(options: &SchedulerOptions) -> Result<Self, SchedulerError> {
        let failed = |source| SchedulerError::Bind {
            address: options.bind,
            source,
        };
        let listener = TcpListener::bind(options.bind).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let config = config(options, address);
        config.validate()?;
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let jobs = Arc::new(WatchedJobs(cluster.job_state()));
        let cluster = BallistaCluster::new(cluster.cluster_state(), jobs);
        let codec = BallistaCodec::new(
            Arc::new(BallistaLogicalExtensionCodec::default()),
            Arc::new(SanitizerCodec::default()),
        );
        let endpoint = config.scheduler_endpoint();
        let watch = Arc::new(ClusterWatch);
        let mut server = SchedulerServer::new(endpoint, cluster, codec, Arc::new(config), watch);
        server.init().await?;
        Ok(Self {
            address,
            listener,
            server,
        })
    }

    /// Who knows the executors.
    pub fn members(&self) -> Members {
        Members(Arc::clone(&self.server.state))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves gRPC, and `/healthz` and `/readyz`, until the future ends or something fails.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), SchedulerError> {
        tokio::select! {
            ended = start_grpc_service_with_listener(self.listener, self.server) => Ok(ended?),
            () = stop => Ok(()),
        }
    }
}

/// The executors of a cluster.
#[derive(Clone)]
pub struct Members(Arc<SchedulerState<LogicalPlanNode, PhysicalPlanNode>>);

impl Members {
    /// Brings the number of those that live up to date. One that is silent for too long is taken off the list.
    pub async fn refresh(&self) {
        if let Ok(executors) = self.0.executor_manager.get_executors_state().await {
            METRICS.executors.set([], executors.len() as f64);
        }
    }
}

fn config(options: &SchedulerOptions, address: SocketAddr) -> SchedulerConfig {
    let message = MAX_MESSAGE_BYTES as u32;
    SchedulerConfig {
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        external_host: options.external_host.clone(),
        executor_timeout_seconds: options.executor_timeout_seconds,
        expire_dead_executor_interval_seconds: (options.executor_timeout_seconds / 4).max(1),
        no_executors_grace_period_seconds: options.no_executors_grace_seconds,
        task_max_failures: options.task_attempts,
        finished_job_data_clean_up_interval_seconds: options.keep_results_seconds,
        grpc_server_max_decoding_message_size: message,
        grpc_server_max_encoding_message_size: message,
        grpc_client_max_message_size: message,
        override_config_producer: Some(Arc::new(member_config)),
        override_session_builder: Some(Arc::new(member_session)),
        override_physical_codec: Some(Arc::new(SanitizerCodec::default())),
        ..SchedulerConfig::default()
    }
}
