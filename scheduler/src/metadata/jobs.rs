//! Jobs: submitted, looked at, cancelled.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::{self, AuditEntry};
use super::database::{Scope, Transaction};
use super::error::{MetadataError, Result};
use super::record::{Record, params};
use super::{MetadataStore, events, quota, uploads};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Accepted; its upload is not complete yet.
    Pending,
    /// Waits for a worker.
    Queued,
    /// A worker reads the source and learns from it.
    Pass1Running,
    /// A worker writes the clean data.
    Pass2Running,
    /// Published.
    Success,
    /// Will not be tried again.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl JobStatus {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Queued,
        Self::Pass1Running,
        Self::Pass2Running,
        Self::Success,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Pass1Running => "pass1_running",
            Self::Pass2Running => "pass2_running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Cancelled)
    }

    /// Whether a worker is at it.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Pass1Running | Self::Pass2Running)
    }
}

impl std::str::FromStr for JobStatus {
    type Err = MetadataError;
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|status| status.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|status| status.name()).collect();
            MetadataError::Invalid(format!("a status is one of {}", names.join(", ")))
        })
    }
}

/// A job that is to be.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Identifier.
    pub id: Uuid,
    /// Name of the dataset, which is made where there is none.
    pub dataset: String,
    /// The spec, without a place for the output.
    pub spec: Value,
    /// Bytes of the source, as far as they are known and are not those of uploads.
    pub source_bytes: Option<i64>,
    /// The uploads that it reads; it waits until they are complete.
    pub uploads: Vec<Uuid>,
    /// Jobs of a tenant with a larger number come first.
    pub priority: i64,
    /// Seconds after which it is too late.
    pub deadline_seconds: Option<f64>,
    /// How often it may fail for reasons that another try may mend.
    pub max_attempts: i64,
}

/// What makes a request the same as an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The key that came with it.
    pub key: String,
    /// Digests of what it says, in several ways: it is the same when one of them is.
    pub digests: Vec<String>,
}

/// A job and how it came.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The job.
    pub job: NewJob,
    /// What makes it this request, where it may come again.
    pub idempotency: Option<Idempotency>,
    /// Who submits it.
    pub actor: String,
}

/// What became of a submission.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The job.
    pub job: Job,
    /// Whether an earlier request with the same idempotency key has made it.
    pub repeated: bool,
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Identifier.
    pub id: Uuid,
    /// Whose it is.
    pub tenant_id: Uuid,
    /// The dataset that it makes a version of.
    pub dataset_id: Uuid,
    /// Its name.
    pub dataset_name: String,
    /// The spec, without a place for the output.
    pub spec: Value,
    /// Bytes of the source, as far as they are known.
    pub source_bytes: Option<i64>,
    /// Where it is in its life.
    pub status: JobStatus,
    /// Jobs of a tenant with a larger number come first.
    pub priority: i64,
    /// Who submitted it.
    pub created_by: String,
    /// When it was submitted.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it is too late.
    pub deadline_at: Option<DateTime<Utc>>,
    /// How often a worker has taken it.
    pub attempt: i64,
    /// How often it failed, or its worker was lost.
    pub failures: i64,
    /// How often it may fail.
    pub max_attempts: i64,
    /// Whether somebody wants it to stop.
    pub cancel_requested: bool,
    /// How far it is.
    pub progress: Option<Value>,
    /// What it found, in figures.
    pub metrics: Option<Value>,
    /// Why it failed.
    pub error: Option<Value>,
    /// Where its output lies, from the service's store on.
    pub output: Option<String>,
    /// Digest of the tables of its output.
    pub manifest_digest: Option<String>,
    /// The request that submitted it, as W3C `traceparent`.
    pub traceparent: Option<String>,
    /// The version of the dataset that it made.
    pub version: Option<i64>,
}

