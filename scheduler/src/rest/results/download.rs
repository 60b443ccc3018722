//! A whole table of an output as one file.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::extract::{Named, Params};
use super::super::problem::Problems;
use super::super::{App, Problem};
use super::output::{Output, record};
use crate::access::{Action, Caller};
use crate::output::{Format, send};

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
    let output = Output::of_job(&app, &caller, id).await?;
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
