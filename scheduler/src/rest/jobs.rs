//! Jobs, over the API: how far they are, and stopping them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use chrono::{DateTime, Utc};
use futures::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::extract::{Named, Params};
use super::gate::{Checked, RECHECK};
use super::problem::Problems;
use super::{App, Problem, page};
use crate::access::Caller;
use crate::lifecycle::{JobFailure, job_ended};
use crate::metadata::{CancelOutcome, Job, JobFilter, JobStatus, MetadataError};

/// Poll interval of a job that a client watches.
const LOOK: Duration = Duration::from_millis(500);

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct ProgressView {
    /// Share of the learning that is done, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pass1_progress: f64,
    /// Share of the writing that is done, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pass2_progress: f64,
    /// Seconds until it is done; null while nobody can tell.
    estimated_seconds_remaining: Option<f64>,
    /// Rows that the pass at hand has seen.
    #[serde(skip_serializing)]
    #[schema(ignore)]
    rows_processed: u64,
}

/// What a job found, in figures; those that are known only at the end are null until then.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct MetricsView {
    /// Rows of the source, or, while the job runs, rows that the pass at hand has seen.
    rows_processed: u64,
    /// Rows of the cleaned data.
    rows_cleaned: Option<u64>,
    /// Rows that were taken out.
    rows_dropped: Option<u64>,
    /// Rows that were set aside.
    rows_quarantined: Option<u64>,
    /// Duplicates and near duplicates.
    duplicates_found: Option<u64>,
    /// Near duplicates.
    near_duplicates_found: Option<u64>,
    /// Cells that were filled.
    imputations_applied: Option<u64>,
    /// Cells that differ from the source.
    cells_modified: Option<u64>,
    /// Changed cells with a confidence below 1.
    low_confidence_fixes: Option<u64>,
    /// Seconds that the job took.
    seconds: Option<f64>,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobView {
    /// Identifier.
    pub(crate) job_id: Uuid,
    /// The dataset that it makes a version of.
    dataset_id: Uuid,
    /// Its name.
    dataset_name: String,
    /// Where it is in its life.
    pub(crate) status: JobStatus,
    /// Jobs of the tenant with a larger number come first.
    priority: i64,
    /// Who submitted it.
    created_by: String,
    /// When it was submitted.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
    /// When a worker first took it.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// When it is too late.
    deadline_at: Option<DateTime<Utc>>,
    /// How often a worker has taken it.
    attempt: i64,
    /// Whether somebody wants it to stop.
    cancel_requested: bool,
    /// How far it is.
    progress: ProgressView,
    /// What it found, in figures.
    metrics: MetricsView,
    /// Why it failed, or why its last attempt did.
    error: Option<JobFailure>,
    /// Digest of the tables of its output: the same for every run of the job.
    manifest_digest: Option<String>,
    /// The version of the dataset that it made.
    version: Option<i64>,
    /// The trace that the job is part of, from the request that submitted it on; null where nobody traces.
    trace_id: Option<String>,
}

fn read<T: serde::de::DeserializeOwned>(document: Option<Value>) -> Option<T> {
    document.and_then(|document| serde_json::from_value(document).ok())
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let mut progress: ProgressView = read(job.progress).unwrap_or_default();
        let mut metrics: MetricsView = read(job.metrics).unwrap_or_default();
        if job.status == JobStatus::Success {
            progress = ProgressView {
                pass1_progress: 1.0,
                pass2_progress: 1.0,
                estimated_seconds_remaining: Some(0.0),
                rows_processed: 0,
            };
        } else {
            metrics.rows_processed = progress.rows_processed;
        }
        Self {
            job_id: job.id,
            dataset_id: job.dataset_id,
            dataset_name: job.dataset_name,
            status: job.status,
            priority: job.priority,
            created_by: job.created_by,
            created_at: job.created_at,
            updated_at: job.updated_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            deadline_at: job.deadline_at,
            attempt: job.attempt,
            cancel_requested: job.cancel_requested,
            progress,
            metrics,
            error: read(job.error),
            manifest_digest: job.manifest_digest,
            version: job.version,
            // The second part of version-trace-span-flags.
            trace_id: job
                .traceparent
                .and_then(|parent| parent.split('-').nth(1).map(str::to_owned)),
        }
    }
}

/// Which jobs are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobsParams {
    /// In this state.
    #[param(inline)]
    status: Option<JobStatus>,
    /// Of the dataset with this name.
    dataset_name: Option<String>,
    /// How many at most, 1 to 1000; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Jobs {
    /// The jobs, newest first.
    jobs: Vec<JobView>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// The job of an identifier, if whoever asks may see it.
pub(super) async fn find(app: &App, caller: &Caller, id: Uuid) -> Result<Job, Problem> {
    let job = app.metadata.job(caller.tenant_id(), id).await?;
    job.filter(|job| caller.may_touch(&job.dataset_name))
        .ok_or_else(|| Problem::not_found("job"))
}

/// The jobs of the tenant, newest first.
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(JobsParams),
    responses((status = 200, body = Jobs), Problems))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(params): Params<JobsParams>,
) -> Result<Json<Jobs>, Problem> {
    let limit = page::limit(params.limit)?;
    let filter = JobFilter {
        status: params.status,
        dataset: params.dataset_name,
        datasets: caller.datasets.clone(),
        before: page::place(params.cursor.as_deref())?,
    };
    let found = app
        .metadata
        .jobs(caller.tenant_id(), &filter, limit + 1)
        .await?;
    let (found, next_cursor) = page::cut(found, limit, |job| (job.created_at, job.id));
    Ok(Json(Jobs {
        jobs: found.into_iter().map(JobView::from).collect(),
        next_cursor,
    }))
}

