//! The report of a job, as data and as a page.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::extract::{Named, Params};
use super::super::problem::Problems;
use super::super::{App, Problem, masking};
use super::output::Output;
use crate::access::{Action, Caller};
use crate::storage::blocking;

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
    let output = Output::of_job(&app, &caller, id).await?;
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