/// A try at a job.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The job.
    pub job_id: Uuid,
    /// Number of the attempt, from 1.
    pub attempt: i64,
    /// The worker.
    pub owner: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended: published, failed, lost, cancelled or released.
    pub outcome: Option<String>,
    /// Why it failed.
    pub error: Option<Value>,
    /// Where it wrote, from the service's store on.
    pub output: String,
}

/// Which jobs are wanted.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In this state.
    pub status: Option<JobStatus>,
    /// Of the dataset with this name.
    pub dataset: Option<String>,
    /// Of datasets with one of these names; of all when none.
    pub datasets: Option<Vec<String>>,
    /// Older than this job.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// What became of the wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelOutcome {
    /// No worker had it: it is cancelled.
    Cancelled,
    /// Its worker will stop, and publish nothing.
    Requested,
    /// It had ended already.
    Ended(JobStatus),
}

pub(super) fn read(row: &Record) -> Result<Job> {
    Ok(Job {
        id: row.uuid("id")?,
        tenant_id: row.uuid("tenant_id")?,
        dataset_id: row.uuid("dataset_id")?,
        dataset_name: row.text("dataset_name")?,
        spec: row.json("spec")?,
        source_bytes: row.opt_int("source_bytes")?,
        status: row.text("status")?.parse()?,
        priority: row.int("priority")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        started_at: row.opt_time("started_at")?,
        finished_at: row.opt_time("finished_at")?,
        deadline_at: row.opt_time("deadline_at")?,
        attempt: row.int("attempt")?,
        failures: row.int("failures")?,
        max_attempts: row.int("max_attempts")?,
        cancel_requested: row.bool("cancel_requested")?,
        progress: row.opt_json("progress")?,
        metrics: row.opt_json("metrics")?,
        error: row.opt_json("error")?,
        output: row.opt_text("output")?,
        manifest_digest: row.opt_text("manifest_digest")?,
        traceparent: row.opt_text("traceparent")?,
        version: row.opt_int("version")?,
    })
}

/// The dataset of a name, made where there is none.
pub(super) async fn dataset_named(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    name: &str,
) -> Result<Uuid> {
    if name.is_empty() || name.len() > 200 || name.chars().any(|c| c.is_control() || c == '/') {
        return Err(MetadataError::Invalid(
            "a dataset's name has 1 to 200 bytes, no slash and no control characters".to_owned(),
        ));
    }
    // These mean something else in a path.
    if matches!(name, "." | ".." | "ingest") || Uuid::parse_str(name).is_ok() {
        return Err(MetadataError::Invalid(format!(
            "{name:?} cannot be the name of a dataset"
        )));
    }
    transaction
        .execute(
            "INSERT INTO datasets (id, tenant_id, name, created_at) VALUES ($1, $2, $3, {now})
             ON CONFLICT (tenant_id, name) DO NOTHING",
            params![Uuid::now_v7(), tenant, name],
        )
        .await?;
    let row = transaction
        .one(
            "SELECT id FROM datasets WHERE tenant_id = $1 AND name = $2",
            params![tenant, name],
        )
        .await?;
    row.uuid("id")
}

