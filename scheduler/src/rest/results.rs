//! What came of a job: its report, its files, and rows of its tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatchReader;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use planner::sink::{FileEntry, Manifest};
use planner::storage::Place;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::extract::{Named, Params};
use super::jobs::find;
use super::problem::Problems;
use super::{App, Problem, masking, page};
use crate::access::{Action, Caller};
use crate::metadata::{AuditEntry, Cell, CellFilter, ColumnCount, Job, JobStatus};
use crate::output::open_table;
use crate::output::{Format, RowFilter, RowPlace, rows, send};
use crate::storage::blocking;

/// What tokens stand for is sealed, and nobody's to fetch.
const SEALED: &str = "tokens/";

/// A job that was published, and where its output lies.
struct Output {
    job: Job,
    location: String,
}

async fn output(app: &App, caller: &Caller, id: Uuid) -> Result<Output, Problem> {
    let job = find(app, caller, id).await?;
    match (job.status, job.output.clone()) {
        (JobStatus::Success, Some(location)) => Ok(Output { job, location }),
        (status, _) => {
            let status = status.name();
            let detail = format!("the job has no output: it is {status}");
            Err(Problem::conflict(detail))
        }
    }
}

impl Output {
    async fn manifest(&self, app: &App) -> Result<Manifest, Problem> {
        let name = format!("{}/{}", self.location, Manifest::NAME);
        let text = app.store.load(&name).await;
        let text = text.map_err(|error| Problem::of_store(&error))?;
        serde_json::from_slice(&text).map_err(|_| Problem::internal())
    }

    /// The parts of a table, in order.
    async fn parts(&self, app: &App, table: &str) -> Result<Vec<Place>, Problem> {
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
}

/// Writes down that somebody read something of a job.
async fn record(
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

/// How a report is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReportFormat {
    /// As data.
    #[default]
    Json,
    /// As a page with charts, in one file.
    Html,
}

/// How a report is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportParams {
    /// `json` (the default) or `html`.
    #[param(inline)]
    format: Option<ReportFormat>,
}

/// The report: what changed, column by column. Without the action `data:read`, it holds counts and no values: no
/// smallest, largest, frequent or sampled values, no figures that are values, no samples of cells or rows.
#[utoipa::path(get, path = "/jobs/{job_id}/report", tag = "results",
    params(("job_id" = Uuid, Path, description = "Identifier of the job"), ReportParams),
    responses((status = 200, description = "The report",
        content((Object = "application/json"), (String = "text/html"))), Problems))]
pub(crate) async fn report(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Params(params): Params<ReportParams>,
) -> Result<Response, Problem> {
    let output = output(&app, &caller, id).await?;
    let format = params.format.unwrap_or_default();
    let (name, kind) = match format {
        ReportFormat::Json => ("report.json", "application/json"),
        ReportFormat::Html => ("report.html", "text/html; charset=utf-8"),
    };
    // Only those who may read the data of any dataset get the files as they lie there.
    let whole = caller.may(Action::ReadData) && caller.datasets.is_none();
    let name = if whole { name } else { "report.json" };
    let name = format!("{}/{name}", output.location);
    let text = app.store.load(&name).await;
    let mut text = text.map_err(|error| Problem::of_store(&error))?;
    if !whole {
        let html = format == ReportFormat::Html;
        let shown = blocking(move || Ok(masking::report(&text, &caller, html))).await;
        let shown = shown.map_err(|error| Problem::of_store(&error))?;
        text = shown.map_err(|error| {
            tracing::error!(%error, "a report cannot be read");
            Problem::internal()
        })?;
    }
    let mut response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    if kind.starts_with("text/html") {
        // The page is one file; it runs its own script and asks nobody for anything.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; sandbox allow-scripts";
        let policy = HeaderValue::from_static(policy);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

/// A table of an output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Table {
    /// The cleaned rows.
    #[default]
    Data,
    /// The modified cells.
    Provenance,
    /// The rows that were taken out.
    Removed,
    /// The rows that were set aside.
    Quarantine,
    /// The clusters of near duplicates.
    Clusters,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Provenance => "provenance",
            Self::Removed => "removed",
            Self::Quarantine => "quarantine",
            Self::Clusters => "clusters",
        }
    }

    fn action(self) -> Action {
        match self {
            Self::Provenance => Action::ReadProvenance,
            _ => Action::ReadData,
        }
    }
}

/// What becomes of texts in CSV that a spreadsheet would run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Formulas {
    /// They get an apostrophe before them.
    #[default]
    Escape,
    /// They stay as they are.
    Keep,
}

