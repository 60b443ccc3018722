//! Uploads: files that people send in parts before they are cleaned.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::MetadataStore;
use super::audit::{self, AuditEntry};
use super::database::Scope;
use super::error::{MetadataError, Result};
use super::record::{Record, params};

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
        upload.parts.retain(|known| known.number != part.number);
        upload.parts.push(part.clone());
        upload.parts.sort_by_key(|part| part.number);
        transaction
            .execute(
                "UPDATE uploads SET parts = $3 WHERE tenant_id = $1 AND id = $2",
                params![tenant, id, json!(upload.parts)],
            )
            .await?;
        transaction.commit().await?;
        Ok(upload)
    }

    /// Makes an upload complete.
    pub async fn complete_upload(
        &self,
        tenant: Uuid,
        id: Uuid,
        (bytes, sha256): (i64, &str),
        actor: &str,
    ) -> Result<Upload> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "UPDATE uploads SET completed_at = coalesce(completed_at, {now}), bytes = $3, sha256 = $4
                 WHERE tenant_id = $1 AND id = $2 RETURNING *",
                params![tenant, id, bytes, sha256],
            )
            .await?
            .ok_or_else(gone)?;
        let upload = read(&row)?;
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "dataset_uploaded",
            subject: id.to_string(),
            job_id: None,
            details: json!({"bytes": bytes, "sha256": sha256}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        transaction.commit().await?;
        Ok(upload)
    }

    /// Whether a job that has not ended reads an upload.
    pub async fn needs_upload(&self, tenant: Uuid, id: Uuid) -> Result<bool> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT id FROM jobs WHERE tenant_id = $1 AND status IN ('queued', 'pass1_running', 'pass2_running')
                   AND CAST(spec AS TEXT) LIKE $2 LIMIT 1",
                params![tenant, format!("%upload:{id}%")],
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
