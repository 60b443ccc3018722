//! The queue: who works on what, for how long, and what becomes of it.
//!
//! A worker claims a job for as long as its lease lasts, on the clock of the database, and prolongs the
//! lease while it works. Each claim has a number of its own, the attempt; every later write says which
//! attempt it comes from and changes nothing when that is not the current one any more. A tenant's row
//! is locked before its number of running jobs changes, so the limit is exact.
//!
//! Tenants take turns by virtual time, the seconds of work that each has had, divided by its weight: start-time
//! fair queueing (Goyal, Vin, Cheng 1996). One that comes back after a pause does not catch up on what it did
//! not ask for.

use serde_json::{Value, json};
use uuid::Uuid;

use super::attempts::end_attempt;
use super::database::{Scope, Transaction};
use super::error::{MetadataError, Result};
use super::job_status::JobStatus;
use super::jobs::{self, Job};
use super::record::params;
use super::{MetadataStore, audit, events};

/// The right to work on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Whose job it is.
    pub tenant_id: Uuid,
    /// The job.
    pub job_id: Uuid,
    /// Number of the claim.
    pub attempt: i64,
    /// The worker.
    pub owner: String,
}

/// A job that was claimed.
#[derive(Debug)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// The right to work on it.
    pub fence: Fence,
    /// Where to write, from the service's store on.
    pub output: String,
    /// Whether it is the last try at a job whose workers were lost: it may be what kills them, and must not take
    /// others along.
    pub alone: bool,
}

/// What a worker hears when it prolongs its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Whether somebody wants the job to stop.
    pub cancel: bool,
    /// Whether it is too late.
    pub late: bool,
}

/// How an attempt ended that publishes nothing.
#[derive(Debug, Clone)]
pub enum Ending {
    /// The job fails; another try would too.
    Failed(Value),
    /// Another try may help, after so many seconds.
    Retry {
        /// What went wrong.
        error: Value,
        /// Seconds to wait.
        delay: f64,
    },
    /// Somebody wanted the job to stop, and it has.
    Cancelled,
    /// The worker goes; the job is for somebody else.
    Released,
}

/// Where an attempt writes, from the service's store on.
fn output_of(tenant: Uuid, job: Uuid, attempt: i64) -> String {
    format!("cleaned/{tenant}/{job}/a{attempt}")
}

/// Locks a tenant's row.
pub(super) async fn lock_tenant(transaction: &mut dyn Transaction, tenant: Uuid) -> Result<()> {
    transaction
        .fetch(
            "SELECT id FROM tenants WHERE id = $1 {lock}",
            params![tenant],
        )
        .await?;
    Ok(())
}

/// Gives the place of a running job back, and charges the tenant for the time.
pub(super) async fn leave(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    job: Uuid,
    attempt: i64,
) -> Result<()> {
    let row = transaction
        .one(
            "SELECT {age started_at} AS seconds FROM job_attempts WHERE job_id = $1 AND attempt = $2",
            params![job, attempt],
        )
        .await?;
    // A second was charged in advance.
    let seconds = (row.float("seconds")? - 1.0).max(0.0);
    transaction
        .execute(
            "UPDATE tenants SET running = running - 1, virtual_time = virtual_time + $2 / weight WHERE id = $1",
            params![tenant, seconds],
        )
        .await?;
    Ok(())
}

