//! The session that tests ask their questions in: DataFusion's, with the functions of this crate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::registry::{aggregate_functions, scalar_functions, window_functions};

/// Returns a session of small batches and several partitions, so that partial results are merged.
pub fn session() -> SessionContext {
    let config = SessionConfig::new()
        .with_batch_size(3)
        .with_target_partitions(3);
    let session = SessionContext::new_with_config(config);
    for function in scalar_functions() {
        session.register_udf(function.as_ref().clone());
    }
    for function in aggregate_functions() {
        session.register_udaf(function.as_ref().clone());
    }
    for function in window_functions() {
        session.register_udwf(function.as_ref().clone());
    }
    session
}

/// Returns the rows of a statement, one line each.
///
/// # Errors
/// The message of the statement's error.
pub async fn ask(statement: &str) -> Result<Vec<String>, String> {
    ask_in(&session(), statement).await
}

/// Returns the rows of a statement in a session that has tables.
///
/// # Errors
/// The message of the statement's error.
pub async fn ask_in(session: &SessionContext, statement: &str) -> Result<Vec<String>, String> {
    let text = |error: datafusion::error::DataFusionError| error.to_string();
    let table = session.sql(statement).await.map_err(text)?;
    let batches = table.collect().await.map_err(text)?;
    Ok(batches.iter().flat_map(lines).collect())
}

/// Cells with a bar between them, a null by its name.
fn lines(batch: &RecordBatch) -> Vec<String> {
    let cell = |row: usize, column: usize| {
        let column = batch.column(column);
        if column.is_null(row) || column.data_type() == &DataType::Null {
            return "null".to_owned();
        }
        array_value_to_string(column, row).unwrap()
    };
    (0..batch.num_rows())
        .map(|row| {
            let cells: Vec<String> = (0..batch.num_columns())
                .map(|column| cell(row, column))
                .collect();
            cells.join(" | ")
        })
        .collect()
}
