//! Jobs come in: with a file, or with a spec that says where the data is.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use bytes::Bytes;
use futures::StreamExt;
use planner::spec::{ByteSize, DocumentLimits};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::body::{BodyError, FormBody, Paced, Taken, file_name, limited};
use super::extract::{Named, Params, Sender, off_the_workers, parsed, received};
use super::problem::Problems;
use super::uploads::most_bytes;
use super::{App, Problem, protection};
use crate::access::{Action, Caller};
use crate::lifecycle::{overlay, spec_of_upload, upload_of, version_of};
use crate::limits::{FIELD_BYTES, FORM_OVERHEAD, RULES, UPLOADS_OF_JOB};
use crate::metadata::{Idempotency, Job, JobStatus, MetadataError, NewJob, Submission};
use crate::storage::{Stored, hexadecimal};

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
            from_form(&app, &caller, (form, taken), &params).await?
        }
        "application/json" => {
            let sender = Sender::of(&caller);
            let content = received(&app, &sender, request.into_body()).await?;
            let spec = parsed(&app, &sender, content, Ok).await?;
            from_spec(&app, &caller, spec, &params).await?
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

/// What a request asks for.
struct Order {
    dataset: String,
    rules: Vec<String>,
    spec: Value,
    /// Digests of everything that makes it this request; of an upload, its content counts or its name.
    digests: Vec<String>,
    /// The file that came along: the upload, and its folder in the store.
    upload: Option<(Uuid, String)>,
}

fn names(list: Option<&str>) -> Result<Vec<String>, Problem> {
    let list = list.unwrap_or_default().split(',').map(str::trim);
    let list = list.filter(|name| !name.is_empty()).map(str::to_owned);
    let names: Vec<String> = list.take(RULES + 1).collect();
    if names.len() > RULES {
        let problem = format!("a request names {RULES} rules at most");
        return Err(Problem::field("rules", problem));
    }
    Ok(names)
}

fn digest_of(parts: &[(&str, &str)]) -> String {
    let mut digest = Sha256::new();
    for (name, value) in parts {
        digest.update(format!("{name} {} ", value.len()));
        digest.update(value);
    }
    hexadecimal(&digest.finalize())
}

/// The order that a spec is.
async fn from_spec(
    app: &App,
    caller: &Caller,
    spec: Value,
    params: &IngestParams,
) -> Result<Order, Problem> {
    if !spec.is_object() {
        return Err(Problem::invalid(
            "expected a job spec: an object with a source",
        ));
    }
    let named = params.dataset_name.as_deref().or(spec["name"].as_str());
    let dataset = named
        .ok_or_else(|| {
            Problem::field(
                "name",
                "the dataset has no name; give it in name or dataset_name",
            )
        })?
        .to_owned();
    let named_text = spec.to_string();
    // What was sent counts, whatever its upload is called: whoever sends it again means the same job. While it is
    // not complete, and after it was removed, its name is all there is.
    let mut sent = spec.clone();
    let locations = match sent.pointer_mut("/source/location") {
        Some(Value::Array(locations)) => locations.iter_mut().collect(),
        Some(location) => vec![location],
        None => Vec::new(),
    };
    let ids = |location: &Value| location.as_str().and_then(upload_of);
    if locations
        .iter()
        .filter(|location| ids(location).is_some())
        .count()
        > UPLOADS_OF_JOB
    {
        let problem = format!("a job reads {UPLOADS_OF_JOB} uploads at most");
        return Err(Problem::field("source.location", problem));
    }
    for location in locations {
        let Some(id) = ids(location) else {
            continue;
        };
        let upload = app.metadata.upload(caller.tenant_id(), id).await?;
        let upload = upload.filter(|upload| caller.may_reach_upload_of(&upload.created_by));
        if let Some(digest) = upload.and_then(|upload| upload.sha256) {
            *location = format!("sha256:{digest}").into();
        }
    }
    let text = sent.to_string();
    let rules = params.rules.as_deref();
    let digest = |text: &str| {
        digest_of(&[
            ("spec", text),
            ("dataset", &dataset),
            ("rules", rules.unwrap_or_default()),
        ])
    };
    let mut digests = vec![digest(&text), digest(&named_text)];
    digests.dedup();
    Ok(Order {
        dataset,
        rules: names(rules)?,
        spec,
        digests,
        upload: None,
    })
}

/// The order that a form is; its file is in the store.
async fn from_form(
    app: &App,
    caller: &Caller,
    (mut form, read): (Multipart, Taken),
    params: &IngestParams,
) -> Result<Order, Problem> {
    let id = Uuid::now_v7();
    let folder = format!("uploads/{}/{id}", caller.tenant_id());
    let mut fields = Map::new();
    let mut file: Option<(String, Stored)> = None;
    let most = most_bytes(app, caller).await?;
    let place = (folder.as_str(), most);
    let taken = take_fields(app, place, (&mut form, &read), &mut fields, &mut file).await;
    let order = match taken {
        Ok(()) => {
            let (params, file) = (params.clone(), file.clone());
            let order = move || order_of(id, &params, &fields, file.as_ref());
            off_the_workers(app, &Sender::of(caller), order).await
        }
        Err(problem) => Err(problem),
    };
    let order = match (order, &file) {
        (Ok(order), Some((name, stored))) => {
            let location = format!("{folder}/{name}");
            let tenant = caller.tenant_id();
            let kept = async {
                app.metadata
                    .begin_upload(tenant, id, (name, &location), &caller.actor)
                    .await?;
                let bytes = i64::try_from(stored.bytes).unwrap_or(i64::MAX);
                app.metadata
                    .complete_upload(tenant, id, (bytes, &stored.sha256), &caller.actor)
                    .await
            };
            let kept = kept.await;
            if let Err(MetadataError::StorageSpent { .. }) = &kept {
                let _ = app.metadata.forget_upload(tenant, id).await;
            }
            kept.map(|_| order).map_err(Problem::from)
        }
        (order, _) => order,
    };
    if order.is_err() {
        let _ = app.store.remove(&folder).await;
    }
    order.map(|order| Order {
        upload: Some((id, folder)),
        ..order
    })
}

fn unreadable(error: MultipartError) -> Problem {
    match BodyError::of(&error) {
        BodyError::TooSlow => Problem::too_slow(),
        BodyError::TooLarge(_) => {
            let most = ByteSize(FORM_OVERHEAD);
            Problem::too_large(format!(
                "the boundaries and headers of a form may have {most}"
            ))
        }
        BodyError::Broken => Problem::bad_request("the form cannot be read, or ends too early"),
    }
}

async fn take_fields(
    app: &App,
    (folder, most): (&str, u64),
    (form, taken): (&mut Multipart, &Taken),
    fields: &mut Map<String, Value>,
    file: &mut Option<(String, Stored)>,
) -> Result<(), Problem> {
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" if file.is_some() => {
                return Err(Problem::field("file", "one file is expected"));
            }
            "file" => {
                let name = file_name(field.file_name());
                let place = format!("{folder}/{name}");
                let count = |chunk: &Result<Bytes, MultipartError>| {
                    taken.add(chunk.as_ref().map_or(0, Bytes::len));
                };
                let content = limited(field.inspect(count), most);
                let stored = app.store.write(&place, content).await?;
                *file = Some((name, stored));
            }
            "dataset_name" | "schema_config" | "spec" | "rules" => {
                if fields.contains_key(&name) {
                    return Err(Problem::field(name, "the field is there twice"));
                }
                let text = text_of(field, taken).await?;
                fields.insert(name, Value::String(text));
            }
            _ => {
                let known = "file, dataset_name, schema_config, spec and rules are expected";
                return Err(Problem::field(name, known));
            }
        }
    }
    Ok(())
}

