//! The output of a job that was published: where its files lie, and rows of its tables.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatchReader;
use planner::sink::Manifest;
use planner::storage::Place;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::jobs::find;
use super::super::{App, Problem, page};
use crate::access::Caller;
use crate::metadata::{AuditEntry, Job, JobStatus};
use crate::output::{RowFilter, RowPlace, open_table, rows};
use crate::storage::blocking;

/// A job that was published, and where its output lies.
pub(super) struct Output {
    pub(super) job: Job,
    /// Where it lies in the store.
    pub(super) location: String,
}

impl Output {
    /// Returns the output of a job, if whoever asks may see the job and it was published.
    pub(super) async fn of_job(app: &App, caller: &Caller, id: Uuid) -> Result<Self, Problem> {
        let job = find(app, caller, id).await?;
        match (job.status, job.output.clone()) {
            (JobStatus::Success, Some(location)) => Ok(Self { job, location }),
            (status, _) => {
                let status = status.name();
                let detail = format!("the job has no output: it is {status}");
                Err(Problem::conflict(detail))
            }
        }
    }

    /// Returns the manifest, which lists the files.
    pub(super) async fn manifest(&self, app: &App) -> Result<Manifest, Problem> {
        let name = format!("{}/{}", self.location, Manifest::NAME);
        let text = app.store.load(&name).await;
        let text = text.map_err(|error| Problem::of_store(&error))?;
        serde_json::from_slice(&text).map_err(|_| Problem::internal())
    }

    /// Returns the parts of a table, in order.
    pub(super) async fn parts(&self, app: &App, table: &str) -> Result<Vec<Place>, Problem> {
        let manifest = self.manifest(app).await?;
        let folder = format!("{table}/");
        let files = manifest.files.iter();
        let parts = files.filter(|entry| entry.path.starts_with(&folder));
        Ok(parts
            .map(|entry| {
                app.store
                    .place(&format!("{}/{}", self.location, entry.path))
            })
            .collect())
    }

    /// Returns the names of the columns with personal data.
    pub(super) async fn private_columns(&self, app: &App) -> Result<Vec<String>, Problem> {
        let tenant = self.job.tenant_id;
        let version = app.metadata.version_of_job(tenant, self.job.id).await?;
        let Some(version) = version else {
            return Ok(Vec::new());
        };
        let lineage = app
            .metadata
            .lineage(tenant, version.dataset_id, version.version)
            .await?;
        let contract = lineage.map(|lineage| lineage.contract).unwrap_or_default();
        let columns = contract["columns"].as_array().into_iter().flatten();
        let private = columns.filter(|column| column["pii"] == json!(true));
        Ok(private
            .filter_map(|column| column["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// Returns rows of a table in the order of the source, and where the next page begins.
    pub(super) async fn rows(
        &self,
        app: &App,
        table: &str,
        filter: RowFilter,
        cursor: Option<String>,
        limit: i64,
    ) -> Result<(Vec<Map<String, Value>>, Option<String>), Problem> {
        let from: RowPlace = page::place(cursor.as_deref())?.unwrap_or_default();
        let parts = self.parts(app, table).await?;
        let limit = usize::try_from(limit).unwrap_or(0);
        // Looking for a row reads all before it: a tenant has few threads for that at a time.
        let turn = app.conversions.take(self.job.tenant_id, "rows").await;
        let turn = turn
            .ok_or_else(|| Problem::busy("the tenant looks for too many rows at the same time"))?;
        let found = blocking(move || {
            let found = rows(&parts, &filter, from, limit);
            drop(turn);
            Ok(found)
        });
        let found = found.await;
        let found = found.map_err(|error| Problem::of_store(&error))?;
        let found = found.map_err(|error| match error {
            planner::Error::Io { source, .. } => Problem::of_store(&source),
            other => {
                tracing::error!(error = %other, "an output cannot be read");
                Problem::internal()
            }
        })?;
        let next = found.next.and_then(|next| page::cursor(&next));
        Ok((found.rows, next))
    }

    /// Returns the columns of the cleaned data without personal data, with their types.
    async fn column_types(&self, app: &App) -> Result<BTreeMap<String, DataType>, Problem> {
        let private = self.private_columns(app).await?;
        let parts = self.parts(app, "data").await?;
        let first = parts.into_iter().next().ok_or_else(Problem::internal)?;
        let schema = blocking(move || Ok(open_table(&first).map(|reader| reader.schema()))).await;
        let schema = schema.map_err(|error| Problem::of_store(&error))?;
        let schema = schema.map_err(|error| {
            tracing::error!(%error, "an output cannot be read");
            Problem::internal()
        })?;
        let columns = schema.fields().iter();
        Ok(columns
            .filter(|field| !private.contains(field.name()))
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect())
    }
}

/// Returns a job that was published, if whoever asks may see it.
pub(in super::super) async fn published_job(
    app: &App,
    caller: &Caller,
    id: Uuid,
) -> Result<Job, Problem> {
    Ok(Output::of_job(app, caller, id).await?.job)
}

/// Returns the columns of a job's cleaned data without personal data, with their types.
///
/// # Errors
/// When whoever asks may not see the job, it was not published, or its output cannot be read.
pub(in super::super) async fn column_types(
    app: &App,
    caller: &Caller,
    id: Uuid,
) -> Result<BTreeMap<String, DataType>, Problem> {
    Output::of_job(app, caller, id)
        .await?
        .column_types(app)
        .await
}

/// Records in the audit log that somebody read something of a job.
pub(super) async fn record(
    app: &App,
    caller: &Caller,
    job: Uuid,
    action: &'static str,
    details: Value,
) -> Result<(), Problem> {
    let entry = AuditEntry {
        actor: caller.actor.clone(),
        action,
        subject: job.to_string(),
        job_id: Some(job),
        details,
    };
    Ok(app.metadata.record(caller.tenant_id(), &entry).await?)
}

/// Returns a number of a row as tables have it.
pub(super) fn numbered(row_id: u64) -> i64 {
    i64::try_from(row_id).unwrap_or(i64::MAX)
}
