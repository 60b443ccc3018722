//! Publication: the one transaction that makes an output the next version of a dataset.

use serde_json::{Value, json};
use uuid::Uuid;

use super::attempts::end_attempt;
use super::database::Scope;
use super::error::{MetadataError, Result};
use super::provenance::{Cell, ColumnCount};
use super::queue::{Fence, leave, lock_tenant};
use super::record::params;
use super::{MetadataStore, audit, checkpoints, events, quota};

/// What is to be published.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Where the output lies, from the service's store on.
    pub output: String,
    /// Digest of its tables.
    pub manifest_digest: String,
    /// Rows of the source.
    pub rows_in: i64,
    /// Bytes of the source.
    pub bytes_in: i64,
    /// Rows of the cleaned data.
    pub rows: i64,
    /// Bytes of the output.
    pub bytes: i64,
    /// The transformations, in order.
    pub transformations: Value,
    /// The contract, as it was completed.
    pub contract: Value,
    /// The files that were read.
    pub sources: Value,
    /// What the job found, in figures.
    pub metrics: Value,
    /// What missing values were filled with.
    pub imputed: Vec<Imputed>,
    /// Where the hashes of rows lie, for later jobs.
    pub indexes: Vec<IndexPointer>,
    /// How many cells were changed.
    pub counts: Vec<ColumnCount>,
    /// The changed cells that are kept here.
    pub cells: Vec<Cell>,
}

/// What missing values of a column were filled with.
#[derive(Debug, Clone)]
pub struct Imputed {
    /// The transformation.
    pub transformation_id: String,
    /// The column.
    pub column_name: String,
    /// How: `median`, `mode`, …
    pub strategy: String,
    /// With what.
    pub value: Value,
}

/// Where the index of a transformation lies.
#[derive(Debug, Clone)]
pub struct IndexPointer {
    /// The transformation.
    pub transformation_id: String,
    /// Place, from the service's store on.
    pub location: String,
}

