//! Rows that a client sends for a table, without a statement of SQL.

use datafusion::execution::SendableRecordBatchStream;

use super::Answer;
use super::context::StatementContext;
use super::create::store_rows;
use super::insert::{append, conform, file_table};
use super::kind::{INGESTED, check_target};
use super::record::{self, Described};
use crate::catalog::decode_schema;
use crate::error::{Error, Result};
use crate::grants::dataset_of;
use crate::session::Session;

/// Rows that a client sends for a table.
pub struct Ingest {
    /// Name of the table.
    pub table: String,
    /// Schema of the catalog that the table lies in; the session's when none.
    pub schema: Option<String>,
    /// What becomes of a table that is there, or is not.
    pub mode: IngestMode,
    /// The rows.
    pub rows: SendableRecordBatchStream,
}

/// What becomes of the table that rows are sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestMode {
    /// It is made; that it is there is an error.
    Create,
    /// It is there, and gets the rows; that it is not there is an error.
    Append,
    /// It is made anew, whether it is there or not.
    Replace,
    /// It gets the rows, and is made where it is not there.
    CreateAppend,
}

impl Session {
    /// Puts rows into a table; gives their number.
    ///
    /// # Errors
    /// When the login may not fill the table, the mode does not fit it, or the rows do not fit its columns.
    pub async fn ingest(&self, ingest: Ingest) -> Result<u64> {
        self.refresh().await?;
        let schema = match &ingest.schema {
            Some(schema) => schema.clone(),
            None => self.default_schema(),
        };
        let name = (schema, ingest.table.clone());
        let dataset = dataset_of(&name.0, &name.1);
        let described = Described {
            kind: INGESTED.name,
            tables: record::names([dataset.clone()]),
            shape: String::new(),
        };
        if let Some(served) = self.served() {
            let checked = INGESTED.check(&served.grants);
            let checked = checked.and_then(|()| check_target(&served.grants, &dataset));
            if let Err(error) = checked {
                record::refused(self, described, &error).await;
                return Err(error);
            }
        }
        let running = record::begin(self, described).await?;
        let written = self.ingest_rows(ingest, name).await;
        let answer = written.map(Answer::Written);
        match running {
            Some(running) => running.follow(answer).await?,
            None => answer?,
        }
        .rows_written()
    }

    async fn ingest_rows(&self, ingest: Ingest, name: (String, String)) -> Result<u64> {
        let exists = file_table(self, &name.0, &name.1);
        let exists = match exists {
            Err(Error::NotFound(_)) => None,
            other => Some(other?),
        };
        let context = StatementContext::of_session(self);
        match (ingest.mode, exists) {
            (IngestMode::Append | IngestMode::CreateAppend, Some(table)) => {
                let schema = decode_schema(&table.schema)?;
                let rows = conform(ingest.rows, &schema, &name.1)?;
                append(&context, &table, rows).await
            }
            (IngestMode::Append, None) => {
                Err(Error::NotFound(format!("there is no table {}", name.1)))
            }
            (IngestMode::Create, Some(_)) => Err(Error::Conflict(format!(
                "there is a table {} already",
                name.1
            ))),
            (mode, _) => {
                let replace = mode == IngestMode::Replace;
                store_rows(&context, &name, vec![ingest.rows], (replace, false)).await
            }
        }
    }
}
