//! What must be done from time to time: jobs of lost workers given to others, jobs given up whose uploads do not
//! come, files of dead attempts removed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use planner::telemetry::METRICS;
use serde_json::json;
use tokio::sync::Notify;
use tracing::{debug, error, warn};

use super::preparation::checkpoint_of;
use super::watch::job_ended;
use crate::audit::AuditTrail;
use crate::metadata::{MetadataError, MetadataStore, Reaped};
use crate::storage::Store;

/// Interval at which expired leases are reaped.
const REAP_EVERY: Duration = Duration::from_secs(2);

/// Interval at which files of dead attempts are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Time for which a job waits for uploads, unless it has a deadline.
const PENDING: Duration = Duration::from_secs(7 * 24 * 3600);

/// Time between two verifications of the audit logs.
const VERIFY_EVERY: Duration = Duration::from_secs(3600);

/// Time between two checkpoints of audit logs that have grown without a publication.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(600);

/// Looks after the jobs of all processes.
pub(crate) struct Janitor {
    pub(crate) metadata: MetadataStore,
    pub(crate) store: Store,
    pub(crate) trail: AuditTrail,
    pub(crate) wake: Arc<Notify>,
    /// Time for which what a dead attempt wrote stays: its process may only have been asleep.
    pub(crate) grace: Duration,
}

impl Janitor {
    /// Works until it is dropped.
    pub(crate) async fn run(self) {
        let mut swept: Option<Instant> = None;
        let mut verified: Option<Instant> = None;
        let mut signed: Option<Instant> = None;
        loop {
            match self.metadata.reap().await {
                Ok(reaped) if reaped.is_empty() => {}
                Ok(reaped) => {
                    for job in reaped {
                        let status = job.status.name();
                        warn!(job_id = %job.job_id, status, "the worker of a job was lost");
                        METRICS.job_attempts.count(["lost"]);
                        self.count(&job, "unavailable").await;
                    }
                    self.wake.notify_one();
                }
                Err(error) => warn!(%error, "failed to reap expired leases"),
            }
            match self.metadata.give_up_pending(PENDING.as_secs_f64()).await {
                Ok(late) => {
                    for job in late {
                        warn!(job_id = %job.job_id, "the upload of a job was not complete in time");
                        self.count(&job, "incomplete").await;
                    }
                }
                Err(error) => warn!(%error, "nobody looked for jobs whose uploads do not come"),
            }
            if swept.is_none_or(|at| at.elapsed() >= SWEEP_EVERY.min(self.grace)) {
                swept = Some(Instant::now());
                if let Err(error) = self.sweep().await {
                    warn!(%error, "what dead attempts left was not removed");
                }
            }
            let all = signed.is_none_or(|at| at.elapsed() >= CHECKPOINT_EVERY);
            match self.trail.write_due(all).await {
                Ok(()) if all => signed = Some(Instant::now()),
                Ok(()) => {}
                Err(error) => warn!(%error, "failed to look for audit checkpoints that are due"),
            }
            if verified.is_none_or(|at| at.elapsed() >= VERIFY_EVERY) {
                verified = Some(Instant::now());
                if let Err(error) = self.verify().await {
                    warn!(%error, "the audit log was not verified");
                }
            }
            tokio::time::sleep(REAP_EVERY).await;
        }
    }

    async fn count(&self, job: &Reaped, kind: &str) {
        let tenant = self.metadata.find_tenant(&job.tenant_id.to_string()).await;
        let name = tenant.ok().flatten().map(|tenant| tenant.name);
        let error = json!({"kind": kind});
        job_ended(&name.unwrap_or_default(), job.status, Some(&error));
    }

    /// Looks whether what was done can still be told as it was.
    async fn verify(&self) -> Result<(), MetadataError> {
        let mut intact = true;
        for tenant in self.metadata.tenants().await? {
            let found = self.trail.verify(tenant.id, None).await?;
            if let Some(problem) = found.problem {
                intact = false;
                let (seq, problem) = (problem.seq, problem.problem);
                error!(
                    tenant = tenant.name,
                    seq, problem, "the audit log is not whole"
                );
            }
        }
        METRICS.audit_intact.set([], f64::from(u8::from(intact)));
        let now = chrono::Utc::now().timestamp() as f64;
        METRICS.audit_checked.set([], now);
        Ok(())
    }

    async fn sweep(&self) -> Result<(), MetadataError> {
        let grace = self.grace.as_secs_f64();
        for attempt in self.metadata.attempts_to_sweep(grace).await? {
            // What was published stays.
            let removed = match attempt.outcome.as_deref() {
                Some("published") => Ok(()),
                _ => self.store.remove(&attempt.output).await,
            };
            match removed {
                Ok(()) => {
                    let (job, number) = (attempt.job_id, attempt.attempt);
                    if self.metadata.has_ended(job).await? {
                        let kept = self.store.remove(&checkpoint_of(&attempt.output)).await;
                        if let Err(error) = kept {
                            warn!(job_id = %job, %error, "what a job has learned was not removed");
                        }
                    }
                    self.metadata.mark_swept(job, number).await?;
                    debug!(job_id = %job, attempt = number, "an attempt has left nothing");
                }
                Err(error) => warn!(job_id = %attempt.job_id, %error, "an attempt left something"),
            }
        }
        Ok(())
    }
}
