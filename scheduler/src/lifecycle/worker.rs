//! Workers: each claims a job, keeps its lease while it runs, and publishes it or gives it back.
//!
//! Jobs run on threads of their own, so that a long pass does not keep the API waiting. A worker that cannot
//! prolong its lease stops its job: somebody else may have it by now. Nothing that it wrote counts, for
//! publication is refused to whoever has not got the lease.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use planner::cluster::ClusterAddress;
use planner::run::{Finished, Phase, Progress};
use planner::sink::detach_tokens;
use planner::telemetry::METRICS;
use rand::Rng;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::task::JoinSet;
use tracing::{Instrument, Span, error, info, warn};
use uuid::Uuid;

use super::account::publication;
use super::failure::{JobFailure, retry_delay};
use super::preparation::{Claimed, Preparation};
use super::review::{Earlier, reviewed_job};
use super::spec::SourceLocations;
use super::watch::{AttemptWatch, attempt_span, job_ended};
use crate::metadata::{Claim, Ending, Fence, JobStatus, MetadataError, MetadataStore, Publication};
use crate::storage::Store;
use crate::vault::Vault;

/// Poll interval of a running job.
const LOOK: Duration = Duration::from_millis(200);

/// Time for which an idle worker waits, unless it is woken.
const IDLE: Duration = Duration::from_millis(1000);

/// Time that a job has to stop when the service ends.
const FAREWELL: Duration = Duration::from_secs(20);

/// How jobs are worked on.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Jobs at the same time.
    pub jobs: usize,
    /// Time after which a job whose worker is silent goes to another one.
    pub lease: Duration,
    /// Memory of all jobs together.
    pub memory_limit: u64,
    /// The cluster whose executors do the work; this process when none.
    pub cluster: Option<ClusterAddress>,
    /// The most changed cells of a job that go to the metadata store; when none, 100,000 to Postgres and 10,000 to
    /// SQLite.
    pub provenance_limit: Option<usize>,
    /// Threads that jobs of this process use.
    pub threads: usize,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            jobs: 2,
            lease: Duration::from_secs(20),
            memory_limit: 4 << 30,
            cluster: None,
            provenance_limit: None,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

/// The gate while it is one job's: from when its run has it until both run and attempt are over, publication included.
type Alone = Arc<OnceLock<OwnedRwLockWriteGuard<()>>>;

/// The workers of a process.
pub(crate) struct Workers {
    pub(crate) metadata: MetadataStore,
    pub(crate) store: Store,
    vault: Vault,
    /// What jobs may read from.
    sources: SourceLocations,
    pub(crate) options: WorkerOptions,
    /// Tells of new jobs.
    pub(crate) wake: Arc<Notify>,
    memory: Arc<dyn MemoryPool>,
    /// Open to all jobs at once, or to one alone.
    gate: Arc<RwLock<()>>,
    /// Whose turn it is to claim. A job that must run alone keeps it until the gate is its own: what another worker claimed
    /// meanwhile would wait with an attempt begun, and lose it with this process without ever having run.
    turn: Arc<Mutex<()>>,
    /// Where jobs run.
    jobs: Handle,
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

