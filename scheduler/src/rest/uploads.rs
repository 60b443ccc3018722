//! Files that are sent in parts: an upload that breaks off goes on where it was.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{Paced, file_name, limited};
use super::extract::{Document, Named, Sender};
use super::problem::Problems;
use super::{App, Problem};
use crate::access::{Action, Caller};
use crate::metadata::{MetadataError, Upload, UploadPart};
use crate::storage::WriteError;

/// Most parts of an upload.
const PARTS: i64 = 10_000;

/// An upload that is begun.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadRequest {
    /// Name of the file: its ending tells the format.
    #[schema(min_length = 1, max_length = 1000)]
    name: String,
}

/// An upload.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadView {
    /// Identifier: `source: {location: "upload:ID"}` in a job spec.
    upload_id: Uuid,
    /// Name of the file.
    name: String,
    /// When it was begun.
    created_at: DateTime<Utc>,
    /// When it was complete.
    completed_at: Option<DateTime<Utc>>,
    /// Its size, once it is complete.
    bytes: Option<i64>,
    /// Its SHA-256, once it is complete.
    sha256: Option<String>,
    /// The parts that are there, by number.
    parts: Vec<UploadPart>,
}

impl From<Upload> for UploadView {
    fn from(upload: Upload) -> Self {
        Self {
            upload_id: upload.id,
            name: upload.name,
            created_at: upload.created_at,
            completed_at: upload.completed_at,
            bytes: upload.bytes,
            sha256: upload.sha256,
            parts: upload.parts,
        }
    }
}

fn part_name(upload: &Upload, number: i64) -> String {
    format!("{}.parts/{number:05}", upload.location)
}

/// Returns an upload that is within the caller's reach.
pub(super) async fn find(app: &App, caller: &Caller, id: Uuid) -> Result<Upload, Problem> {
    let upload = app.metadata.upload(caller.tenant_id(), id).await?;
    upload
        .filter(|upload| caller.may_reach_upload_of(&upload.created_by))
        .ok_or_else(|| Problem::not_found("upload"))
}

/// Begins an upload in parts.
#[utoipa::path(post, path = "/uploads", tag = "uploads", request_body = UploadRequest,
    responses((status = 201, body = UploadView), Problems))]
pub(crate) async fn begin(
    State(app): State<Arc<App>>,
    caller: Caller,
    Document(request): Document<UploadRequest>,
) -> Result<(StatusCode, Json<UploadView>), Problem> {
    caller.needs(Action::SubmitJobs)?;
    if !(1..=1000).contains(&request.name.chars().count()) {
        return Err(Problem::field("name", "a name has 1 to 1000 characters"));
    }
    let id = Uuid::now_v7();
    let name = file_name(Some(&request.name));
    let location = format!("uploads/{}/{id}/{name}", caller.tenant_id());
    let upload = app
        .metadata
        .begin_upload(caller.tenant_id(), id, (&name, &location), &caller.actor)
        .await?;
    Ok((StatusCode::CREATED, Json(upload.into())))
}

/// An upload and the parts that are there.
#[utoipa::path(get, path = "/uploads/{upload_id}", tag = "uploads",
    params(("upload_id" = Uuid, Path, description = "Identifier of the upload")),
    responses((status = 200, body = UploadView), Problems))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<Json<UploadView>, Problem> {
    caller.needs(Action::SubmitJobs)?;
    Ok(Json(find(&app, &caller, id).await?.into()))
}

/// Sends a part, over an earlier one of the same number. With `X-Content-SHA256`, a part that arrives damaged is
/// refused.
#[utoipa::path(put, path = "/uploads/{upload_id}/parts/{number}", tag = "uploads",
    params(("upload_id" = Uuid, Path, description = "Identifier of the upload"),
        ("number" = i64, Path, minimum = 1, maximum = 10000, description = "Number of the part, from 1"),
        ("X-Content-SHA256" = Option<String>, Header, description = "SHA-256 of the part, in hexadecimal")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = UploadPart),
        (status = 507, body = Problem, content_type = "application/problem+json", description = "The store is full"),
        Problems))]
