//! The process of an executor.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::RuntimeProducer;
use ballista_core::error::BallistaError;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::utils::{GrpcServerConfig, create_grpc_server};
use ballista_executor::ArrowFlightServerProvider;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::health::ExecutorHealth;
use ballista_executor::shutdown::Shutdown;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use planner::cluster::{ClusterAddress, MAX_MESSAGE_BYTES, SanitizerCodec};
use planner::session::{member_config, member_session};
use planner::storage::RootedStores;
use planner::telemetry::METRICS;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::health_reporter;

use crate::ExecutorOptions;
use crate::engine::MeteredEngine;
use crate::memory::TaskMemory;

/// Share of the machine's or container's memory that tasks may take.
const MEMORY_SHARE: f64 = 0.75;

/// Time between two looks at the executor's health.
const HEALTH_PERIOD: Duration = Duration::from_millis(500);

/// What can go wrong with an executor.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The address of the scheduler is none.
    #[error("scheduler: {0}")]
    Scheduler(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
    /// The folder of results cannot be had.
    #[error("the work folder cannot be had: {0}")]
    WorkDir(std::io::Error),
    /// Ballista's executor failed.
    #[error("the executor failed: {0}")]
    Ballista(#[from] BallistaError),
}

/// An executor that listens for who asks for its results, and takes no tasks yet.
pub struct Executor {
    address: SocketAddr,
    config: ExecutorProcessConfig,
    memory: TaskMemory,
    // Of a folder that goes with the executor.
    _work_dir: Option<TempDir>,
}

impl Executor {
    /// Listens.
    pub async fn bind(options: &ExecutorOptions) -> Result<Self, ExecutorError> {
        let scheduler: ClusterAddress = options
            .scheduler
            .parse()
            .map_err(ExecutorError::Scheduler)?;
        let listener = listen(options, options.port).await?;
        let bound = |source| ExecutorError::Bind {
            address: SocketAddr::new(options.bind_host, options.port),
            source,
        };
        let address = listener.local_addr().map_err(bound)?;
        let task_port = match options.task_port {
            0 => free_port(options).await?,
            port => port,
        };
        let (work_dir, temporary) = match &options.work_dir {
            Some(path) => {
                std::fs::create_dir_all(path).map_err(ExecutorError::WorkDir)?;
                (path.clone(), None)
            }
            None => {
                let folder = TempDir::new().map_err(ExecutorError::WorkDir)?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let state = member_session(member_config()).map_err(BallistaError::from)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let slots = if options.slots == 0 {
            cores
        } else {
            options.slots
        };
        METRICS.task_slots.set([], slots as f64);
        let health = ExecutorHealth::new();
        let memory = TaskMemory::default();
        let config = ExecutorProcessConfig {
            bind_host: options.bind_host.to_string(),
            external_host: Some(options.external_host.clone()),
            port: address.port(),
            grpc_port: task_port,
            scheduler_host: scheduler.host().to_owned(),
            scheduler_port: scheduler.port(),
            scheduler_connect_timeout_seconds: options.connect_seconds,
            vcores: options.slots,
            work_dir: Some(work_dir.to_string_lossy().into_owned()),
            job_data_ttl_seconds: 24 * 3600,
            job_data_clean_up_interval_seconds: 600,
            grpc_max_decoding_message_size: MAX_MESSAGE_BYTES as u32,
            grpc_max_encoding_message_size: MAX_MESSAGE_BYTES as u32,
            executor_heartbeat_interval_seconds: options.heartbeat_seconds,
            memory_pool_size: options.memory_limit.map(|limit| limit.0),
            memory_pool_fraction: MEMORY_SHARE,
            override_execution_engine: Some(Arc::new(MeteredEngine::new(memory.clone()))),
            override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&state))),
            override_config_producer: Some(Arc::new(member_config)),
            override_runtime_producer: Some(runtime_producer(&work_dir)),
            override_physical_codec: Some(Arc::new(SanitizerCodec::default())),
            override_arrow_flight_service: Some(flight_service(listener, health.clone())),
            health,
            ..ExecutorProcessConfig::default()
        };
        Ok(Self {
            address,
            config,
            memory,
            _work_dir: temporary,
        })
    }

    /// Where it gives results and tells of its health.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its tasks have of its memory.
    pub fn memory(&self) -> TaskMemory {
        self.memory.clone()
    }

    /// Takes tasks until it is interrupted or terminated, or something fails. Tasks that run then
    /// are finished first.
    pub async fn run(self) -> Result<(), ExecutorError> {
        Ok(start_executor_process(Arc::new(self.config)).await?)
    }
}

/// The runtimes of tasks: what they spill goes to the work folder, and files beneath the roots of tenants are read where
/// plans name them.
fn runtime_producer(work_dir: &Path) -> RuntimeProducer {
    let spill = work_dir.to_owned();
    Arc::new(move |_| {
        RuntimeEnvBuilder::new()
            .with_temp_file_path(spill.clone())
            .with_object_store_registry(Arc::new(RootedStores::default()))
            .build_arc()
    })
}

/// A port that is free, for Ballista, which listens by itself a moment later. It lies below those that the system gives
/// to connections, so that none of them takes it meanwhile.
async fn free_port(options: &ExecutorOptions) -> Result<u16, ExecutorError> {
    const TRIES: usize = 64;
    const BELOW: u16 = 32_768;
    let mut tried = 0;
    loop {
        let any = listen(options, 0).await?;
        let address = SocketAddr::new(options.bind_host, 0);
        let failed = |source| ExecutorError::Bind { address, source };
        let any = any.local_addr().map_err(failed)?.port();
        let port = BELOW / 2 + any % (BELOW / 2);
        tried += 1;
        match listen(options, port).await {
            Ok(_) => return Ok(port),
            Err(error) if tried == TRIES => return Err(error),
            Err(_) => {}
        }
    }
}

async fn listen(options: &ExecutorOptions, port: u16) -> Result<TcpListener, ExecutorError> {
    let address = SocketAddr::new(options.bind_host, port);
    TcpListener::bind(address)
        .await
        .map_err(|source| ExecutorError::Bind { address, source })
}

/// Ballista's service that gives results, with the standard gRPC health service beside it. The
/// executor is healthy while the scheduler knows of it.
fn flight_service(listener: TcpListener, health: ExecutorHealth) -> Arc<ArrowFlightServerProvider> {
    let listener = Mutex::new(Some(listener));
    Arc::new(
        move |work_dir: String, _, mut stop: Shutdown, config: GrpcServerConfig| {
            let listener = listener.lock().ok().and_then(|mut once| once.take());
            let health = health.clone();
            tokio::spawn(async move {
                let listener = listener.ok_or_else(|| {
                    BallistaError::Internal("a service that is started twice".to_owned())
                })?;
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
                let serve = create_grpc_server(&config)
                    .add_service(health_service)
                    .add_service(flight)
                    .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop.recv());
                tokio::select! {
                    ended = serve => Ok(ended?),
                    () = report => Ok(()),
                }
            })
        },
    )
}
