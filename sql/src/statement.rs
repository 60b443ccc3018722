//! A statement on its way: parsed, planned, run.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use planner::run::Progress;

use crate::error::{Error, Result};
use crate::session::Session;

/// A statement that was parsed.
#[derive(Debug, Clone)]
pub struct Statement {
    session: Session,
    sql: String,
    progress: Arc<Progress>,
}

/// A statement that was planned: its result's schema and its parameters are known.
#[derive(Debug)]
pub struct Planned {
    statement: Statement,
    schema: SchemaRef,
}

/// What a statement gives.
pub enum Answer {
    /// Rows, streamed; dropping the stream ends the work.
    Rows(SendableRecordBatchStream),
    /// Rows that were written.
    Written(u64),
    /// Nothing but that it is done: something was made, dropped or set.
    Done,
}

impl Statement {
    pub(crate) fn parse(session: &Session, sql: &str) -> Result<Self> {
        Ok(Self {
            session: session.clone(),
            sql: sql.to_owned(),
            progress: Arc::default(),
        })
    }

    /// The statement as text.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Whether it gives rows; the others change something.
    pub fn is_query(&self) -> bool {
        true
    }

    /// How far it is; cancelling it ends the statement.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Plans it. What is cleaned is looked at, so that the types of the result are known.
    pub async fn plan(self) -> Result<Planned> {
        Ok(Planned {
            statement: self,
            schema: Arc::new(Schema::empty()),
        })
    }
}

impl Planned {
    /// The statement.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Schema of the rows that it gives; of a statement that changes something, without fields.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Name (`$1`, `$2`, … or `$name`) and type of each parameter, in order; `Null` where the type is open.
    pub fn parameters(&self) -> Result<Schema> {
        Ok(Schema::empty())
    }

    /// Runs it with these values of its parameters, in order. A statement is planned once more where
    /// it has run before.
    pub async fn run(&self, parameters: &[ScalarValue]) -> Result<Answer> {
        let _ = (&self.statement.session, parameters);
        Err(Error::Bug("not yet"))
    }
}