impl MetadataStore {
    /// Publishes the output of an attempt as the next version of its dataset; gives the version. None
    /// when somebody wanted the job to stop before.
    ///
    /// An earlier call for the same attempt whose answer got lost is found again. A lease that ran out is no
    /// hindrance as long as nobody took the job: whoever takes it changes its state first.
    ///
    /// # Errors
    /// [`MetadataError::Fenced`] when the job is not this worker's any more, [`MetadataError::StorageSpent`] when the
    /// tenant cannot keep the output.
    pub async fn publish(&self, fence: &Fence, publication: &Publication) -> Result<Option<i64>> {
        let (tenant, job) = (fence.tenant_id, fence.job_id);
        let mut transaction = self.write(Scope::Service).await?;
        if !publication.cells.is_empty() {
            // What takes longest comes before anything is locked.
            let cells = publication.cells.iter();
            let mut rows = cells.map(|cell| {
                params![
                    job,
                    cell.row_id,
                    &cell.column_name,
                    tenant,
                    cell.original_value.as_deref(),
                    cell.cleaned_value.as_deref(),
                    &cell.transformation_id,
                    cell.confidence_score,
                    &cell.source,
                ]
            });
            let columns = &[
                "job_id",
                "row_id",
                "column_name",
                "tenant_id",
                "original_value",
                "cleaned_value",
                "transformation_id",
                "confidence_score",
                "source",
            ];
            let copied = transaction
                .copy_in("cell_provenance", columns, &mut rows)
                .await;
            match copied {
                // Another call has published it.
                Err(MetadataError::Conflict(_)) => {
                    drop(transaction);
                    return self.published(fence).await;
                }
                other => other?,
            };
        }
        lock_tenant(transaction.as_mut(), tenant).await?;
        let row = transaction
            .optional(
                "UPDATE jobs SET status = 'success', owner = NULL, lease_until = NULL, updated_at = {now},
                   finished_at = {now}, metrics = $4, output = $5, manifest_digest = $6, error = NULL, progress = NULL
                 WHERE id = $1 AND attempt = $2 AND owner = $3 AND NOT cancel_requested
                   AND status IN ('pass1_running', 'pass2_running') RETURNING dataset_id",
                params![
                    job,
                    fence.attempt,
                    &fence.owner,
                    publication.metrics.clone(),
                    &publication.output,
                    &publication.manifest_digest,
                ],
            )
            .await?;
        let Some(row) = row else {
            drop(transaction);
            return self.published(fence).await;
        };
        let dataset = row.uuid("dataset_id")?;
        transaction
            .fetch(
                "SELECT id FROM datasets WHERE id = $1 {lock}",
                params![dataset],
            )
            .await?;
        let version = transaction
            .one(
                "SELECT coalesce(max(version), 0) + 1 AS version FROM cleaned_datasets WHERE dataset_id = $1",
                params![dataset],
            )
            .await?
            .int("version")?;
        transaction
            .execute(
                "UPDATE jobs SET version = $2 WHERE id = $1",
                params![job, version],
            )
            .await?;
        transaction
            .execute(
                "INSERT INTO cleaned_datasets (id, tenant_id, dataset_id, version, job_id, location, checksum, rows, bytes,
                   transformations, contract, sources, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, {now})",
                params![
                    Uuid::now_v7(),
                    tenant,
                    dataset,
                    version,
                    job,
                    &publication.output,
                    &publication.manifest_digest,
                    publication.rows,
                    publication.bytes,
                    publication.transformations.clone(),
                    publication.contract.clone(),
                    publication.sources.clone(),
                ],
            )
            .await?;
        for imputed in &publication.imputed {
            transaction
                .execute(
                    "INSERT INTO imputation_stats (job_id, transformation_id, column_name, tenant_id, strategy, value)
                     VALUES ($1, $2, $3, $4, $5, $6)",
                    params![
                        job,
                        &imputed.transformation_id,
                        &imputed.column_name,
                        tenant,
                        &imputed.strategy,
                        imputed.value.clone(),
                    ],
                )
                .await?;
        }
        for index in &publication.indexes {
            transaction
                .execute(
                    "INSERT INTO row_hash_indexes (dataset_id, version, transformation_id, tenant_id, job_id, location)
                     VALUES ($1, $2, $3, $4, $5, $6)",
                    params![
                        dataset,
                        version,
                        &index.transformation_id,
                        tenant,
                        job,
                        &index.location,
                    ],
                )
                .await?;
        }
        for count in &publication.counts {
            transaction
                .execute(
                    "INSERT INTO provenance_counts (job_id, transformation_id, column_name, tenant_id, cells,
                       low_confidence, complete)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    params![
                        job,
                        &count.transformation_id,
                        &count.column_name,
                        tenant,
                        count.cells,
                        count.low_confidence,
                        count.complete,
                    ],
                )
                .await?;
        }
        transaction
            .execute(
                "INSERT INTO usage (tenant_id, month, jobs, rows, bytes_in, bytes_out)
                 VALUES ($1, {month}, 1, $2, $3, $4)
                 ON CONFLICT (tenant_id, month) DO UPDATE SET jobs = usage.jobs + 1, rows = usage.rows + $2,
                   bytes_in = usage.bytes_in + $3, bytes_out = usage.bytes_out + $4",
                params![
                    tenant,
                    publication.rows_in,
                    publication.bytes_in,
                    publication.bytes,
                ],
            )
            .await?;
        // Its bytes count by now.
        quota::check_storage(transaction.as_mut(), tenant, 0).await?;
        leave(transaction.as_mut(), tenant, job, fence.attempt).await?;
        end_attempt(transaction.as_mut(), job, fence.attempt, "published", None).await?;
        let data = json!({"status": "success", "attempt": fence.attempt, "version": version});
        events::add(transaction.as_mut(), tenant, job, "success", data).await?;
        let details = json!({
            "attempt": fence.attempt,
            "dataset_id": dataset,
            "version": version,
            "rows": publication.rows,
            "manifest_digest": publication.manifest_digest,
        });
        let entry = audit::by_service("dataset_published", dataset, Some(job), details);
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        checkpoints::want(transaction.as_mut(), tenant).await?;
        transaction.commit().await?;
        Ok(Some(version))
    }

    /// What became of an attempt that could not be published (again).
    async fn published(&self, fence: &Fence) -> Result<Option<i64>> {
        let mut transaction = self.read(Scope::Service).await?;
        let row = transaction
            .optional(
                "SELECT j.status, j.attempt, j.cancel_requested, v.version FROM jobs j
                 LEFT JOIN cleaned_datasets v ON v.job_id = j.id WHERE j.id = $1",
                params![fence.job_id],
            )
            .await?
            .ok_or(MetadataError::Fenced)?;
        transaction.commit().await?;
        let ours = row.int("attempt")? == fence.attempt;
        match row.text("status")?.as_str() {
            "success" if ours => Ok(row.opt_int("version")?),
            "pass1_running" | "pass2_running" if ours && row.bool("cancel_requested")? => Ok(None),
            _ => Err(MetadataError::Fenced),
        }
    }
}
