//! Jobs come in: with a file, or with a spec that says where the data is.

mod form;
mod order;
mod submission;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use self::submission::submit;
use super::body::{FormBody, Paced, Taken};
use super::extract::{Named, Params, Sender, parsed, received};
use super::problem::Problems;
use super::{App, Problem};
use crate::access::{Action, Caller};
use crate::metadata::{Job, JobStatus};

/// Priorities that a job may have among those of its tenant.
const PRIORITIES: std::ops::RangeInclusive<i64> = -100..=100;

/// A file and what is to be done with it.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(crate) struct IngestForm {
    /// The data: CSV, TSV, JSON, JSON lines, Parquet or a spreadsheet, compressed or not.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
    /// The dataset of which this is to be the next version; the file's name when left out.
    #[schema(nullable = false)]
    dataset_name: Option<String>,
    /// The `dataset` of a job spec, in JSON, such as `{"pii_strategy": "hash"}`.
    #[schema(nullable = false)]
    schema_config: Option<String>,
    /// A job spec without `source` and `output`, in JSON or YAML.
    #[schema(nullable = false)]
    spec: Option<String>,
    /// Names of rules of the tenant, separated by commas: each is merged beneath the spec.
    #[schema(nullable = false)]
    rules: Option<String>,
}

/// How a job is to be run.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct IngestParams {
    /// The dataset of which this is to be the next version (also a field of the form).
    dataset_name: Option<String>,
    /// Names of rules of the tenant, separated by commas (also a field of the form).
    rules: Option<String>,
    /// Jobs of the tenant with a larger number come first, -100 to 100.
    #[param(minimum = -100, maximum = 100)]
    priority: Option<i64>,
    /// Seconds after which the job fails where it has not finished.
    #[param(minimum = 1)]
    deadline_seconds: Option<u32>,
}

/// A job that was taken into the queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The job.
    job_id: Uuid,
    /// The dataset that it makes a version of.
    dataset_id: Uuid,
    /// Where it is in its life.
    status: JobStatus,
    /// Milliseconds until it is done, as far as can be told from what waits before it.
    estimated_completion_ms: u64,
}

impl Accepted {
    /// A job that is short.
    pub(super) fn soon(job: &Job) -> Self {
        Self {
            job_id: job.id,
            dataset_id: job.dataset_id,
            status: job.status,
            estimated_completion_ms: 1000,
        }
    }
}

/// Takes a job into the queue. When this answers, the job is not forgotten, whatever dies. Where an upload that it
/// reads is not complete yet, it is pending until it is.
///
/// The same `Idempotency-Key` with the same request gives the same job, however often it comes.
#[utoipa::path(post, path = "/datasets/{tenant_id}/ingest", tag = "jobs",
    params(("tenant_id" = String, Path, description = "Identifier or name of the tenant"), IngestParams,
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request safe: 1 to 255 characters")),
    request_body(content((IngestForm = "multipart/form-data"), (Object = "application/json")),
        description = "A file with fields, or a job spec without `output` whose source is a URL or `upload:ID`"),
    responses((status = 202, body = Accepted, headers(("Location" = String, description = "The job"),
            ("Retry-After" = i64, description = "Seconds until a look at the job may be worth it"))),
        (status = 507, body = Problem, content_type = "application/problem+json", description = "The store is full"),
        Problems))]
pub(crate) async fn ingest(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(tenant): Named<String>,
    Params(params): Params<IngestParams>,
    headers: HeaderMap,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 2], Json<Accepted>), Problem> {
    caller.needs_tenant(&tenant)?;
    caller.needs(Action::SubmitJobs)?;
    let key = idempotency_key(&headers)?;
    if params.deadline_seconds == Some(0) {
        return Err(Problem::field(
            "deadline_seconds",
            "a deadline is 1 second away, or more",
        ));
    }
    if !PRIORITIES.contains(&params.priority.unwrap_or(0)) {
        return Err(Problem::field("priority", "a priority is from -100 to 100"));
    }
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let order = match kind.to_ascii_lowercase().as_str() {
        "multipart/form-data" => {
            let _turn = Sender::of(&caller).turn(&app).await?;
            let (parts, body) = request.into_parts();
            let taken = Taken::default();
            let body = Paced::new(body.into_data_stream(), app.options.requests.least_rate);
            let body = Body::from_stream(FormBody::new(body, taken.clone()));
            let form = Multipart::from_request(Request::from_parts(parts, body), &app).await;
            let form =
                form.map_err(|error: MultipartRejection| Problem::bad_request(error.body_text()))?;
            form::order(&app, &caller, (form, taken), &params).await?
        }
        "application/json" => {
            let sender = Sender::of(&caller);
            let content = received(&app, &sender, request.into_body()).await?;
            let spec = parsed(&app, &sender, content, Ok).await?;
            order::of_spec(&app, &caller, spec, &params).await?
        }
        _ => {
            return Err(Problem::media_type(
                "expected multipart/form-data with a file, or application/json with a job spec",
            ));
        }
    };
    let uploaded = order.upload.clone();
    let accepted = submit(&app, &caller, order, key, &params).await;
    let keep = match &accepted {
        Ok((_, repeated)) => !repeated,
        // The database has hung up: perhaps after it had taken the job, which needs its file.
        Err(problem) => problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16(),
    };
    if !keep && let Some((id, folder)) = uploaded {
        // Nobody asks for it: the job has another copy, or there is none.
        let _ = app.metadata.forget_upload(caller.tenant_id(), id).await;
        let _ = app.store.remove(&folder).await;
    }
    let (accepted, _) = accepted?;
    let location = format!("/api/v1/jobs/{}", accepted.job_id);
    let headers = [
        (header::LOCATION, location),
        (header::RETRY_AFTER, "1".to_owned()),
    ];
    Ok((StatusCode::ACCEPTED, headers, Json(accepted)))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = key.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > 255 {
        let problem = "a key has 1 to 255 visible ASCII characters";
        return Err(Problem::field("Idempotency-Key", problem));
    }
    Ok(Some(key.to_owned()))
}
