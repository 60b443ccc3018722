//! Uploads: files that people send in parts before they are cleaned.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::{self, AuditEntry};
use super::database::{Scope, Transaction};
use super::error::{MetadataError, Result};
use super::job_status::JobStatus;
use super::record::{Record, params};
use super::{MetadataStore, events, queue, quota};

/// A file that was sent, or is being sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// Identifier.
    pub id: Uuid,
    /// Name of the file.
    pub name: String,
    /// Where it lies, from the service's store on.
    pub location: String,
    /// Who sends it.
    pub created_by: String,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was complete.
    pub completed_at: Option<DateTime<Utc>>,
    /// Its size, once it is complete.
    pub bytes: Option<i64>,
    /// Its digest, once it is complete.
    pub sha256: Option<String>,
    /// The parts that are there, by number.
    pub parts: Vec<UploadPart>,
}

/// A part of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadPart {
    /// Number, from 1.
    pub number: i64,
    /// Its size.
    pub bytes: i64,
    /// Its digest.
    pub sha256: String,
}

fn read(row: &Record) -> Result<Upload> {
    Ok(Upload {
        id: row.uuid("id")?,
        name: row.text("name")?,
        location: row.text("location")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        completed_at: row.opt_time("completed_at")?,
        bytes: row.opt_int("bytes")?,
        sha256: row.opt_text("sha256")?,
        parts: row.json("parts")?,
    })
}

fn gone() -> MetadataError {
    MetadataError::NotFound("there is no such upload".to_owned())
}

/// Where a job begins that reads these uploads, and their bytes as far as they are known.
pub(super) async fn state_of(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    uploads: &[Uuid],
) -> Result<(JobStatus, Option<i64>)> {
    let mut state = (JobStatus::Queued, 0);
    for upload in uploads {
        let row = transaction
            .optional(
                "SELECT completed_at, bytes FROM uploads WHERE tenant_id = $1 AND id = $2",
                params![tenant, *upload],
            )
            .await?
            .ok_or_else(gone)?;
        match row.opt_time("completed_at")? {
            Some(_) => state.1 += row.opt_int("bytes")?.unwrap_or(0),
            None => state.0 = JobStatus::Pending,
        }
    }
    Ok((state.0, Some(state.1)))
}

/// Puts jobs into the queue that waited for an upload, and for no other one.
async fn queue_jobs_of(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    upload: Uuid,
) -> Result<()> {
    let waiting = transaction
        .fetch(
            "SELECT j.id FROM job_uploads u JOIN jobs j ON j.id = u.job_id
             WHERE u.tenant_id = $1 AND u.upload_id = $2 AND j.status = 'pending'
             ORDER BY j.created_at, j.id",
            params![tenant, upload],
        )
        .await?;
    for row in waiting {
        let job = row.uuid("id")?;
        let read = transaction
            .fetch(
                "SELECT upload_id FROM job_uploads WHERE tenant_id = $1 AND job_id = $2",
                params![tenant, job],
            )
            .await?;
        let read = read.iter().map(|row| row.uuid("upload_id"));
        let read = read.collect::<Result<Vec<Uuid>>>()?;
        let (status, bytes) = match state_of(transaction, tenant, &read).await {
            // One of the others was removed: the job says so when it runs.
            Err(MetadataError::NotFound(_)) => (JobStatus::Queued, None),
            state => state?,
        };
        if status == JobStatus::Pending {
            continue;
        }
        let changed = transaction
            .execute(
                "UPDATE jobs SET status = 'queued', source_bytes = $3, not_before = {now}, updated_at = {now}
                 WHERE tenant_id = $1 AND id = $2 AND status = 'pending'",
                params![tenant, job, bytes],
            )
            .await?;
        if changed > 0 {
            events::add(
                transaction,
                tenant,
                job,
                "queued",
                json!({"status": "queued"}),
            )
            .await?;
        }
    }
    Ok(())
}