impl MetadataStore {
    /// Claims the next job for a worker. None does not mean that there is none: others may be claiming.
    pub async fn claim(&self, owner: &str, lease_seconds: f64) -> Result<Option<Claim>> {
        let mut transaction = self.write(Scope::Service).await?;
        let tenant = transaction
            .optional(
                "SELECT id FROM tenants t WHERE NOT suspended AND running < max_running
                   AND EXISTS (SELECT 1 FROM jobs j
                               WHERE j.tenant_id = t.id AND j.status = 'queued' AND j.not_before <= {now})
                 ORDER BY virtual_time, id LIMIT 1 {lock skip}",
                Vec::new(),
            )
            .await?;
        let Some(tenant) = tenant else {
            transaction.commit().await?;
            return Ok(None);
        };
        let tenant = tenant.uuid("id")?;
        let job = transaction
            .optional(
                "SELECT id FROM jobs WHERE tenant_id = $1 AND status = 'queued' AND not_before <= {now}
                 ORDER BY priority DESC, created_at, id LIMIT 1 {lock skip}",
                params![tenant],
            )
            .await?;
        let Some(job) = job else {
            transaction.commit().await?;
            return Ok(None);
        };
        let row = transaction
            .one(
                "UPDATE jobs SET status = 'pass1_running', attempt = attempt + 1, owner = $2, lease_until = {after $3},
                   started_at = coalesce(started_at, {now}), updated_at = {now}, progress = NULL, error = NULL
                 WHERE id = $1 RETURNING *",
                params![job.uuid("id")?, owner, lease_seconds],
            )
            .await?;
        let job = jobs::read(&row)?;
        let output = output_of(tenant, job.id, job.attempt);
        // Start-time fair queueing: the job begins where the tenant is, or where all are by now.
        transaction
            .execute(
                "UPDATE queue_clock SET virtual_time = {greatest}(virtual_time,
                   (SELECT t.virtual_time FROM tenants t WHERE t.id = $1))",
                params![tenant],
            )
            .await?;
        transaction
            .execute(
                "UPDATE tenants SET running = running + 1,
                   virtual_time = (SELECT c.virtual_time FROM queue_clock c) + 1.0 / weight
                 WHERE id = $1",
                params![tenant],
            )
            .await?;
        transaction
            .execute(
                "INSERT INTO job_attempts (job_id, attempt, tenant_id, owner, started_at, output)
                 VALUES ($1, $2, $3, $4, {now}, $5)",
                params![job.id, job.attempt, tenant, owner, &output],
            )
            .await?;
        let lost = transaction
            .one(
                "SELECT count(*) AS lost FROM job_attempts WHERE job_id = $1 AND outcome = 'lost'",
                params![job.id],
            )
            .await?
            .int("lost")?;
        let alone = lost > 0 && job.failures + 1 >= job.max_attempts;
        let data = json!({"status": "pass1_running", "attempt": job.attempt});
        events::add(transaction.as_mut(), tenant, job.id, "started", data).await?;
        transaction.commit().await?;
        Ok(Some(Claim {
            fence: Fence {
                tenant_id: tenant,
                job_id: job.id,
                attempt: job.attempt,
                owner: owner.to_owned(),
            },
            job,
            output,
            alone,
        }))
    }

    /// Prolongs a lease and tells how far the job is.
    ///
    /// # Errors
    /// [`MetadataError::Fenced`] when the job is not this worker's any more.
    pub async fn beat(
        &self,
        fence: &Fence,
        lease_seconds: f64,
        status: JobStatus,
        progress: &Value,
    ) -> Result<Beat> {
        let mut transaction = self.write(Scope::Service).await?;
        let before = transaction
            .optional(
                "SELECT status FROM jobs WHERE id = $1 AND attempt = $2 AND owner = $3 AND lease_until > {now}
                   AND status IN ('pass1_running', 'pass2_running') {lock}",
                params![fence.job_id, fence.attempt, &fence.owner],
            )
            .await?
            .ok_or(MetadataError::Fenced)?;
        let row = transaction
            .one(
                "UPDATE jobs SET lease_until = {after $2}, status = $3, progress = $4, updated_at = {now}
                 WHERE id = $1
                 RETURNING cancel_requested, (deadline_at IS NOT NULL AND deadline_at < {now}) AS late",
                params![fence.job_id, lease_seconds, status.name(), progress.clone()],
            )
            .await?;
        let beat = Beat {
            cancel: row.bool("cancel_requested")?,
            late: row.bool("late")?,
        };
        if before.text("status")? != status.name() {
            let data = json!({"status": status.name()});
            let (tenant, job) = (fence.tenant_id, fence.job_id);
            events::add(transaction.as_mut(), tenant, job, "status", data).await?;
        }
        transaction.commit().await?;
        Ok(beat)
    }

    /// Ends an attempt that publishes nothing; gives the state of the job.
    ///
    /// # Errors
    /// [`MetadataError::Fenced`] when the job is not this worker's any more.
    pub async fn end(&self, fence: &Fence, ending: &Ending) -> Result<JobStatus> {
        let (tenant, job) = (fence.tenant_id, fence.job_id);
        let mut transaction = self.write(Scope::Service).await?;
        lock_tenant(transaction.as_mut(), tenant).await?;
        let row = transaction
            .optional(
                "SELECT failures, max_attempts, cancel_requested FROM jobs
                 WHERE id = $1 AND attempt = $2 AND owner = $3 AND lease_until > {now}
                   AND status IN ('pass1_running', 'pass2_running') {lock}",
                params![job, fence.attempt, &fence.owner],
            )
            .await?
            .ok_or(MetadataError::Fenced)?;
        let spent = row.int("failures")? + 1 >= row.int("max_attempts")?;
        let (status, outcome, error, delay) = match ending {
            // Whoever asked for the job to stop does not want to hear why it failed instead.
            _ if row.bool("cancel_requested")? => (JobStatus::Cancelled, "cancelled", None, 0.0),
            Ending::Cancelled => (JobStatus::Cancelled, "cancelled", None, 0.0),
            Ending::Failed(error) => (JobStatus::Failed, "failed", Some(error), 0.0),
            Ending::Retry { error, .. } if spent => (JobStatus::Failed, "failed", Some(error), 0.0),
            Ending::Retry { error, delay } => (JobStatus::Queued, "failed", Some(error), *delay),
            Ending::Released => (JobStatus::Queued, "released", None, 0.0),
        };
        let settlement = Settlement {
            status,
            outcome,
            error,
            delay,
            counts: error.is_some(),
        };
        settle(
            transaction.as_mut(),
            (tenant, job, fence.attempt),
            settlement,
        )
        .await?;
        transaction.commit().await?;
        Ok(status)
    }
}

