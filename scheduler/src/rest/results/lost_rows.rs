//! The rows of a source that are not in the cleaned data: those that were taken out, and those that were set aside.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::extract::{Named, Params};
use super::super::problem::Problems;
use super::super::{App, Problem, page};
use super::output::{Output, numbered};
use crate::access::Caller;
use crate::output::RowFilter;

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
    let output = Output::of_job(app, caller, id).await?;
    let filter = RowFilter {
        row_id: params.row_id.map(numbered),
        texts: params
            .reason
            .into_iter()
            .map(|reason| ("reason", reason))
            .collect(),
        below: None,
    };
    let found = output
        .rows(app, table, filter, params.cursor, limit)
        .await?;
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