impl MetadataStore {
    /// Begins an upload.
    pub async fn begin_upload(
        &self,
        tenant: Uuid,
        id: Uuid,
        (name, location): (&str, &str),
        actor: &str,
    ) -> Result<Upload> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        let row = transaction
            .one(
                "INSERT INTO uploads (id, tenant_id, name, location, created_by, created_at, parts)
                 VALUES ($1, $2, $3, $4, $5, {now}, $6) RETURNING *",
                params![id, tenant, name, location, actor, json!([])],
            )
            .await?;
        transaction.commit().await?;
        read(&row)
    }

    /// An upload of a tenant.
    pub async fn upload(&self, tenant: Uuid, id: Uuid) -> Result<Option<Upload>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT * FROM uploads WHERE tenant_id = $1 AND id = $2",
                params![tenant, id],
            )
            .await?;
        transaction.commit().await?;
        row.as_ref().map(read).transpose()
    }

    /// Remembers that a part is there, over an earlier one of the same number.
    pub async fn add_part(&self, tenant: Uuid, id: Uuid, part: &UploadPart) -> Result<Upload> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        queue::lock_tenant(transaction.as_mut(), tenant).await?;
        let row = transaction
            .optional(
                "SELECT * FROM uploads WHERE tenant_id = $1 AND id = $2 {lock}",
                params![tenant, id],
            )
            .await?
            .ok_or_else(gone)?;
        let mut upload = read(&row)?;
        if upload.completed_at.is_some() {
            return Err(MetadataError::Conflict(
                "the upload is complete already".to_owned(),
            ));
        }
        let before: i64 = upload.parts.iter().map(|part| part.bytes).sum();
        upload.parts.retain(|known| known.number != part.number);
        upload.parts.push(part.clone());
        upload.parts.sort_by_key(|part| part.number);
        let received: i64 = upload.parts.iter().map(|part| part.bytes).sum();
        quota::check_storage(transaction.as_mut(), tenant, received - before).await?;
        transaction
            .execute(
                "UPDATE uploads SET parts = $3, received_bytes = $4 WHERE tenant_id = $1 AND id = $2",
                params![tenant, id, json!(upload.parts), received],
            )
            .await?;
        transaction.commit().await?;
        Ok(upload)
    }

    /// Makes an upload complete, and queues the jobs that waited for it.
    pub async fn complete_upload(
        &self,
        tenant: Uuid,
        id: Uuid,
        (bytes, sha256): (i64, &str),
        actor: &str,
    ) -> Result<Upload> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        // One at a time: of two uploads that complete together, the later one sees the other.
        queue::lock_tenant(transaction.as_mut(), tenant).await?;
        let row = transaction
            .optional(
                "UPDATE uploads SET completed_at = coalesce(completed_at, {now}), bytes = $3, sha256 = $4,
                   received_bytes = $3
                 WHERE tenant_id = $1 AND id = $2 RETURNING *",
                params![tenant, id, bytes, sha256],
            )
            .await?
            .ok_or_else(gone)?;
        let upload = read(&row)?;
        // Its bytes count by now.
        quota::check_storage(transaction.as_mut(), tenant, 0).await?;
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "dataset_uploaded",
            subject: id.to_string(),
            job_id: None,
            details: json!({"bytes": bytes, "sha256": sha256}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        queue_jobs_of(transaction.as_mut(), tenant, id).await?;
        transaction.commit().await?;
        Ok(upload)
    }

    /// Whether a job that has not ended reads an upload.
    pub async fn needs_upload(&self, tenant: Uuid, id: Uuid) -> Result<bool> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT j.id FROM job_uploads u JOIN jobs j ON j.id = u.job_id
                 WHERE u.tenant_id = $1 AND u.upload_id = $2
                   AND j.status IN ('pending', 'queued', 'pass1_running', 'pass2_running') LIMIT 1",
                params![tenant, id],
            )
            .await?;
        transaction.commit().await?;
        Ok(row.is_some())
    }

    /// Forgets an upload that no job needs.
    pub async fn forget_upload(&self, tenant: Uuid, id: Uuid) -> Result<()> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        transaction
            .execute(
                "DELETE FROM uploads WHERE tenant_id = $1 AND id = $2",
                params![tenant, id],
            )
            .await?;
        transaction.commit().await
    }
}