/// How an attempt ended that published nothing, and what becomes of its job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settlement<'a> {
    /// State of the job from now on.
    pub(super) status: JobStatus,
    /// How the attempt ended.
    pub(super) outcome: &'a str,
    /// Why it failed.
    pub(super) error: Option<&'a Value>,
    /// Seconds until the job may be tried again.
    pub(super) delay: f64,
    /// Whether it counts as a failure of the job.
    pub(super) counts: bool,
}

/// Records how an attempt ended, and what becomes of its job.
pub(super) async fn settle(
    transaction: &mut dyn Transaction,
    (tenant, job, attempt): (Uuid, Uuid, i64),
    settlement: Settlement<'_>,
) -> Result<()> {
    let Settlement {
        status,
        outcome,
        error,
        delay,
        counts,
    } = settlement;
    transaction
        .execute(
            "UPDATE jobs SET status = $2, owner = NULL, lease_until = NULL, updated_at = {now},
               failures = failures + $3, error = $4, not_before = {after $5}, progress = NULL
             WHERE id = $1",
            params![job, status.name(), i64::from(counts), error.cloned(), delay],
        )
        .await?;
    if status.is_final() {
        transaction
            .execute(
                "UPDATE jobs SET finished_at = {now} WHERE id = $1",
                params![job],
            )
            .await?;
    }
    leave(transaction, tenant, job, attempt).await?;
    end_attempt(transaction, job, attempt, outcome, error).await?;
    let data = json!({"status": status.name(), "attempt": attempt, "error": error});
    let kind = match status {
        JobStatus::Queued => "requeued",
        other => other.name(),
    };
    events::add(transaction, tenant, job, kind, data).await?;
    if status.is_final() {
        let action = match status {
            JobStatus::Cancelled => "job_cancelled",
            _ => "job_failed",
        };
        let details = json!({"attempt": attempt, "error": error});
        let entry = audit::by_service(action, job, Some(job), details);
        audit::append(transaction, tenant, &entry).await?;
    }
    Ok(())
}