/// How a table is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DownloadParams {
    /// `parquet` (the default), `csv` or `jsonl`.
    #[param(inline)]
    format: Option<Format>,
    /// `data` (the default), `provenance`, `removed`, `quarantine` or `clusters`.
    #[param(inline)]
    table: Option<Table>,
    /// `escape` (the default) puts an apostrophe before texts in CSV that a spreadsheet would run as a formula; `keep`
    /// leaves them.
    #[param(inline)]
    formulas: Option<Formulas>,
}

/// A whole table as one file, streamed.
#[utoipa::path(get, path = "/jobs/{job_id}/download", tag = "results",
    params(("job_id" = Uuid, Path, description = "Identifier of the job"), DownloadParams),
    responses((status = 200, description = "The file",
        content((Vec<u8> = "application/vnd.apache.parquet"), (String = "text/csv"), (String = "application/x-ndjson"))),
        Problems))]
pub(crate) async fn download(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Params(params): Params<DownloadParams>,
) -> Result<Response, Problem> {
    let table = params.table.unwrap_or_default();
    let format = params.format.unwrap_or_default();
    caller.needs(table.action())?;
    let output = output(&app, &caller, id).await?;
    let parts = output.parts(&app, table.name()).await?;
    if parts.is_empty() {
        return Err(Problem::not_found("table in this output"));
    }
    let details = json!({"table": table.name(), "format": format.ending()});
    record(&app, &caller, id, "data_downloaded", details).await?;
    let keep = params.formulas == Some(Formulas::Keep);
    // A table in another format is written by a thread of its own, which waits for whoever reads it.
    let turn = app
        .conversions
        .take(caller.tenant_id(), &caller.actor)
        .await;
    let turn =
        turn.ok_or_else(|| Problem::busy("the tenant downloads too much at the same time"))?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        send(&parts, format, keep, sender);
        drop(turn);
    });
    let name = format!("{}-{}.{}", id, table.name(), format.ending());
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok((headers, body).into_response())
}

/// A file of an output.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileView {
    /// Path under the output.
    path: String,
    /// Rows, of a table.
    rows: Option<u64>,
    /// Size.
    bytes: u64,
    /// Digest of the content.
    sha256: String,
}

/// The files of an output.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Files {
    /// The files, as `metadata.json` lists them.
    files: Vec<FileView>,
}

/// The files of an output, with their digests.
#[utoipa::path(get, path = "/jobs/{job_id}/files", tag = "results",
    params(("job_id" = Uuid, Path, description = "Identifier of the job")),
    responses((status = 200, body = Files), Problems))]
pub(crate) async fn files(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<Json<Files>, Problem> {
    let output = output(&app, &caller, id).await?;
    let manifest = output.manifest(&app).await?;
    let told = |entry: &FileEntry| !entry.path.starts_with(SEALED);
    let files = manifest
        .files
        .into_iter()
        .filter(told)
        .map(|entry| FileView {
            path: entry.path,
            rows: entry.rows,
            bytes: entry.bytes,
            sha256: entry.sha256,
        });
    Ok(Json(Files {
        files: files.collect(),
    }))
}

/// A file of an output as it is.
#[utoipa::path(get, path = "/jobs/{job_id}/files/{name}", tag = "results",
    params(("job_id" = Uuid, Path, description = "Identifier of the job"),
        ("name" = String, Path, description = "Name of the file, as the list has it")),
    responses((status = 200, description = "The file", content((Vec<u8> = "application/octet-stream"))), Problems))]
pub(crate) async fn file(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((id, name)): Named<(Uuid, String)>,
) -> Result<Response, Problem> {
    send_file(&app, &caller, id, &name).await
}

/// A part of a table as it is.
#[utoipa::path(get, path = "/jobs/{job_id}/files/{table}/{name}", tag = "results",
    params(("job_id" = Uuid, Path, description = "Identifier of the job"),
        ("table" = String, Path, description = "Folder of the file, as the list has it"),
        ("name" = String, Path, description = "Name of the file, as the list has it")),
    responses((status = 200, description = "The file", content((Vec<u8> = "application/octet-stream"))), Problems))]
pub(crate) async fn part(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((id, table, name)): Named<(Uuid, String, String)>,
) -> Result<Response, Problem> {
    send_file(&app, &caller, id, &format!("{table}/{name}")).await
}

