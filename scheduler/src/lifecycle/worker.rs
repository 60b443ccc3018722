//! Workers: each claims a job, has it run, and claims the next one.
//!
//! Jobs run on threads of their own, so that a long pass does not keep the API waiting. A job that may be what kills
//! workers runs alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use planner::telemetry::METRICS;
use rand::Rng;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, RwLock};
use tokio::task::JoinSet;
use tracing::{Instrument, error, warn};
use uuid::Uuid;

use super::spec::SourceLocations;
use super::watch::attempt_span;
use super::worker_options::WorkerOptions;
use crate::metadata::MetadataStore;
use crate::storage::Store;
use crate::vault::Vault;

/// Time for which an idle worker waits, unless it is woken.
const IDLE: Duration = Duration::from_millis(1000);

/// Time that a job has to stop when the service ends.
const FAREWELL: Duration = Duration::from_secs(20);

/// The workers of a process.
pub(crate) struct Workers {
    pub(super) metadata: MetadataStore,
    pub(super) store: Store,
    pub(super) vault: Vault,
    /// What jobs may read from.
    pub(super) sources: SourceLocations,
    pub(super) options: WorkerOptions,
    /// Tells of new jobs.
    wake: Arc<Notify>,
    pub(super) memory: Arc<dyn MemoryPool>,
    /// Open to all jobs at once, or to one alone.
    pub(super) gate: Arc<RwLock<()>>,
    /// Whose turn it is to claim. A job that must run alone keeps it until the gate is its own: what another worker claimed
    /// meanwhile would wait with an attempt begun, and lose it with this process without ever having run.
    turn: Arc<Mutex<()>>,
    /// Where jobs run.
    pub(super) jobs: Handle,
    stopping: AtomicBool,
    name: String,
}

impl Workers {
    pub(crate) fn new(
        metadata: MetadataStore,
        (store, vault, sources): (Store, Vault, SourceLocations),
        options: WorkerOptions,
        wake: Arc<Notify>,
        jobs: Handle,
    ) -> Self {
        let limit = usize::try_from(options.memory_limit).unwrap_or(usize::MAX);
        Self {
            metadata,
            store,
            vault,
            sources,
            memory: Arc::new(FairSpillPool::new(limit)),
            gate: Arc::default(),
            turn: Arc::default(),
            options,
            wake,
            jobs,
            stopping: AtomicBool::new(false),
            name: format!("{}-{}", std::process::id(), Uuid::new_v4().simple()),
        }
    }

    /// Works until it is told to stop; then gives back what is not finished.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut workers = JoinSet::new();
        for number in 0..self.options.jobs {
            let this = Arc::clone(&self);
            workers.spawn(async move { this.work(number).await });
        }
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a worker ended");
            }
        }
    }

    /// Tells the workers to stop.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.wake.notify_waiters();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    async fn work(&self, number: usize) {
        let owner = format!("{}-{number}", self.name);
        let mut silent = 0_u32;
        while !self.is_stopping() {
            let woken = self.wake.notified();
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let place = self.gate.read().await;
            match self.metadata.claim(&owner, self.lease()).await {
                Ok(Some(claim)) => {
                    silent = 0;
                    // Another worker looks for the next one meanwhile.
                    self.wake.notify_one();
                    let place = (!claim.alone).then_some(place);
                    let turn = claim.alone.then_some(turn);
                    let span = attempt_span(&claim);
                    self.attempt(claim, turn).instrument(span).await;
                    drop(place);
                }
                Ok(None) => {
                    drop((place, turn));
                    silent = 0;
                    let pause = IDLE.mul_f64(rand::rng().random_range(0.5..1.0));
                    let _ = tokio::time::timeout(pause, woken).await;
                }
                Err(error) => {
                    drop((place, turn));
                    warn!(%error, "no job can be claimed");
                    silent = (silent + 1).min(5);
                    let pause = Duration::from_millis(250) * 2_u32.pow(silent);
                    let _ = tokio::time::timeout(pause, woken).await;
                }
            }
        }
    }

    /// Returns the seconds for which a lease holds.
    pub(super) fn lease(&self) -> f64 {
        self.options.lease.as_secs_f64()
    }

    /// Brings figures up to date that nobody counts.
    pub(crate) fn refresh(&self) {
        METRICS.job_slots.set([], self.options.jobs as f64);
        let reserved = self.memory.reserved() as f64;
        METRICS.memory_pool.set(["reserved"], reserved);
        let limit = self.options.memory_limit as f64;
        METRICS.memory_pool.set(["limit"], limit);
    }
}

/// How long the service waits for its jobs when it ends.
pub(crate) fn farewell() -> Duration {
    FAREWELL
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::metadata::{JobFilter, Limits, NewJob, Submission};
    use crate::vault::TokenKeys;

    /// Two jobs that must run alone are begun one after the other, even while the first still waits for its place.
    #[tokio::test(flavor = "multi_thread")]
    async fn one_alone_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let url = |name: &str| format!("sqlite:{}", path(name));
        let metadata = MetadataStore::open(&url("service.sqlite")).await.unwrap();
        let limits = Limits::default();
        let tenant = metadata.create_tenant("acme", &limits, "test").await;
        let tenant = tenant.unwrap().id;
        for _ in 0..2 {
            let submission = Submission {
                job: NewJob {
                    id: Uuid::now_v7(),
                    dataset: "people".to_owned(),
                    spec: json!({"version": 1, "source": {"location": "upload:x"}}),
                    source_bytes: None,
                    uploads: Vec::new(),
                    priority: 0,
                    deadline_seconds: None,
                    max_attempts: 2,
                },
                idempotency: None,
                actor: "key:test".to_owned(),
            };
            metadata.submit(tenant, &submission).await.unwrap();
            assert!(
                metadata
                    .claim("a worker that dies", 0.0)
                    .await
                    .unwrap()
                    .is_some()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(metadata.reap().await.unwrap().len(), 2);
        // Until both may be tried again.
        tokio::time::sleep(Duration::from_millis(1500)).await;

        let store = Store::new(&path("store"), None).unwrap();
        let tokens = url("tokens.sqlite");
        let vault = Vault::open(&tokens, TokenKeys::default());
        let workers = Arc::new(Workers::new(
            metadata.clone(),
            (store, vault.await.unwrap(), SourceLocations::default()),
            WorkerOptions::default(),
            Arc::default(),
            Handle::current(),
        ));
        let statuses = async || {
            let jobs = metadata.jobs(tenant, &JobFilter::default(), 10).await;
            let mut statuses: Vec<_> = jobs.unwrap().iter().map(|job| job.status.name()).collect();
            statuses.sort_unstable();
            statuses
        };
        // Another job is at work.
        let place = Arc::clone(&workers.gate).read_owned().await;
        let running = tokio::spawn(Arc::clone(&workers).run());
        tokio::time::sleep(2 * IDLE).await;
        assert_eq!(statuses().await, ["pass1_running", "queued"]);
        drop(place);
        while statuses().await != ["failed", "failed"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        workers.stop();
        running.await.unwrap();
    }
}
