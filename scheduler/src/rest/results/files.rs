//! The files of an output as they are.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use planner::sink::FileEntry;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::extract::Named;
use super::super::problem::Problems;
use super::super::{App, Problem};
use super::output::{Output, record};
use crate::access::{Action, Caller};

/// What tokens stand for is sealed, and nobody's to fetch.
const SEALED: &str = "tokens/";

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
    let output = Output::of_job(&app, &caller, id).await?;
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
    let output = Output::of_job(app, caller, id).await?;
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