async fn send_file(app: &App, caller: &Caller, id: Uuid, path: &str) -> Result<Response, Problem> {
    if path.starts_with("provenance/") {
        caller.needs(Action::ReadProvenance)?;
    }
    let output = output(app, caller, id).await?;
    let manifest = output.manifest(app).await?;
    // Only names of the list: no path leads anywhere else.
    let found = manifest
        .files
        .iter()
        .find(|entry| entry.path == path && !path.starts_with(SEALED));
    let found = found.ok_or_else(|| Problem::not_found("file"))?;
    record(app, caller, id, "data_downloaded", json!({"file": path})).await?;
    let name = format!("{}/{}", output.location, found.path);
    let opened = app.store.read(&name).await;
    let (size, content) = opened.map_err(|error| Problem::of_store(&error))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, size.into());
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    if let Ok(digest) = HeaderValue::from_str(&format!("\"{}\"", found.sha256)) {
        headers.insert(header::ETAG, digest);
    }
    Ok((StatusCode::OK, headers, Body::from_stream(content)).into_response())
}

/// Which changed cells are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProvenanceParams {
    /// Number of the row in the source, from 0.
    #[param(minimum = 0)]
    row_id: Option<u64>,
    /// The column.
    column: Option<String>,
    /// The transformation, such as `t-3`.
    transformation_id: Option<String>,
    /// Only cells with a confidence below this.
    #[param(minimum = 0, maximum = 1)]
    confidence_below: Option<f64>,
    /// How many at most, 1 to 1000; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Changed cells of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProvenanceView {
    /// How many cells of each column each transformation was the last to change.
    counts: Vec<ColumnCount>,
    /// The cells, row by row.
    cells: Vec<Cell>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// The cells that a job changed: from what, to what, by which transformation, how surely. Of columns with personal
/// data the values are placeholders; reading of such columns is recorded.
#[utoipa::path(get, path = "/jobs/{job_id}/provenance", tag = "results",
    params(("job_id" = Uuid, Path, description = "Identifier of the job"), ProvenanceParams),
    responses((status = 200, body = ProvenanceView), Problems))]
pub(crate) async fn provenance(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Params(params): Params<ProvenanceParams>,
) -> Result<Json<ProvenanceView>, Problem> {
    let below = params.confidence_below;
    if below.is_some_and(|below| !(0.0..=1.0).contains(&below)) {
        return Err(Problem::field(
            "confidence_below",
            "a confidence is from 0 to 1",
        ));
    }
    let wanted = Cells {
        row_id: params.row_id,
        column: params.column,
        transformation_id: params.transformation_id,
        below,
        limit: params.limit,
        cursor: params.cursor,
    };
    let (cells, next_cursor) = cells_of(&app, &caller, id, wanted).await?;
    let counts = app.metadata.provenance_counts(caller.tenant_id(), id);
    Ok(Json(ProvenanceView {
        counts: counts.await?,
        cells,
        next_cursor,
    }))
}

/// Which changed cells are wanted.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub(super) row_id: Option<u64>,
    pub(super) column: Option<String>,
    pub(super) transformation_id: Option<String>,
    pub(super) below: Option<f64>,
    pub(super) limit: Option<u32>,
    pub(super) cursor: Option<String>,
}

/// Changed cells of a job, and where the next page begins. Reading of columns with personal data is recorded.
pub(super) async fn cells_of(
    app: &App,
    caller: &Caller,
    id: Uuid,
    wanted: Cells,
) -> Result<(Vec<Cell>, Option<String>), Problem> {
    let limit = page::limit(wanted.limit)?;
    let output = output(app, caller, id).await?;
    let tenant = caller.tenant_id();
    let private = private_columns(app, caller, &output).await?;
    let read: Vec<&String> = private
        .iter()
        .filter(|name| wanted.column.as_ref().is_none_or(|column| column == *name))
        .collect();
    if !read.is_empty() {
        let details = json!({"columns": read, "row_id": wanted.row_id});
        record(app, caller, id, "pii_provenance_read", details).await?;
    }
    let counts = app.metadata.provenance_counts(tenant, id).await?;
    if counts.iter().all(|count| count.complete) {
        let filter = CellFilter {
            row_id: wanted.row_id.map(numbered),
            column: wanted.column,
            transformation_id: wanted.transformation_id,
            below: wanted.below,
            after: page::place(wanted.cursor.as_deref())?,
        };
        let found = app.metadata.cells(tenant, id, &filter, limit).await?;
        let last = found.cells.last().filter(|_| found.more);
        let next = last.and_then(|cell| page::cursor(&(cell.row_id, cell.column_name.clone())));
        return Ok((found.cells, next));
    }
    // There are more cells than the store holds: they are read from the output.
    let text = |name: &'static str, value: Option<String>| value.map(|value| (name, value));
    let texts = [
        text("column_name", wanted.column),
        text("transformation_id", wanted.transformation_id),
    ];
    let filter = RowFilter {
        row_id: wanted.row_id.map(numbered),
        texts: texts.into_iter().flatten().collect(),
        below: wanted.below,
    };
    let (found, next) = some_rows(app, &output, "provenance", filter, wanted.cursor, limit).await?;
    let cells = found.into_iter().map(|row| {
        let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
        Cell {
            row_id: row.get("row_id").and_then(Value::as_i64).unwrap_or(0),
            column_name: text("column_name").unwrap_or_default(),
            original_value: text("original_value"),
            cleaned_value: text("cleaned_value"),
            transformation_id: text("transformation_id").unwrap_or_default(),
            confidence_score: row
                .get("confidence_score")
                .and_then(Value::as_f64)
                .unwrap_or(1.0),
            source: text("source").unwrap_or_default(),
        }
    });
    Ok((cells.collect(), next))
}

