//! The process of an executor.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::error::BallistaError;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::ExecutorRegistration;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_executor::executor::{Executor as TaskExecutor, TasksDrainedFuture};
use ballista_executor::executor_process::{ExecutorProcessConfig, structure_executor_metadata};
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::LoggingMetricsCollector;
use planner::cluster::{ClusterAddress, MemberListener, SanitizerCodec};
use planner::cluster::{member_config, member_session};
use planner::telemetry::METRICS;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};

use crate::engine::MeteredEngine;
use crate::membership::Membership;
use crate::memory::TaskMemory;
use crate::runtime::{Runtimes, settings};
use crate::service::{TaskService, serve_results, serve_tasks};
use crate::tasks::Tasks;
use crate::work::WorkFolder;
use crate::{ExecutorError, ExecutorOptions};

/// Time for reports of tasks that ended last to reach the scheduler.
const LAST_REPORTS: Duration = Duration::from_secs(10);

/// An executor that listens for who asks for its results, and takes no tasks yet.
pub struct Executor {
    options: ExecutorOptions,
    scheduler: ClusterAddress,
    results: MemberListener,
    tasks: MemberListener,
    work: WorkFolder,
    memory: TaskMemory,
    health: ExecutorHealth,
}

impl Executor {
    /// Listens.
    ///
    /// # Errors
    ///
    /// Fails when a setting is wrong, when an address cannot be listened on or would be reached by others than members,
    /// and when the certificates of the cluster cannot be used.
    pub async fn bind(options: &ExecutorOptions) -> Result<Self, ExecutorError> {
        let scheduler: ClusterAddress = options
            .scheduler
            .parse()
            .map_err(ExecutorError::Scheduler)?;
        let tls = options.tls()?;
        let insecure = options.insecure_cluster_network;
        let listen = |port| {
            let address = SocketAddr::new(options.bind_host, port);
            MemberListener::bind(address, tls.clone(), insecure)
        };
        let results = listen(options.port).await?;
        let tasks = listen(options.task_port).await?;
        let work = WorkFolder::open(options.work_dir.as_deref());
        METRICS.task_slots.set([], options.slots() as f64);
        Ok(Self {
            options: options.clone(),
            scheduler: scheduler.with_tls(tls),
            results,
            tasks,
            work: work.map_err(ExecutorError::WorkDir)?,
            memory: TaskMemory::default(),
            health: ExecutorHealth::new(),
        })
    }

    /// Where it gives results and tells of its health.
    pub fn address(&self) -> SocketAddr {
        self.results.address()
    }

    /// Where it takes tasks.
    pub fn task_address(&self) -> SocketAddr {
        self.tasks.address()
    }

    /// What its tasks have of its memory.
    pub fn memory(&self) -> TaskMemory {
        self.memory.clone()
    }

    /// Returns whether the scheduler knows of it.
    pub fn readiness(&self) -> impl Fn() -> bool + Clone + Send + Sync + use<> {
        let health = self.health.clone();
        move || health.is_ready()
    }

    /// Takes tasks until it is interrupted or terminated, or something fails. Tasks that run then
    /// are finished first.
    ///
    /// # Errors
    ///
    /// Fails when the scheduler cannot be reached, at the start or for several heartbeats, and when a service fails.
    pub async fn run(self) -> Result<(), ExecutorError> {
        let mut interrupted = signal(SignalKind::interrupt()).map_err(ExecutorError::Start)?;
        let mut terminated = signal(SignalKind::terminate()).map_err(ExecutorError::Start)?;
        let (registration, executor, engine) = self.ballista()?;
        let (reports, ended) = mpsc::unbounded_channel();
        let codec = BallistaCodec::new(
            Arc::new(BallistaLogicalExtensionCodec::default()),
            Arc::new(SanitizerCodec::default()),
        );
        let tasks = Tasks::new(Arc::clone(&executor), engine, codec, reports)
            .map_err(ExecutorError::Start)?;
        let (stop, stopped) = watch::channel(false);
        let ordered = Arc::new(Notify::new());
        let service = TaskService::new(tasks, self.work.clone(), Arc::clone(&ordered));
        let mut task_service = tokio::spawn(serve_tasks(self.tasks, service, stopped.clone()));
        let mut result_service = tokio::spawn(serve_results(
            self.results,
            self.work.path().to_owned(),
            self.health.clone(),
            stopped,
        ));
        let patience = Duration::from_secs(self.options.connect_seconds.into());
        let member = tokio::select! {
            joined = Membership::join(&self.scheduler, registration, self.health, patience) => joined?,
            _ = interrupted.recv() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
        };
        let reporting = tokio::spawn(member.clone().report(ended));
        let period = Duration::from_secs(self.options.heartbeat_seconds.max(1));
        let lost = tokio::select! {
            lost = member.live(period) => Some(lost),
            () = self.work.keep_tidy() => None,
            served = &mut task_service => Some(failure(served)),
            served = &mut result_service => Some(failure(served)),
            () = ordered.notified() => Some(ExecutorError::GivenUp),
            _ = interrupted.recv() => None,
            _ = terminated.recv() => None,
        };
        if lost.is_none() {
            tracing::info!("the executor finishes its tasks and ends");
            member.leave("asked to end").await;
            TasksDrainedFuture(executor).await;
        }
        // Without the service nobody can start tasks, and reports end with the last one.
        let _ = stop.send(true);
        if lost.is_none() {
            let _ = tokio::time::timeout(LAST_REPORTS, reporting).await;
        }
        if let Err(error) = self.work.clear().await {
            tracing::warn!(%error, "failed to remove results");
        }
        lost.map_or(Ok(()), Err)
    }

    /// Makes Ballista's executor, and what it tells of itself.
    fn ballista(
        &self,
    ) -> Result<(ExecutorRegistration, Arc<TaskExecutor>, Arc<MeteredEngine>), ExecutorError> {
        let slots = self.options.slots();
        let described = ExecutorProcessConfig {
            external_host: Some(self.options.external_host.clone()),
            port: self.results.address().port(),
            grpc_port: self.tasks.address().port(),
            ..ExecutorProcessConfig::default()
        };
        let registration = structure_executor_metadata(&Arc::new(described), slots as u32);
        let tls = self.scheduler.tls();
        let engine = Arc::new(MeteredEngine::new(self.memory.clone(), tls.cloned()));
        let runtimes = Runtimes::new(&self.options, self.work.path())?;
        let state = member_session(member_config()).map_err(BallistaError::from)?;
        let executor = TaskExecutor::new(
            registration.clone(),
            &self.work.path().to_string_lossy(),
            runtimes.plain,
            settings(tls),
            Arc::new(BallistaFunctionRegistry::from(&state)),
            Arc::new(LoggingMetricsCollector::default()),
            slots,
            Arc::clone(&engine) as _,
        );
        let executor = executor.with_session_runtime_cache(Some(runtimes.of_tasks));
        Ok((registration, Arc::new(executor), engine))
    }
}

/// Why a service that should go on has ended.
fn failure(
    served: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>,
) -> ExecutorError {
    match served {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) => BallistaError::Internal("a service has ended".to_owned()).into(),
        Err(error) => BallistaError::Internal(format!("a service has ended: {error}")).into(),
    }
}
