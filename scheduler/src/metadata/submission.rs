//! Jobs that come in: taken into the queue once, however often their request comes.

use serde_json::{Value, json};
use uuid::Uuid;

use super::audit::{self, AuditEntry};
use super::database::{Scope, Transaction};
use super::datasets::dataset_named;
use super::error::{MetadataError, Result};
use super::job_status::JobStatus;
use super::jobs::{Job, gone, job_of};
use super::record::params;
use super::{MetadataStore, events, quota, uploads};

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
