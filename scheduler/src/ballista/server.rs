//! The process of a scheduler.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::get;
use ballista_core::error::BallistaError;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_scheduler::cluster::{BallistaCluster, ClusterState};
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::SchedulerState;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use planner::cluster::{
    ListenError, MAX_MESSAGE_BYTES, MemberListener, MemberTls, MemberTlsError, SanitizerCodec,
    Tunnel,
};
use planner::cluster::{member_config, member_session};
use planner::telemetry::METRICS;
use tonic::service::Routes;

use super::SchedulerOptions;
use super::grpc::{ClusterService, Server};
use super::stages::WatchedJobs;
use super::watch::ClusterWatch;

/// Keep-alive interval of a connection, and its timeout.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// What can go wrong with a scheduler.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The scheduler cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificates of the cluster cannot be used.
    #[error(transparent)]
    Tls(#[from] MemberTlsError),
    /// There is no place for the sockets of connections to executors.
    #[error("cannot make a folder for temporary files: {0}")]
    Sockets(std::io::Error),
    /// Serving failed.
    #[error("the scheduler failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// Ballista's scheduler failed.
    #[error("the scheduler failed: {0}")]
    Ballista(#[from] BallistaError),
}

/// A scheduler that listens.
pub struct Scheduler {
    listener: MemberListener,
    server: Server,
    cluster: Arc<dyn ClusterState>,
    tls: Option<MemberTls>,
}

impl Scheduler {
    /// Listens, and serves nothing yet.
    ///
    /// # Errors
    ///
    /// Fails when the address cannot be listened on, or would be reached by others than members, and when the
    /// certificates of the cluster cannot be used.
    pub async fn bind(options: &SchedulerOptions) -> Result<Self, SchedulerError> {
        let tls = options.tls()?;
        let insecure = options.insecure_cluster_network;
        let listener = MemberListener::bind(options.bind, tls.clone(), insecure).await?;
        let mut config = config(options, listener.address());
        if let Some(tls) = &tls {
            let tunnel = Tunnel::new(tls.clone()).map_err(SchedulerError::Sockets)?;
            config.override_create_grpc_client_endpoint = Some(tunnel.endpoints());
        }
        config.validate()?;
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let jobs = Arc::new(WatchedJobs(cluster.job_state()));
        let executors = cluster.cluster_state();
        let cluster = BallistaCluster::new(Arc::clone(&executors), jobs);
        let codec = BallistaCodec::new(
            Arc::new(BallistaLogicalExtensionCodec::default()),
            Arc::new(SanitizerCodec::default()),
        );
        let endpoint = config.scheduler_endpoint();
        let watch = Arc::new(ClusterWatch);
        let mut server = SchedulerServer::new(endpoint, cluster, codec, Arc::new(config), watch);
        server.init().await?;
        Ok(Self {
            listener,
            server,
            cluster: executors,
            tls,
        })
    }

    /// Who knows the executors.
    pub fn members(&self) -> Members {
        Members(Arc::clone(&self.server.state), self.server.clone())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Returns the certificates with which members are connected to, if the cluster uses TLS.
    pub fn tls(&self) -> Option<MemberTls> {
        self.tls.clone()
    }

    /// Serves gRPC, and `/healthz` and `/readyz`, until the future ends or something fails. Ballista's REST API is not
    /// served.
    ///
    /// # Errors
    ///
    /// Fails when the server does.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), SchedulerError> {
        let members = self.members();
        let service = ClusterService::new(self.server, self.cluster, self.tls);
        let service = SchedulerGrpcServer::new(service)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let ready = move || {
            let ready = members.is_ready();
            async move {
                if ready {
                    (StatusCode::OK, "ready\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "no executors\n")
                }
            }
        };
        let routes = Routes::new(service)
            .into_axum_router()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .fallback(|| async { StatusCode::NOT_FOUND });
        let serve = tonic::transport::Server::builder()
            .accept_http1(true)
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(KEEP_ALIVE))
            .add_routes(Routes::from(routes))
            .serve_with_incoming(self.listener.incoming());
        tokio::select! {
            ended = serve => Ok(ended?),
            () = stop => Ok(()),
        }
    }
}

/// The executors of a cluster.
#[derive(Clone)]
pub struct Members(
    Arc<SchedulerState<LogicalPlanNode, PhysicalPlanNode>>,
    Server,
);

impl Members {
    /// Returns whether an executor is there.
    pub fn is_ready(&self) -> bool {
        self.1.is_ready()
    }

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