impl MetadataStore {
    /// Takes a job into the queue. When this returns, it will not be forgotten.
    pub async fn submit(&self, tenant: Uuid, submission: &Submission) -> Result<Submitted> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        // One submission of a tenant at a time: limits and keys hold exactly.
        let limits = transaction
            .optional(
                "SELECT max_queued FROM tenants WHERE id = $1 {lock}",
                params![tenant],
            )
            .await?;
        let limits =
            limits.ok_or_else(|| MetadataError::NotFound("there is no such tenant".to_owned()))?;
        if let Some(request) = &submission.idempotency
            && let Some(job) = made_before(transaction.as_mut(), tenant, request).await?
        {
            transaction.commit().await?;
            return Ok(Submitted {
                job,
                repeated: true,
            });
        }
        let queued = transaction
            .one(
                "SELECT count(*) AS queued FROM jobs WHERE tenant_id = $1 AND status IN ('pending', 'queued')",
                params![tenant],
            )
            .await?
            .int("queued")?;
        if queued >= limits.int("max_queued")? {
            return Err(MetadataError::QueueFull { queued });
        }
        let new = &submission.job;
        let (status, source_bytes) = match new.uploads.is_empty() {
            true => (JobStatus::Queued, new.source_bytes),
            false => uploads::state_of(transaction.as_mut(), tenant, &new.uploads).await?,
        };
        let reserved = quota::estimated_rows(source_bytes);
        quota::check_rows(transaction.as_mut(), tenant, None, reserved).await?;
        let dataset = dataset_named(transaction.as_mut(), tenant, &new.dataset).await?;
        transaction
            .execute(
                "INSERT INTO jobs (id, tenant_id, dataset_id, dataset_name, spec, source_bytes, status, priority,
                   created_by, created_at, updated_at, not_before, deadline_at, max_attempts, traceparent, reserved_rows)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {now}, {now}, {now}, {after $10}, $11, $12, $13)",
                params![
                    new.id,
                    tenant,
                    dataset,
                    &new.dataset,
                    new.spec.clone(),
                    source_bytes,
                    status.name(),
                    new.priority,
                    &submission.actor,
                    new.deadline_seconds,
                    new.max_attempts,
                    planner::telemetry::traceparent().as_deref(),
                    reserved,
                ],
            )
            .await?;
        for upload in &new.uploads {
            transaction
                .execute(
                    "INSERT INTO job_uploads (job_id, upload_id, tenant_id) VALUES ($1, $2, $3)
                     ON CONFLICT (job_id, upload_id) DO NOTHING",
                    params![new.id, *upload, tenant],
                )
                .await?;
        }
        if let Some(request) = &submission.idempotency {
            transaction
                .execute(
                    "INSERT INTO idempotency_keys (tenant_id, key, request_hash, job_id, created_at)
                     VALUES ($1, $2, $3, $4, {now})",
                    params![tenant, &request.key, request.digests.join(" "), new.id],
                )
                .await?;
        }
        events::add(
            transaction.as_mut(),
            tenant,
            new.id,
            status.name(),
            json!({"status": status.name()}),
        )
        .await?;
        let job = job_of(transaction.as_mut(), tenant, new.id).await?;
        let entry = AuditEntry {
            actor: submission.actor.clone(),
            action: "job_submitted",
            subject: new.dataset.clone(),
            job_id: Some(new.id),
            details: json!({"dataset_id": dataset, "source_bytes": source_bytes}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        transaction.commit().await?;
        Ok(Submitted {
            job: job.ok_or_else(gone)?,
            repeated: false,
        })
    }

    /// The job that an earlier request with the same key has made.
    ///
    /// # Errors
    /// [`MetadataError::KeyReused`] when that one asked for something else.
    pub async fn repeated(&self, tenant: Uuid, request: &Idempotency) -> Result<Option<Job>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let job = made_before(transaction.as_mut(), tenant, request).await?;
        transaction.commit().await?;
        Ok(job)
    }

    /// A job of a tenant.
    pub async fn job(&self, tenant: Uuid, id: Uuid) -> Result<Option<Job>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let job = job_of(transaction.as_mut(), tenant, id).await?;
        transaction.commit().await?;
        Ok(job)
    }

    /// Jobs of a tenant, newest first.
    pub async fn jobs(&self, tenant: Uuid, filter: &JobFilter, limit: i64) -> Result<Vec<Job>> {
        let (at, id) = filter.before.unzip();
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT * FROM jobs WHERE tenant_id = $1 AND ($2 IS NULL OR status = $2)
                   AND ($3 IS NULL OR dataset_name = $3)
                   AND ($4 IS NULL OR created_at < $4 OR (created_at = $4 AND id < $5))
                   AND ($7 IS NULL OR dataset_name IN {names $7})
                 ORDER BY created_at DESC, id DESC LIMIT $6",
                params![
                    tenant,
                    filter.status.map(JobStatus::name),
                    filter.dataset.as_deref(),
                    at,
                    id,
                    limit,
                    filter.datasets.as_ref().map(|names| json!(names)),
                ],
            )
            .await?;
        transaction.commit().await?;
        rows.iter().map(read).collect()
    }

    /// The attempts at a job, in order.
    pub async fn attempts(&self, tenant: Uuid, job: Uuid) -> Result<Vec<Attempt>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT * FROM job_attempts WHERE tenant_id = $1 AND job_id = $2 ORDER BY attempt",
                params![tenant, job],
            )
            .await?;
        transaction.commit().await?;
        rows.iter().map(read_attempt).collect()
    }

    /// Cancels a job, or asks its worker to.
    pub async fn cancel(&self, tenant: Uuid, id: Uuid, actor: &str) -> Result<CancelOutcome> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT status, cancel_requested FROM jobs WHERE tenant_id = $1 AND id = $2 {lock}",
                params![tenant, id],
            )
            .await?
            .ok_or_else(gone)?;
        let status: JobStatus = row.text("status")?.parse()?;
        if status.is_final() {
            return Ok(CancelOutcome::Ended(status));
        }
        if status.is_running() && row.bool("cancel_requested")? {
            return Ok(CancelOutcome::Requested);
        }
        let (outcome, kind, statement) = if status.is_running() {
            (
                CancelOutcome::Requested,
                "cancel_requested",
                "UPDATE jobs SET cancel_requested = TRUE, updated_at = {now} WHERE id = $1",
            )
        } else {
            (
                CancelOutcome::Cancelled,
                "cancelled",
                "UPDATE jobs SET cancel_requested = TRUE, status = 'cancelled', finished_at = {now}, updated_at = {now}
                 WHERE id = $1",
            )
        };
        transaction.execute(statement, params![id]).await?;
        let status = match outcome {
            CancelOutcome::Cancelled => "cancelled",
            _ => status.name(),
        };
        let data = json!({"status": status});
        events::add(transaction.as_mut(), tenant, id, kind, data).await?;
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "job_cancel_requested",
            subject: id.to_string(),
            job_id: Some(id),
            details: json!({"status": status}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        transaction.commit().await?;
        Ok(outcome)
    }
}

