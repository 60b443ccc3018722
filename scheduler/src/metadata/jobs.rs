//! Jobs: looked at, and cancelled.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::audit::{self, AuditEntry};
use super::database::{Scope, Transaction};
use super::error::{MetadataError, Result};
use super::job_status::JobStatus;
use super::record::{Record, params};
use super::{MetadataStore, events};

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

/// Reads a row of jobs.
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

impl MetadataStore {
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

    /// Whether a job has ended, or is gone.
    pub async fn has_ended(&self, job: Uuid) -> Result<bool> {
        let mut transaction = self.read(Scope::Service).await?;
        let row = transaction
            .optional("SELECT status FROM jobs WHERE id = $1", params![job])
            .await?;
        transaction.commit().await?;
        row.map_or(Ok(true), |row| {
            let status: JobStatus = row.text("status")?.parse()?;
            Ok(status.is_final())
        })
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

/// Returns the error of a job that is not there.
pub(super) fn gone() -> MetadataError {
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
