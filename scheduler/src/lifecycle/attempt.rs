//! Attempts: a claimed job is run, keeps its lease meanwhile, and is published or given back.
//!
//! A worker that cannot prolong its lease stops its job: somebody else may have it by now. Nothing that it wrote counts,
//! for publication is refused to whoever has not got the lease.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use planner::run::{Finished, Phase, Progress};
use planner::sink::detach_tokens;
use planner::telemetry::METRICS;
use tokio::sync::{OwnedMutexGuard, OwnedRwLockWriteGuard};
use tracing::{Instrument, Span, info, warn};
use uuid::Uuid;

use super::account::publication;
use super::failure::{JobFailure, retry_delay};
use super::job_progress::{progress_document, status_of};
use super::preparation::{Claimed, Preparation, checkpoint_of};
use super::review::{Earlier, reviewed_job};
use super::watch::{AttemptWatch, job_ended};
use super::worker::Workers;
use crate::metadata::{Claim, Ending, Fence, JobStatus, MetadataError, Publication};

/// Poll interval of a running job.
const LOOK: Duration = Duration::from_millis(200);

/// The gate while it is one job's: from when its run has it until both run and attempt are over, publication included.
type Alone = Arc<OnceLock<OwnedRwLockWriteGuard<()>>>;

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

impl Workers {
    /// Runs one attempt at a job, from claim to end; one with the turn runs alone.
    pub(super) async fn attempt(&self, claim: Claim, turn: Option<OwnedMutexGuard<()>>) {
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
