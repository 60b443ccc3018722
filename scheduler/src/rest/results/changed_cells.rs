//! The cells that a job changed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::extract::{Named, Params};
use super::super::problem::Problems;
use super::super::{App, Problem, page};
use super::output::{Output, numbered, record};
use crate::access::Caller;
use crate::metadata::{Cell, CellFilter, ColumnCount};
use crate::output::RowFilter;

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
pub(in super::super) struct Cells {
    pub(in super::super) row_id: Option<u64>,
    pub(in super::super) column: Option<String>,
    pub(in super::super) transformation_id: Option<String>,
    pub(in super::super) below: Option<f64>,
    pub(in super::super) limit: Option<u32>,
    pub(in super::super) cursor: Option<String>,
}

/// Changed cells of a job, and where the next page begins. Reading of columns with personal data is recorded.
pub(in super::super) async fn cells_of(
    app: &App,
    caller: &Caller,
    id: Uuid,
    wanted: Cells,
) -> Result<(Vec<Cell>, Option<String>), Problem> {
    let limit = page::limit(wanted.limit)?;
    let output = Output::of_job(app, caller, id).await?;
    let tenant = caller.tenant_id();
    let private = output.private_columns(app).await?;
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
    let (found, next) = output
        .rows(app, "provenance", filter, wanted.cursor, limit)
        .await?;
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