/// The job of an earlier request with the same key.
async fn made_before(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    request: &Idempotency,
) -> Result<Option<Job>> {
    let earlier = transaction
        .optional(
            "SELECT request_hash, job_id FROM idempotency_keys WHERE tenant_id = $1 AND key = $2",
            params![tenant, &request.key],
        )
        .await?;
    let Some(earlier) = earlier else {
        return Ok(None);
    };
    let known = earlier.text("request_hash")?;
    let same = |digest: &str| request.digests.iter().any(|own| own == digest);
    if !known.split(' ').any(same) {
        return Err(MetadataError::KeyReused);
    }
    let job = job_of(transaction, tenant, earlier.uuid("job_id")?).await?;
    job.map(Some).ok_or_else(gone)
}

fn gone() -> MetadataError {
    MetadataError::NotFound("there is no such job".to_owned())
}

/// A job of a tenant.
pub(super) async fn job_of(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    id: Uuid,
) -> Result<Option<Job>> {
    let row = transaction
        .optional(
            "SELECT * FROM jobs WHERE tenant_id = $1 AND id = $2",
            params![tenant, id],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

pub(super) fn read_attempt(row: &Record) -> Result<Attempt> {
    Ok(Attempt {
        job_id: row.uuid("job_id")?,
        attempt: row.int("attempt")?,
        owner: row.text("owner")?,
        started_at: row.time("started_at")?,
        finished_at: row.opt_time("finished_at")?,
        outcome: row.opt_text("outcome")?,
        error: row.opt_json("error")?,
        output: row.text("output")?,
    })
}