/// A job: its state, how far it is, and what it found.
#[utoipa::path(get, path = "/jobs/{job_id}", tag = "jobs",
    params(("job_id" = Uuid, Path, description = "Identifier of the job")),
    responses((status = 200, body = JobView), Problems))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<Json<JobView>, Problem> {
    Ok(Json(find(&app, &caller, id).await?.into()))
}

/// Stops a job. One that waits is cancelled at once; one that runs stops soon, and publishes nothing from now on.
#[utoipa::path(delete, path = "/jobs/{job_id}", tag = "jobs",
    params(("job_id" = Uuid, Path, description = "Identifier of the job")),
    responses((status = 202, body = JobView, description = "The job is cancelled, or will be"), Problems))]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    find(&app, &caller, id).await?;
    let tenant = caller.tenant_id();
    if let CancelOutcome::Ended(status) = app.metadata.cancel(tenant, id, &caller.actor).await? {
        let detail = format!("the job has ended already: {}", status.name());
        return Err(Problem::conflict(detail));
    }
    let job = find(&app, &caller, id).await?;
    if job.attempt == 0 {
        // No worker will tell.
        job_ended(&caller.tenant.name, job.status, None);
    }
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

/// A try at a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttemptView {
    /// Number, from 1.
    attempt: i64,
    /// The worker.
    owner: String,
    /// When it began.
    started_at: DateTime<Utc>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// How it ended: published, failed, lost, cancelled or released; null while it runs.
    outcome: Option<String>,
    /// Why it failed.
    error: Option<JobFailure>,
}

/// The tries at a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attempts {
    /// The attempts, in order.
    attempts: Vec<AttemptView>,
}

/// The attempts at a job.
#[utoipa::path(get, path = "/jobs/{job_id}/attempts", tag = "jobs",
    params(("job_id" = Uuid, Path, description = "Identifier of the job")),
    responses((status = 200, body = Attempts), Problems))]
pub(crate) async fn attempts(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<Json<Attempts>, Problem> {
    find(&app, &caller, id).await?;
    let attempts = app.metadata.attempts(caller.tenant_id(), id).await?;
    let attempts = attempts.into_iter().map(|attempt| AttemptView {
        attempt: attempt.attempt,
        owner: attempt.owner,
        started_at: attempt.started_at,
        finished_at: attempt.finished_at,
        outcome: attempt.outcome,
        error: read(attempt.error),
    });
    Ok(Json(Attempts {
        attempts: attempts.collect(),
    }))
}

/// The events of a job as they happen (server-sent events), until it ends or the credential of the request does. Each has a number; with
/// `Last-Event-ID` only those behind it come. Between them come events `progress` without a number, whose data is
/// the job.
#[utoipa::path(get, path = "/jobs/{job_id}/events", tag = "jobs",
    params(("job_id" = Uuid, Path, description = "Identifier of the job"),
        ("Last-Event-ID" = Option<i64>, Header, description = "Number of the last event that came")),
    responses((status = 200, content_type = "text/event-stream", body = String), Problems))]
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    find(&app, &caller, id).await?;
    let last = headers.get("last-event-id");
    let last = last
        .and_then(|id| id.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    let stream = follow(app, caller, id, last);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// What a watcher of a job has heard of.
struct Watch {
    app: Arc<App>,
    caller: Caller,
    checked: Checked,
    job: Uuid,
    last: i64,
    told: Option<(JobStatus, ProgressView)>,
    ready: std::collections::VecDeque<Event>,
    ended: bool,
}

fn follow(
    app: Arc<App>,
    caller: Caller,
    job: Uuid,
    last: i64,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let watch = Watch {
        app,
        caller,
        checked: Checked::now(),
        job,
        last,
        told: None,
        ready: std::collections::VecDeque::new(),
        ended: false,
    };
    futures::stream::unfold(watch, |mut watch| async move {
        let mut first = watch.told.is_none();
        loop {
            if let Some(event) = watch.ready.pop_front() {
                return Some((Ok(event), watch));
            }
            if watch.ended || watch.app.is_stopping() {
                return None;
            }
            if !first {
                tokio::time::sleep(LOOK).await;
            }
            first = false;
            // A store that does not answer now may do so later.
            if let Err(error) = watch.look().await
                && !error.is_transient()
            {
                return None;
            }
        }
    })
}

impl Watch {
    async fn look(&mut self) -> Result<(), MetadataError> {
        let (tenant, id) = (self.caller.tenant_id(), self.job);
        // The job first: what ends it has its event by then.
        let job = self.app.metadata.job(tenant, id).await?;
        let job = job.ok_or(MetadataError::NotFound(String::new()))?;
        let ended = job.status.is_final();
        for event in self.app.metadata.events(tenant, id, self.last).await? {
            self.last = event.seq;
            let told = Event::default()
                .id(event.seq.to_string())
                .event(&event.kind)
                .json_data(&event);
            self.ready.extend(told.ok());
        }
        let view = JobView::from(job);
        let now = (view.status, view.progress.clone());
        if self.told.as_ref() != Some(&now) || ended {
            let told = Event::default().event("progress").json_data(&view);
            self.ready.extend(told.ok());
            self.told = Some(now);
        }
        self.ended = ended;
        // Nothing is told to whoever may no longer come in, and they do not stay to wait either.
        let due = !self.ready.is_empty() || self.checked.is_older_than(RECHECK);
        if due && !self.checked.again(&self.app, &self.caller).await {
            self.ready.clear();
            self.ended = true;
        }
        Ok(())
    }
}