/// A job that was published, if whoever asks may see it.
pub(super) async fn published_job(app: &App, caller: &Caller, id: Uuid) -> Result<Job, Problem> {
    Ok(output(app, caller, id).await?.job)
}

/// Columns of the cleaned data without personal data, with their types.
pub(super) async fn column_types(
    app: &App,
    caller: &Caller,
    id: Uuid,
) -> Result<BTreeMap<String, DataType>, Problem> {
    let output = output(app, caller, id).await?;
    let private = private_columns(app, caller, &output).await?;
    let parts = output.parts(app, "data").await?;
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

/// A number of a row as tables have it.
fn numbered(row_id: u64) -> i64 {
    i64::try_from(row_id).unwrap_or(i64::MAX)
}

/// Columns of an output with personal data.
async fn private_columns(
    app: &App,
    caller: &Caller,
    output: &Output,
) -> Result<Vec<String>, Problem> {
    let tenant = caller.tenant_id();
    let version = app.metadata.version_of_job(tenant, output.job.id).await?;
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

async fn some_rows(
    app: &App,
    output: &Output,
    table: &str,
    filter: RowFilter,
    cursor: Option<String>,
    limit: i64,
) -> Result<(Vec<Map<String, Value>>, Option<String>), Problem> {
    let from: RowPlace = page::place(cursor.as_deref())?.unwrap_or_default();
    let parts = output.parts(app, table).await?;
    let limit = usize::try_from(limit).unwrap_or(0);
    // Looking for a row reads all before it: a tenant has few threads for that at a time.
    let turn = app.conversions.take(output.job.tenant_id, "rows").await;
    let turn =
        turn.ok_or_else(|| Problem::busy("the tenant looks for too many rows at the same time"))?;
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

/// Which lost rows are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LostParams {
    /// Number of the row in the source, from 0.
    #[param(minimum = 0)]
    row_id: Option<u64>,
    /// Why it is not in the cleaned data, such as `duplicate`.
    reason: Option<String>,
    /// How many at most, 1 to 1000; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Rows of a table of an output.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LostRows {
    /// The rows, in the order of the source.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Map<String, Value>>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

async fn lost(
    app: &App,
    caller: &Caller,
    id: Uuid,
    table: &str,
    params: LostParams,
) -> Result<Json<LostRows>, Problem> {
    let limit = page::limit(params.limit)?;
    let output = output(app, caller, id).await?;
    let filter = RowFilter {
        row_id: params.row_id.map(numbered),
        texts: params
            .reason
            .into_iter()
            .map(|reason| ("reason", reason))
            .collect(),
        below: None,
    };
    let found = some_rows(app, &output, table, filter, params.cursor, limit).await?;
    Ok(Json(LostRows {
        rows: found.0,
        next_cursor: found.1,
    }))
}

/// The rows that a job took out: why, and which row stays.
#[utoipa::path(get, path = "/jobs/{job_id}/removed", tag = "results",
    params(("job_id" = Uuid, Path, description = "Identifier of the job"), LostParams),
    responses((status = 200, body = LostRows), Problems))]
pub(crate) async fn removed(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Params(params): Params<LostParams>,
) -> Result<Json<LostRows>, Problem> {
    lost(&app, &caller, id, "removed", params).await
}

/// The rows that a job set aside: file, line, reason and raw text.
#[utoipa::path(get, path = "/jobs/{job_id}/quarantine", tag = "results",
    params(("job_id" = Uuid, Path, description = "Identifier of the job"), LostParams),
    responses((status = 200, body = LostRows), Problems))]
pub(crate) async fn quarantine(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Params(params): Params<LostParams>,
) -> Result<Json<LostRows>, Problem> {
    lost(&app, &caller, id, "quarantine", params).await
}