async fn text_of(mut field: Field<'_>, taken: &Taken) -> Result<String, Problem> {
    let mut content = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        taken.add(chunk.len());
        content.extend_from_slice(&chunk);
        if content.len() > FIELD_BYTES {
            return Err(Problem::too_large("a field that is no file may have 1 MiB"));
        }
    }
    String::from_utf8(content).map_err(|_| Problem::bad_request("a field is not UTF-8"))
}

fn order_of(
    id: Uuid,
    params: &IngestParams,
    fields: &Map<String, Value>,
    file: Option<&(String, Stored)>,
) -> Result<Order, Problem> {
    let (name, stored) =
        file.ok_or_else(|| Problem::field("file", "the form has no field file"))?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let stem = name.split('.').next().unwrap_or(name);
    let dataset = text("dataset_name").or(params.dataset_name.as_deref());
    let dataset = dataset.unwrap_or(stem).to_owned();
    let rules = text("rules").or(params.rules.as_deref());
    let mut parts = Map::new();
    if let Some(spec) = text("spec") {
        let document = planner::spec::JobSpec::document(spec, "spec")
            .map_err(|error| Problem::field("spec", error.to_string()))?;
        let Value::Object(document) = document else {
            return Err(Problem::field("spec", "expected an object"));
        };
        if let Some(source) = document.get("source")
            && source.get("location").is_some()
        {
            return Err(Problem::field(
                "spec",
                "source.location is the file of the form",
            ));
        }
        parts = document;
    }
    if let Some(config) = text("schema_config") {
        let config = DocumentLimits::WIRE.json(config);
        let config = config.map_err(|problem| Problem::field("schema_config", problem))?;
        if !config.is_object() {
            return Err(Problem::field("schema_config", "expected an object"));
        }
        let mut all = Value::Object(parts);
        overlay(&mut all, &json!({"dataset": config}));
        parts = match all {
            Value::Object(parts) => parts,
            _ => Map::new(),
        };
    }
    let digest = digest_of(&[
        ("file", &stored.sha256),
        ("name", name),
        ("dataset", &dataset),
        ("rules", rules.unwrap_or_default()),
        ("spec", text("spec").unwrap_or_default()),
        ("config", text("schema_config").unwrap_or_default()),
    ]);
    Ok(Order {
        rules: names(rules)?,
        spec: spec_of_upload(&dataset, id, &parts),
        dataset,
        digests: vec![digest],
        upload: None,
    })
}