    fn is_stopping(&self) -> bool {
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

    fn lease(&self) -> f64 {
        self.options.lease.as_secs_f64()
    }

    /// Runs one attempt at a job, from claim to end; one with the turn runs alone.
    async fn attempt(&self, claim: Claim, turn: Option<OwnedMutexGuard<()>>) {
        let tenant = self.tenant_name(claim.job.tenant_id).await;
        let progress = Arc::new(Progress::default());
        let watch = AttemptWatch::begin(&claim.job, &tenant, Arc::clone(&progress));
        info!("a job begins");
        let begun = Instant::now();
        let alone = Alone::default();
        let place = (turn, Arc::clone(&alone));
        let run = self.start(&claim, place, Arc::clone(&progress));
        let outcome = self.watch(&claim.fence, run, &progress, begun).await;
        let ending = match outcome {
            Outcome::Lost => {
                warn!("the lease was lost; nothing of this attempt counts");
                METRICS.leases_lost.count([]);
                watch.ends("failed");
                return;
            }
            Outcome::Finished(publication) => {
                match self.publish(&claim.fence, &publication, &progress).await {
                    Ok(Some(version)) => {
                        info!(version, "a job was published");
                        watch.published(&publication);
                        self.forget(&claim.output).await;
                        return;
                    }
                    Ok(None) => Ending::Cancelled,
                    Err(error @ MetadataError::StorageSpent { .. }) => {
                        Ending::Failed(JobFailure::new("refused", error.to_string()).document())
                    }
                    Err(error) => {
                        warn!(%error, "a job could not be published");
                        if matches!(error, MetadataError::Fenced) {
                            METRICS.fenced_writes.count([]);
                        }
                        watch.ends("failed");
                        return;
                    }
                }
            }
            Outcome::Ended(ending) => ending,
        };
        if let Ending::Failed(failure) | Ending::Retry { error: failure, .. } = &ending {
            let kind = failure["kind"].as_str().unwrap_or_default();
            warn!(error_kind = kind, error = %failure["message"], "an attempt failed");
        }
        let (outcome, status) = match &ending {
            Ending::Cancelled => ("cancelled", "cancelled"),
            Ending::Released => ("released", "cancelled"),
            Ending::Failed(_) | Ending::Retry { .. } => ("failed", "failed"),
        };
        watch.ends(status);
        let end = || self.metadata.end(&claim.fence, &ending);
        let ended = end
            .retry(self.patience())
            .when(MetadataError::is_transient)
            .await;
        match ended {
            Ok(status) => {
                info!(status = status.name(), "an attempt ended");
                METRICS.job_attempts.count([outcome]);
                let error = match &ending {
                    Ending::Failed(error) | Ending::Retry { error, .. } => Some(error),
                    Ending::Cancelled | Ending::Released => None,
                };
                job_ended(&tenant, status, error);
                if status.is_final() {
                    self.forget(&claim.output).await;
                }
            }
            // It is found when the lease runs out.
            Err(error) => {
                if matches!(error, MetadataError::Fenced) {
                    METRICS.fenced_writes.count([]);
                }
                warn!(%error, "the end of an attempt was not written");
            }
        }
    }

    /// The name of a tenant, for people who look at metrics and logs.
    async fn tenant_name(&self, id: Uuid) -> String {
        let tenant = self.metadata.find_tenant(&id.to_string()).await;
        let name = tenant.ok().flatten().map(|tenant| tenant.name);
        name.unwrap_or_else(|| id.to_string())
    }

    /// Brings figures up to date that nobody counts.
    pub(crate) fn refresh(&self) {
        METRICS.job_slots.set([], self.options.jobs as f64);
        let reserved = self.memory.reserved() as f64;
        METRICS.memory_pool.set(["reserved"], reserved);
        let limit = self.options.memory_limit as f64;
        METRICS.memory_pool.set(["limit"], limit);
    }

    /// Removes what a job has kept for its next attempt, of which there will be none.
    async fn forget(&self, output: &str) {
        if let Err(error) = self.store.remove(&checkpoint_of(output)).await {
            warn!(output, %error, "what a job has learned was not removed");
        }
    }

    /// Tries again as long as the lease may hold.
    fn patience(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(12)
            .with_jitter()
    }

    async fn publish(
        &self,
        fence: &Fence,
        publication: &Publication,
        progress: &Progress,
    ) -> Result<Option<i64>, MetadataError> {
        let publish = || self.metadata.publish(fence, publication);
        let publish = publish
            .retry(self.patience())
            .when(MetadataError::is_transient)
            .into_future();
        let beats = async {
            loop {
                tokio::time::sleep(self.options.lease / 4).await;
                let document = progress_document(progress, Duration::ZERO);
                let status = JobStatus::Pass2Running;
                let beat = self.metadata.beat(fence, self.lease(), status, &document);
                // Publication itself finds out when the job is somebody else's.
                let _ = tokio::time::timeout(self.options.lease / 4, beat).await;
            }
        };
        tokio::select! {
            published = publish => published,
            () = beats => Err(MetadataError::Fenced),
        }
    }

    /// Starts the job on the threads of jobs; gives what is to be published.
    fn start(
        &self,
        claim: &Claim,
        (turn, alone): (Option<OwnedMutexGuard<()>>, Alone),
        progress: Arc<Progress>,
    ) -> tokio::task::JoinHandle<Result<Publication, planner::Error>> {
        let metadata = self.metadata.clone();
        let store = self.store.clone();
        let vault = self.vault.clone();
        let options = self.options.clone();
        let preparation = Preparation {
            metadata: metadata.clone(),
            store: store.clone(),
            sources: self.sources.clone(),
            token_key: vault.keys().writing.clone(),
            options: options.clone(),
            memory: Arc::clone(&self.memory),
        };
        let (job, output, fence) = (claim.job.clone(), claim.output.clone(), claim.fence.clone());
        let jobs = self.jobs.clone();
        let gate = Arc::clone(&self.gate);
        let work = async move {
            // It waits until all others have ended; new ones wait for it.
            if let Some(_turn) = turn {
                let _ = alone.set(gate.write_owned().await);
            }
            let usual = match metadata.kind() {
                "sqlite" => 10_000,
                _ => 100_000,
            };
            let kept = options.provenance_limit.unwrap_or(usual);
            if let Some(of) = reviewed_job(&job.spec) {
                let earlier = Earlier::find(&metadata, &job, of).await?;
                let from = store.place(earlier.location());
                let to = store.place(&output);
                progress.enter(Phase::Write, 0)?;
                let span = Span::current();
                let done = tokio::task::spawn_blocking(move || {
                    span.in_scope(|| earlier.revise(&from, (&to, &output), job.id, kept))
                });
                return done
                    .await
                    .map_err(|_| planner::Error::Bug("the job panicked"))?;
            }
            let claimed = Claimed {
                job: &job,
                fence,
                output: &output,
            };
            let (mut run, owner) = preparation.prepare(claimed).await?;
            run.progress = progress;
            let bytes = job.source_bytes.unwrap_or(0);
            let run = async move { run.run().await };
            let done = jobs.spawn(run.in_current_span());
            let done: planner::Result<Finished> = done
                .await
                .map_err(|_| planner::Error::Bug("the job panicked"))?;
            let finished = done?;
            // Nobody sees a token that cannot be turned back, and what it stands for lies in the vault alone.
            vault.take(&owner, job.id, finished.output.clone()).await?;
            let span = Span::current();
            let published = tokio::task::spawn_blocking(move || {
                span.in_scope(|| {
                    detach_tokens(&finished.output)?;
                    publication(&finished, &output, bytes, kept)
                })
            });
            published
                .await
                .map_err(|_| planner::Error::Bug("the job panicked"))?
        };
        tokio::spawn(work.in_current_span())
    }

    /// Keeps the lease of a job that runs, until it ends.
    async fn watch(
        &self,
        fence: &Fence,
        mut run: tokio::task::JoinHandle<Result<Publication, planner::Error>>,
        progress: &Progress,
        begun: Instant,
    ) -> Outcome {
        let beat_every = self.options.lease / 4;
        // What the database has heard of, and when the lease ends if it hears nothing more.
        let mut told = (JobStatus::Pass1Running, Instant::now());
        let mut lease_ends = Instant::now() + self.options.lease;
        let mut stop: Option<Stop> = None;
        loop {
            tokio::select! {
                ended = &mut run => return self.outcome(ended, stop, fence).await,
                () = tokio::time::sleep(LOOK) => {}
            }
            if self.is_stopping() && stop.is_none() {
                stop = Some(Stop::Released);
                progress.cancel();
            }
            let status = status_of(progress);
            if told.0 != status || told.1.elapsed() >= beat_every {
                let document = progress_document(progress, begun.elapsed());
                let beat = self.metadata.beat(fence, self.lease(), status, &document);
                let asked = Instant::now();
                match tokio::time::timeout(beat_every, beat).await {
                    Ok(Ok(beat)) => {
                        told = (status, asked);
                        lease_ends = asked + self.options.lease;
                        if stop.is_none() && (beat.cancel || beat.late) {
                            stop = Some(if beat.cancel {
                                Stop::Cancelled
                            } else {
                                Stop::Late
                            });
                            progress.cancel();
                        }
                    }
                    Ok(Err(MetadataError::Fenced)) => {
                        METRICS.fenced_writes.count([]);
                        stop = Some(Stop::Lost);
                        progress.cancel();
                    }
                    Ok(Err(error)) => {
                        warn!(%error, "failed to renew a lease")
                    }
                    Err(_) => warn!("failed to renew a lease in time"),
                }
            }
            if Instant::now() >= lease_ends && stop != Some(Stop::Lost) {
                // Nobody answers: somebody else may have the job.
                stop = Some(Stop::Lost);
                progress.cancel();
            }
            if stop == Some(Stop::Lost) && run.is_finished() {
                return Outcome::Lost;
            }
        }
    }

    async fn outcome(
        &self,
        ended: Result<Result<Publication, planner::Error>, tokio::task::JoinError>,
        stop: Option<Stop>,
        fence: &Fence,
    ) -> Outcome {
        let failures = fence.attempt;
        let retry = |failure: JobFailure| {
            Outcome::Ended(Ending::Retry {
                error: failure.document(),
                delay: retry_delay(failures),
            })
        };
        match (ended, stop) {
            (_, Some(Stop::Lost)) => Outcome::Lost,
            (_, Some(Stop::Cancelled)) => Outcome::Ended(Ending::Cancelled),
            (_, Some(Stop::Late)) => {
                let failure = JobFailure::new("late", "the deadline of the job has passed");
                Outcome::Ended(Ending::Failed(failure.document()))
            }
            (Ok(Ok(publication)), _) => Outcome::Finished(Box::new(publication)),
            (Ok(Err(planner::Error::Cancelled)), Some(Stop::Released)) => {
                Outcome::Ended(Ending::Released)
            }
            (Ok(Err(error)), _) => match JobFailure::of(&error) {
                (failure, true) => retry(failure),
                (failure, false) => Outcome::Ended(Ending::Failed(failure.document())),
            },
            (Err(_), _) => retry(JobFailure::new("bug", "the job panicked")),
        }
    }
}

/// Where a job keeps what it learns, beside the outputs of its attempts.
pub(super) fn checkpoint_of(output: &str) -> String {
    let job = output.rsplit_once('/').map_or(output, |(job, _)| job);
    format!("{job}/checkpoint")
}

/// How long the service waits for its jobs when it ends.
pub(crate) fn farewell() -> Duration {
    FAREWELL
}

/// Why a job is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Cancelled,
    Late,
    Released,
    Lost,
}

/// How an attempt came to its end.
enum Outcome {
    Finished(Box<Publication>),
    Ended(Ending),
    Lost,
}

fn status_of(progress: &Progress) -> JobStatus {
    match progress.now().0 {
        Some(Phase::Write | Phase::Publish) => JobStatus::Pass2Running,
        _ => JobStatus::Pass1Running,
    }
}

/// How far a job is, as the API tells it.
pub(crate) fn progress_document(progress: &Progress, elapsed: Duration) -> Value {
    let (learned, written) = progress.shares();
    let (_, rows, _) = progress.now();
    // Writing takes about as long as learning.
    let done = (learned + written) / 2.0;
    // Early on, one pass says little of the others.
    let left = (done > 0.15).then(|| elapsed.as_secs_f64() * (1.0 - done) / done);
    json!({
        "pass1_progress": rounded(learned),
        "pass2_progress": rounded(written),
        "estimated_seconds_remaining": left.map(f64::round),
        "rows_processed": rows,
    })
}

fn rounded(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
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
