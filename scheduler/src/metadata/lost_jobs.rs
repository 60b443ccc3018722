//! Jobs that nobody works on any more: those of lost workers, and those whose uploads did not come.

use serde_json::json;
use uuid::Uuid;

use super::database::Scope;
use super::error::Result;
use super::job_status::JobStatus;
use super::queue::{Settlement, lock_tenant, settle};
use super::record::params;
use super::{MetadataStore, audit, events};

/// Expired leases that are looked at in one go.
const REAPED_AT_ONCE: i64 = 64;

/// A job whose worker was lost, or whose uploads did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaped {
    /// Whose job it is.
    pub tenant_id: Uuid,
    /// The job.
    pub job_id: Uuid,
    /// What becomes of it.
    pub status: JobStatus,
}

impl MetadataStore {
    /// Takes jobs from workers whose lease has run out.
    pub async fn reap(&self) -> Result<Vec<Reaped>> {
        let mut transaction = self.read(Scope::Service).await?;
        let expired = transaction
            .fetch(
                "SELECT id, tenant_id, attempt FROM jobs
                 WHERE status IN ('pass1_running', 'pass2_running') AND lease_until < {now} LIMIT $1",
                params![REAPED_AT_ONCE],
            )
            .await?;
        transaction.commit().await?;
        let mut reaped = Vec::new();
        for row in expired {
            let (job, tenant) = (row.uuid("id")?, row.uuid("tenant_id")?);
            let attempt = row.int("attempt")?;
            let mut transaction = self.write(Scope::Service).await?;
            lock_tenant(transaction.as_mut(), tenant).await?;
            let row = transaction
                .optional(
                    "SELECT failures, max_attempts, cancel_requested FROM jobs
                     WHERE id = $1 AND attempt = $2 AND lease_until < {now}
                       AND status IN ('pass1_running', 'pass2_running') {lock}",
                    params![job, attempt],
                )
                .await?;
            let Some(row) = row else {
                transaction.commit().await?;
                continue;
            };
            let failures = row.int("failures")? + 1;
            let error = json!({
                "kind": "unavailable",
                "message": "the worker of this attempt was lost",
            });
            let status = if row.bool("cancel_requested")? {
                JobStatus::Cancelled
            } else if failures >= row.int("max_attempts")? {
                JobStatus::Failed
            } else {
                JobStatus::Queued
            };
            // A job that kills its workers must not do so at once again.
            let delay = match status {
                JobStatus::Queued => f64::from(1 << failures.clamp(1, 6)) / 2.0,
                _ => 0.0,
            };
            let error = (status != JobStatus::Cancelled).then_some(&error);
            let settlement = Settlement {
                status,
                outcome: "lost",
                error,
                delay,
                counts: true,
            };
            settle(transaction.as_mut(), (tenant, job, attempt), settlement).await?;
            transaction.commit().await?;
            reaped.push(Reaped {
                tenant_id: tenant,
                job_id: job,
                status,
            });
        }
        Ok(reaped)
    }

    /// Fails jobs whose uploads did not come: those past their deadline, and those that have waited for so many
    /// seconds.
    pub async fn give_up_pending(&self, patience_seconds: f64) -> Result<Vec<Reaped>> {
        let mut transaction = self.read(Scope::Service).await?;
        let late = transaction
            .fetch(
                "SELECT id, tenant_id FROM jobs WHERE status = 'pending'
                   AND (deadline_at < {now} OR {age created_at} > $1) LIMIT $2",
                params![patience_seconds, REAPED_AT_ONCE],
            )
            .await?;
        transaction.commit().await?;
        let mut given_up = Vec::new();
        for row in late {
            let (job, tenant) = (row.uuid("id")?, row.uuid("tenant_id")?);
            let error =
                json!({"kind": "incomplete", "message": "its upload was not complete in time"});
            let mut transaction = self.write(Scope::Service).await?;
            let changed = transaction
                .execute(
                    "UPDATE jobs SET status = 'failed', error = $2, finished_at = {now}, updated_at = {now}
                     WHERE id = $1 AND status = 'pending'",
                    params![job, error.clone()],
                )
                .await?;
            if changed > 0 {
                let data = json!({"status": "failed", "error": error});
                events::add(transaction.as_mut(), tenant, job, "failed", data).await?;
                let details = json!({"error": error});
                let entry = audit::by_service("job_failed", job, Some(job), details);
                audit::append(transaction.as_mut(), tenant, &entry).await?;
                given_up.push(Reaped {
                    tenant_id: tenant,
                    job_id: job,
                    status: JobStatus::Failed,
                });
            }
            transaction.commit().await?;
        }
        Ok(given_up)
    }
}