/// Submits an order. Gives also whether an earlier request has made the job.
async fn submit(
    app: &App,
    caller: &Caller,
    order: Order,
    key: Option<String>,
    params: &IngestParams,
) -> Result<(Accepted, bool), Problem> {
    caller.needs_dataset(&order.dataset)?;
    let tenant = caller.tenant_id();
    let idempotency = key.map(|key| Idempotency {
        key,
        digests: order.digests,
    });
    // What a repeated request rests on may have changed; its job is there.
    if let Some(request) = &idempotency
        && let Some(job) = app.metadata.repeated(tenant, request).await?
    {
        return Ok((accepted(app, &job).await?, true));
    }
    if caller.datasets.is_some() && !order.rules.is_empty() {
        let detail = "rules belong to the whole tenant, and the key is limited to some datasets";
        return Err(Problem::forbidden(detail));
    }
    let mut document = Value::Object(Map::new());
    let mut stored = None;
    let known = app.metadata.dataset(tenant, &order.dataset).await?;
    // From the general to the special: the dataset's contract, the rules, the request.
    if let Some(dataset) = &known
        && let Some(contract) = app.metadata.contract(tenant, dataset.id, None).await?
    {
        overlay(&mut document, &json!({"dataset": contract.contract}));
        stored = Some(contract);
    }
    for name in &order.rules {
        let rule = app.metadata.rule(tenant, name).await?;
        let rule =
            rule.ok_or_else(|| Problem::field("rules", format!("there is no rule {name:?}")))?;
        overlay(&mut document, &rule.rule);
    }
    overlay(&mut document, &order.spec);
    let mut spec =
        protection::check(app, caller, stored.as_ref(), &order.dataset, document).await?;
    let locations = spec.source.location.0.iter();
    let uploads: Vec<Uuid> = locations.filter_map(|name| upload_of(name)).collect();
    for id in &uploads {
        let upload = app.metadata.upload(tenant, *id).await?;
        if !upload.is_some_and(|upload| caller.may_reach_upload_of(&upload.created_by)) {
            let problem = format!("there is no upload {id}");
            return Err(Problem::field("source.location", problem));
        }
    }
    pin_versions(app, caller, &mut spec).await?;
    let spec = serde_json::to_value(&spec).map_err(|_| Problem::internal())?;
    let submission = Submission {
        job: NewJob {
            id: Uuid::now_v7(),
            dataset: order.dataset,
            spec,
            source_bytes: None,
            uploads,
            priority: params.priority.unwrap_or(0),
            deadline_seconds: params.deadline_seconds.map(f64::from),
            max_attempts: app.options.max_attempts,
        },
        idempotency,
        actor: caller.actor.clone(),
    };
    let submitted = app.metadata.submit(tenant, &submission).await?;
    app.wake.notify_one();
    let answer = accepted(app, &submitted.job).await?;
    Ok((answer, submitted.repeated))
}

/// What is said of a job that was taken into the queue.
async fn accepted(app: &App, job: &Job) -> Result<Accepted, Problem> {
    let (waiting, waiting_bytes, speed) = app.metadata.outlook().await?;
    let bytes = job.source_bytes.unwrap_or(0) as f64;
    // Bytes a second of a machine that nobody has measured yet.
    let speed = speed.unwrap_or(20e6).max(1.0);
    let workers = app.options.workers.max(1) as f64;
    let seconds =
        0.5 + bytes / speed + (waiting_bytes as f64 / speed + waiting as f64 * 0.2) / workers;
    Ok(Accepted {
        job_id: job.id,
        dataset_id: job.dataset_id,
        status: job.status,
        // A float becomes the nearest whole number there is.
        estimated_completion_ms: (seconds * 1000.0) as u64,
    })
}

/// Writes the number of the version into names of versions that leave it out, so that a job means the same
/// whenever it runs.
async fn pin_versions(
    app: &App,
    caller: &Caller,
    spec: &mut planner::spec::JobSpec,
) -> Result<(), Problem> {
    for (number, step) in spec.steps.iter_mut().flatten().enumerate() {
        let planner::steps::StepSpec::NearDedupe(step) = step else {
            continue;
        };
        let Some((name, version)) = step.against.as_deref().and_then(version_of) else {
            continue;
        };
        let field = format!("steps[{number}].against");
        caller.needs_dataset(name)?;
        let dataset = app.metadata.dataset(caller.tenant_id(), name).await?;
        let latest = dataset.map_or(0, |dataset| dataset.latest_version);
        let version = version.unwrap_or(latest);
        if version < 1 || version > latest {
            return Err(Problem::field(field, "there is no such version"));
        }
        step.against = Some(format!("dataset:{name}@{version}"));
    }
    Ok(())
}