pub(crate) async fn put_part(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((id, number)): Named<(Uuid, i64)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<UploadPart>, Problem> {
    caller.needs(Action::SubmitJobs)?;
    let upload = find(&app, &caller, id).await?;
    if !(1..=PARTS).contains(&number) {
        return Err(Problem::field(
            "number",
            "parts have numbers from 1 to 10000",
        ));
    }
    if upload.completed_at.is_some() {
        return Err(Problem::conflict("the upload is complete already"));
    }
    let name = part_name(&upload, number);
    let _turn = Sender::of(&caller).turn(&app).await?;
    let body = Paced::new(body.into_data_stream(), app.options.requests.least_rate);
    let body = limited(body, most_bytes(&app, &caller).await?);
    let expected = headers.get("x-content-sha256");
    let expected = expected.map(|digest| String::from_utf8_lossy(digest.as_bytes()).into_owned());
    let stored = app.store.write_checked(&name, body, expected).await?;
    let part = UploadPart {
        number,
        bytes: i64::try_from(stored.bytes).unwrap_or(i64::MAX),
        sha256: stored.sha256,
    };
    let added = app.metadata.add_part(caller.tenant_id(), id, &part).await;
    if let Err(MetadataError::StorageSpent { .. }) = &added {
        // Others have filled the storage meanwhile.
        let _ = app.store.remove(&name).await;
    }
    added?;
    Ok(Json(part))
}

/// The most bytes of a file that a tenant may send now.
pub(super) async fn most_bytes(app: &App, caller: &Caller) -> Result<u64, Problem> {
    let left = app.metadata.storage_left(caller.tenant_id()).await?;
    let left = left.map_or(u64::MAX, |left| u64::try_from(left).unwrap_or(0));
    Ok(app.options.max_upload_bytes.min(left))
}

/// Puts the parts together, in the order of their numbers.
#[utoipa::path(post, path = "/uploads/{upload_id}/complete", tag = "uploads",
    params(("upload_id" = Uuid, Path, description = "Identifier of the upload")),
    responses((status = 200, body = UploadView), Problems))]
pub(crate) async fn complete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<Json<UploadView>, Problem> {
    caller.needs(Action::SubmitJobs)?;
    let upload = find(&app, &caller, id).await?;
    if upload.completed_at.is_some() {
        return Ok(Json(upload.into()));
    }
    let numbers: Vec<i64> = upload.parts.iter().map(|part| part.number).collect();
    let expected: Vec<i64> = (1..=numbers.len() as i64).collect();
    if numbers.is_empty() || numbers != expected {
        let missing = expected.iter().find(|number| !numbers.contains(number));
        let detail = match missing {
            Some(number) => format!("part {number} is missing"),
            None => "there are no parts yet".to_owned(),
        };
        return Err(Problem::conflict(detail));
    }
    let total: i64 = upload.parts.iter().map(|part| part.bytes).sum();
    if u64::try_from(total).unwrap_or(0) > app.options.max_upload_bytes {
        let most = app.options.max_upload_bytes;
        return Err(Problem::too_large(format!(
            "a file may have {most} bytes here"
        )));
    }
    let store = app.store.clone();
    let names: Vec<String> = numbers
        .iter()
        .map(|number| part_name(&upload, *number))
        .collect();
    let parts = futures::stream::iter(names).then(move |name| {
        let store = store.clone();
        async move { store.read(&name).await.map(|(_, content)| content) }
    });
    let content = parts.flat_map(|part| match part {
        Ok(content) => content.left_stream(),
        Err(error) => futures::stream::iter([Err(error)]).right_stream(),
    });
    let written = app.store.write(&upload.location, content).await;
    let stored = match written {
        Ok(stored) => stored,
        Err(WriteError::Content(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            // Another call has put them together, and removed them.
            let upload = find(&app, &caller, id).await?;
            return match upload.completed_at {
                Some(_) => Ok(Json(upload.into())),
                None => Err(Problem::conflict("a part is gone; send it again")),
            };
        }
        Err(WriteError::Content(error) | WriteError::Store(error)) => {
            return Err(Problem::of_store(&error));
        }
        Err(WriteError::Damaged) => return Err(Problem::internal()),
    };
    let bytes = i64::try_from(stored.bytes).unwrap_or(i64::MAX);
    let done = app
        .metadata
        .complete_upload(
            caller.tenant_id(),
            id,
            (bytes, &stored.sha256),
            &caller.actor,
        )
        .await?;
    // Jobs may have waited for it.
    app.wake.notify_one();
    // What stays takes room, and nothing else.
    let _ = app
        .store
        .remove(&format!("{}.parts", upload.location))
        .await;
    Ok(Json(done.into()))
}

/// Removes an upload, unless a job that has not ended needs it.
#[utoipa::path(delete, path = "/uploads/{upload_id}", tag = "uploads",
    params(("upload_id" = Uuid, Path, description = "Identifier of the upload")),
    responses((status = 204, description = "It is gone"), Problems))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<StatusCode, Problem> {
    caller.needs(Action::SubmitJobs)?;
    let upload = find(&app, &caller, id).await?;
    let tenant = caller.tenant_id();
    if app.metadata.needs_upload(tenant, id).await? {
        return Err(Problem::conflict("a job that has not ended needs it"));
    }
    app.metadata.forget_upload(tenant, id).await?;
    let folder = upload
        .location
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    let removed = app.store.remove(folder).await;
    removed.map_err(|error| Problem::of_store(&error))?;
    Ok(StatusCode::NO_CONTENT)
}
