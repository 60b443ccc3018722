//! One person's session: settings, and the tables of their tenant.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;

use crate::engine::{Engine, Identity};
use crate::error::{Error, Result};
use crate::statement::Statement;

/// One person's session. Cheap to clone: the clones are the same session.
#[derive(Clone)]
pub struct Session {
    engine: Engine,
    identity: Arc<Identity>,
    context: SessionContext,
}

/// Rows that a client sends for a table.
pub struct Ingest {
    /// Name of the table, perhaps with a schema.
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
    pub(crate) fn new(engine: Engine, identity: Identity) -> Result<Self> {
        Ok(Self {
            engine,
            identity: Arc::new(identity),
            context: SessionContext::new(),
        })
    }

    /// Who works in it.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine's session: catalogs, functions and settings.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Parses a text of one statement.
    pub fn statement(&self, sql: &str) -> Result<Statement> {
        Statement::parse(self, sql)
    }

    /// Parses a text of any number of statements.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>> {
        Ok(vec![self.statement(sql)?])
    }

    /// Parses, plans and runs one statement.
    pub async fn execute(&self, sql: &str) -> Result<crate::Answer> {
        self.statement(sql)?.plan().await?.run(&[]).await
    }

    /// Puts rows into a table; gives their number.
    pub async fn ingest(&self, ingest: Ingest) -> Result<u64> {
        let _: SchemaRef = ingest.rows.schema();
        Err(Error::Bug("not yet"))
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Session")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
