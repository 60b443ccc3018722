//! Quotas: what a tenant has used, what its jobs hold until they end, and what is left.
//!
//! Everything that takes of a quota locks the tenant's row first and is decided in the transaction that writes it down, so
//! that a quota is never exceeded, however many requests come at once. A job reserves rows from when it is submitted: an
//! estimate first, which its worker replaces by the rows that it has counted before it reads any. A reservation is a column
//! of the job's row and counts as long as the job has not ended; so it ends with the job, whoever ends it.

use uuid::Uuid;

use super::MetadataStore;
use super::database::{Scope, Transaction};
use super::error::{MetadataError, Result};
use super::queue::Fence;
use super::record::params;

/// Bytes of a source for which one row is reserved before its rows are counted. Few tables have longer rows.
const BYTES_PER_ROW: i64 = 1024;

/// The rows that are reserved for a source whose rows nobody has counted: one at least.
pub(super) fn estimated_rows(source_bytes: Option<i64>) -> i64 {
    (source_bytes.unwrap_or(0) / BYTES_PER_ROW).max(1)
}

/// Fails when a tenant, whose row is locked, cannot have so many rows more this month beside those that its other jobs
/// hold.
pub(super) async fn check_rows(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    job: Option<Uuid>,
    rows: i64,
) -> Result<()> {
    let limit = transaction
        .one(
            "SELECT rows_per_month FROM tenants WHERE id = $1",
            params![tenant],
        )
        .await?
        .opt_int("rows_per_month")?;
    let Some(limit) = limit else {
        return Ok(());
    };
    let held = transaction
        .one(
            "SELECT CAST(coalesce((SELECT rows FROM usage WHERE tenant_id = $1 AND month = {month}), 0)
               + coalesce((SELECT sum(reserved_rows) FROM jobs WHERE tenant_id = $1 AND id <> $2
                   AND status IN ('pending', 'queued', 'pass1_running', 'pass2_running')), 0) AS BIGINT) AS held",
            params![tenant, job.unwrap_or_default()],
        )
        .await?
        .int("held")?;
    if held.saturating_add(rows) > limit {
        return Err(MetadataError::QuotaSpent { limit, held, rows });
    }
    Ok(())
}

/// Fails when a tenant, whose row is locked, cannot keep so many bytes more.
pub(super) async fn check_storage(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    bytes: i64,
) -> Result<()> {
    match storage_left(transaction, tenant).await? {
        Some((limit, left)) if bytes > left => Err(MetadataError::StorageSpent { limit }),
        _ => Ok(()),
    }
}

/// The bytes that a tenant may keep, and how many of them are left; none where there is no limit.
async fn storage_left(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
) -> Result<Option<(i64, i64)>> {
    let limit = transaction
        .one(
            "SELECT storage_bytes FROM tenants WHERE id = $1",
            params![tenant],
        )
        .await?
        .opt_int("storage_bytes")?;
    let Some(limit) = limit else {
        return Ok(None);
    };
    let kept = transaction
        .one(
            "SELECT CAST(coalesce((SELECT sum(bytes) FROM cleaned_datasets WHERE tenant_id = $1), 0)
               + coalesce((SELECT sum(received_bytes) FROM uploads WHERE tenant_id = $1), 0) AS BIGINT) AS kept",
            params![tenant],
        )
        .await?
        .int("kept")?;
    Ok(Some((limit, limit.saturating_sub(kept))))
}

impl MetadataStore {
    /// Reserves the rows of a job that were counted, instead of those that were estimated.
    ///
    /// # Errors
    /// [`MetadataError::QuotaSpent`] when the tenant cannot have as many, [`MetadataError::Fenced`] when the job is not
    /// this worker's any more.
    pub async fn reserve(&self, fence: &Fence, rows: i64) -> Result<()> {
        let mut transaction = self.write(Scope::Service).await?;
        super::queue::lock_tenant(transaction.as_mut(), fence.tenant_id).await?;
        let held = transaction
            .optional(
                "SELECT id FROM jobs WHERE id = $1 AND attempt = $2 AND owner = $3
                   AND status IN ('pass1_running', 'pass2_running') {lock}",
                params![fence.job_id, fence.attempt, &fence.owner],
            )
            .await?;
        held.ok_or(MetadataError::Fenced)?;
        let job = Some(fence.job_id);
        check_rows(transaction.as_mut(), fence.tenant_id, job, rows).await?;
        transaction
            .execute(
                "UPDATE jobs SET reserved_rows = $2 WHERE id = $1",
                params![fence.job_id, rows],
            )
            .await?;
        transaction.commit().await
    }

    /// Returns how many bytes a tenant may still keep; none where there is no limit.
    pub async fn storage_left(&self, tenant: Uuid) -> Result<Option<i64>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let left = storage_left(transaction.as_mut(), tenant).await?;
        transaction.commit().await?;
        Ok(left.map(|(_, left)| left.max(0)))
    }
}
