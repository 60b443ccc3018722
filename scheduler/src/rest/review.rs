//! Fixes that rest on a heuristic, for people to decide on.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use chrono::{DateTime, Utc};
use planner::telemetry::METRICS;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::extract::{Document, Named, Params};
use super::ingest::Accepted;
use super::problem::Problems;
use super::results::{Cells, cells_of, column_types, published_job};
use super::{App, Problem};
use crate::access::Caller;
use crate::lifecycle::spec_of_review;
use crate::metadata::{Cell, NewJob, ReviewDecision, Reviewed, Submission};

/// Most decisions of a request.
const MOST: usize = 1000;

/// Which fixes are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReviewStatus {
    /// Nobody has decided on them.
    #[default]
    Pending,
    /// Somebody has decided on them.
    Decided,
    /// All of them.
    All,
}

/// Which fixes are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReviewParams {
    /// `pending` (the default), `decided` or `all`.
    #[param(inline)]
    status: Option<ReviewStatus>,
    /// Only cells with a confidence below this; 1 when left out.
    #[param(minimum = 0, maximum = 1)]
    confidence_below: Option<f64>,
    /// The column.
    column: Option<String>,
    /// How many cells are looked at, 1 to 1000; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What was decided on a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DecisionKind {
    /// The change stays.
    Approve,
    /// The value of the source comes back.
    Reject,
    /// Another value stands there.
    Edit,
}

impl DecisionKind {
    fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Edit => "edit",
        }
    }
}

/// A decision and whose it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DecidedView {
    /// `approve`, `reject` or `edit`.
    decision: String,
    /// The value of an edit; null for a missing one.
    value: Option<String>,
    /// Who decided.
    decided_by: String,
    /// When.
    decided_at: DateTime<Utc>,
}

impl From<Reviewed> for DecidedView {
    fn from(reviewed: Reviewed) -> Self {
        Self {
            decision: reviewed.decision.decision,
            value: reviewed.decision.value,
            decided_by: reviewed.decided_by,
            decided_at: reviewed.decided_at,
        }
    }
}

/// A fix, and what was decided on it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FixView {
    /// The changed cell.
    #[serde(flatten)]
    cell: Cell,
    /// What was decided; null while nobody has.
    review: Option<DecidedView>,
}

/// Fixes of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Fixes {
    /// The fixes: of the cells that this page looked at, those in the state that is asked for.
    fixes: Vec<FixView>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// The changed cells that rest on a heuristic, with what was decided on them.
#[utoipa::path(get, path = "/jobs/{job_id}/review", tag = "review",
    params(("job_id" = Uuid, Path, description = "Identifier of the job"), ReviewParams),
    responses((status = 200, body = Fixes), Problems))]
pub(crate) async fn fixes(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Params(params): Params<ReviewParams>,
) -> Result<Json<Fixes>, Problem> {
    let below = params.confidence_below.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&below) {
        return Err(Problem::field(
            "confidence_below",
            "a confidence is from 0 to 1",
        ));
    }
    let wanted = Cells {
        column: params.column,
        below: Some(below),
        limit: params.limit,
        cursor: params.cursor,
        ..Cells::default()
    };
    let (found, next_cursor) = cells_of(&app, &caller, id, wanted).await?;
    let decided = app.metadata.reviewed(caller.tenant_id(), id).await?;
    // Of personal data nobody sees the values, so nobody decides on them.
    let open = column_types(&app, &caller, id).await?;
    let mut decided: BTreeMap<(i64, String), Reviewed> = decided
        .into_iter()
        .map(|one| {
            let key = (one.decision.row_id, one.decision.column_name.clone());
            (key, one)
        })
        .collect();
    let status = params.status.unwrap_or_default();
    let found = found.into_iter();
    let found = found.filter(|cell| open.contains_key(&cell.column_name));
    let fixes = found.map(|cell| {
        let review = decided.remove(&(cell.row_id, cell.column_name.clone()));
        FixView {
            cell,
            review: review.map(DecidedView::from),
        }
    });
    let fixes = fixes.filter(|fix| match status {
        ReviewStatus::Pending => fix.review.is_none(),
        ReviewStatus::Decided => fix.review.is_some(),
        ReviewStatus::All => true,
    });
    Ok(Json(Fixes {
        fixes: fixes.collect(),
        next_cursor,
    }))
}

/// A decision on a changed cell.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionRequest {
    /// Number of the row in the source, from 0.
    row_id: u64,
    /// The column.
    column_name: String,
    /// What becomes of the cell.
    decision: DecisionKind,
    /// The value of an edit; null for a missing one.
    #[serde(default)]
    value: Option<String>,
}

/// Decisions on changed cells.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionsRequest {
    /// The decisions, 1 to 1000.
    #[schema(min_items = 1, max_items = 1000)]
    decisions: Vec<DecisionRequest>,
}

/// How many decisions were kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decided {
    /// How many.
    decided: usize,
}

/// Keeps decisions on cells that the job changed, over earlier ones on the same cells. They count when they are
/// published. Columns with personal data are not decided on: nobody sees their values.
#[utoipa::path(post, path = "/jobs/{job_id}/review", tag = "review", request_body = DecisionsRequest,
    params(("job_id" = Uuid, Path, description = "Identifier of the job")),
    responses((status = 200, body = Decided), Problems))]
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Document(request): Document<DecisionsRequest>,
) -> Result<Json<Decided>, Problem> {
    if !(1..=MOST).contains(&request.decisions.len()) {
        return Err(Problem::field(
            "decisions",
            "1 to 1000 decisions are expected",
        ));
    }
    let types = column_types(&app, &caller, id).await?;
    let mut decisions = Vec::new();
    for (number, one) in request.decisions.into_iter().enumerate() {
        let wrong = |problem: &str| {
            let field = format!("decisions[{number}]");
            Problem::field(field, problem.to_owned())
        };
        if one.value.as_ref().is_some_and(|value| value.contains('\0')) {
            return Err(wrong("a value has no NUL characters"));
        }
        if one.value.is_some() && one.decision != DecisionKind::Edit {
            return Err(wrong("only an edit has a value"));
        }
        let Some(column) = types.get(&one.column_name) else {
            return Err(wrong(
                "the cleaned data has no such column that may be decided on",
            ));
        };
        let wanted = Cells {
            row_id: Some(one.row_id),
            column: Some(one.column_name.clone()),
            limit: Some(1),
            ..Cells::default()
        };
        let (found, _) = cells_of(&app, &caller, id, wanted).await?;
        let cell = found
            .into_iter()
            .next()
            .ok_or_else(|| wrong("the job did not change this cell"))?;
        let value = match one.decision {
            DecisionKind::Approve => None,
            DecisionKind::Reject => cell.original_value,
            DecisionKind::Edit => one.value.clone(),
        };
        if one.decision != DecisionKind::Approve
            && planner::run::value_of(value.as_deref(), column).is_err()
        {
            let problem = format!("the value is none of the column's type, {column}");
            return Err(wrong(&problem));
        }
        decisions.push(ReviewDecision {
            row_id: i64::try_from(one.row_id).unwrap_or(i64::MAX),
            column_name: one.column_name,
            decision: one.decision.name().to_owned(),
            value: one.value,
        });
    }
    app.metadata
        .decide(caller.tenant_id(), id, &decisions, &caller.actor)
        .await?;
    let tenant = METRICS.tenant(&caller.tenant.name);
    for one in &decisions {
        METRICS
            .review_decisions
            .count([tenant, one.decision.as_str()]);
    }
    Ok(Json(Decided {
        decided: decisions.len(),
    }))
}

/// Makes the next version of the dataset from the output of the job and what was decided on it so far. Cells that
/// somebody decided on have the source `human_override` in its provenance.
#[utoipa::path(post, path = "/jobs/{job_id}/review/publish", tag = "review",
    params(("job_id" = Uuid, Path, description = "Identifier of the job whose output was reviewed")),
    responses((status = 202, body = Accepted, headers(("Location" = String, description = "The job that makes the version"))),
        Problems))]
pub(crate) async fn publish(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Accepted>), Problem> {
    let job = published_job(&app, &caller, id).await?;
    let tenant = caller.tenant_id();
    let decided = app.metadata.reviewed(tenant, id).await?;
    if decided.is_empty() {
        return Err(Problem::conflict("nobody has decided on anything yet"));
    }
    let decided = decided.into_iter().map(|one| one.decision);
    let decided: Vec<ReviewDecision> = decided.collect();
    let submission = Submission {
        job: NewJob {
            id: Uuid::now_v7(),
            dataset: job.dataset_name,
            spec: spec_of_review(id, &decided),
            source_bytes: None,
            uploads: Vec::new(),
            priority: 0,
            deadline_seconds: None,
            max_attempts: app.options.max_attempts,
        },
        idempotency: None,
        actor: caller.actor.clone(),
    };
    let job = app.metadata.submit(tenant, &submission).await?.job;
    app.wake.notify_one();
    let location = format!("/api/v1/jobs/{}", job.id);
    let accepted = Accepted::soon(&job);
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(accepted),
    ))
}
