//! A statement on its way: parsed, planned, run.

mod change;
mod context;
mod copy;
mod create;
mod execute;
mod ingest;
mod insert;
mod kind;
mod plan;
mod record;
mod relation_planner;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement as Sql;
use futures::future::BoxFuture;
use planner::run::Progress;
use tokio::sync::Mutex;

pub use ingest::{Ingest, IngestMode};
pub(crate) use kind::{Datasets, KINDS};

use crate::error::{Error, Result};
use crate::front::bind::{bind, literal, parameter_count};
use crate::front::parse::{Command, parse_all};
use crate::served::check_length;
use crate::session::Session;
use context::StatementContext;
use plan::QueryPlan;

/// A statement that was parsed.
#[derive(Debug, Clone)]
pub struct Statement {
    session: Session,
    sql: String,
    command: Command,
    progress: Arc<Progress>,
}

/// A statement that was planned: its result's schema and its parameters are known.
#[derive(Debug)]
pub struct Planned {
    statement: Statement,
    schema: SchemaRef,
    parameters: Schema,
    /// The plan, until it is run.
    fresh: Mutex<Option<QueryPlan>>,
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

impl Answer {
    /// Returns the number of rows that were written.
    pub(crate) fn rows_written(self) -> Result<u64> {
        match self {
            Self::Written(rows) => Ok(rows),
            Self::Rows(_) | Self::Done => Err(Error::Bug("rows that were sent are written")),
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rows(rows) => formatter.debug_tuple("Rows").field(&rows.schema()).finish(),
            Self::Written(rows) => formatter.debug_tuple("Written").field(rows).finish(),
            Self::Done => formatter.write_str("Done"),
        }
    }
}

impl Session {
    /// Parses a text of one statement.
    ///
    /// # Errors
    /// When the text is not one statement, or too long.
    pub fn statement(&self, sql: &str) -> Result<Statement> {
        if self.served().is_some() {
            check_length(sql)?;
        }
        let mut statements = Statement::parse(self, sql)?;
        match (statements.pop(), statements.len()) {
            (Some(statement), 0) => Ok(statement),
            (None, _) => Err(Error::Invalid("a statement is expected".to_owned())),
            (Some(_), others) => Err(Error::Invalid(format!(
                "one statement is expected, not {}",
                others + 1
            ))),
        }
    }

    /// Parses a text of any number of statements.
    ///
    /// # Errors
    /// When a part of the text is not a statement, or the text is too long.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>> {
        Statement::parse(self, sql)
    }

    /// Parses, plans and runs one statement.
    ///
    /// # Errors
    /// When the statement is wrong, is refused, or fails.
    pub async fn execute(&self, sql: &str) -> Result<Answer> {
        self.statement(sql)?.plan().await?.run(&[]).await
    }
}

impl Statement {
    /// Parses a text of any number of statements.
    fn parse(session: &Session, sql: &str) -> Result<Vec<Self>> {
        let commands = parse_all(sql)?.into_iter();
        let statements = commands.map(|(sql, command)| Self {
            session: session.clone(),
            sql,
            command,
            progress: Arc::default(),
        });
        Ok(statements.collect())
    }

    /// The statement as text.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Whether it gives rows; the others change something.
    pub fn is_query(&self) -> bool {
        match &self.command {
            Command::ShowSpecs => true,
            Command::CreateSpec { .. } | Command::DropSpec { .. } => false,
            Command::Sql(statement) => plan::gives_rows(statement),
        }
    }

    /// How far it is; cancelling it ends the statement.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Plans it. What is cleaned is looked at, so that the types of the result are known.
    pub fn plan(self) -> BoxFuture<'static, Result<Planned>> {
        Box::pin(self.plan_it())
    }

    async fn plan_it(self) -> Result<Planned> {
        let served = self.session.served().is_some();
        let described = served.then(|| kind::describe(&self.command, &self.sql));
        let session = self.session.clone();
        let planned = self.plan_checked().await;
        if let (Err(error), Some(described)) = (&planned, described) {
            record::refused(&session, described, error).await;
        }
        planned
    }

    /// The session that it runs in.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    async fn plan_checked(self) -> Result<Planned> {
        self.session.refresh().await?;
        let mut statement = self.resolved()?;
        kind::check(&statement.session, &statement.command)?;
        let Command::Sql(parsed) = &mut statement.command else {
            let schema = match statement.command {
                Command::ShowSpecs => change::specs_schema(),
                _ => Arc::new(Schema::empty()),
            };
            return Ok(Planned::new(statement, schema, Schema::empty(), None));
        };
        let parameters = parameter_count(parsed)?;
        if !plan::gives_rows(parsed) {
            return Ok(Planned::new(
                statement,
                Arc::new(Schema::empty()),
                open_parameters(parameters),
                None,
            ));
        }
        let context = StatementContext::new(&statement.session, &statement.progress, parsed);
        if parameters == 0 {
            let query = plan::plan(&context, (**parsed).clone()).await?;
            let schema = query.schema();
            return Ok(Planned::new(
                statement,
                schema,
                Schema::empty(),
                Some(query),
            ));
        }
        let (schema, parameters) = plan::describe(&context, parsed, parameters).await?;
        Ok(Planned::new(statement, schema, parameters, None))
    }

    /// `EXECUTE name(…)` is the statement that was prepared under the name, with its values.
    fn resolved(self) -> Result<Self> {
        let Command::Sql(parsed) = &self.command else {
            return Ok(self);
        };
        let Parsed::Statement(sql) = parsed.as_ref() else {
            return Ok(self);
        };
        let Sql::Execute {
            name: Some(name),
            parameters,
            ..
        } = sql.as_ref()
        else {
            return Ok(self);
        };
        let mut prepared = self.session.prepared(&name.to_string())?;
        bind(&mut prepared, parameters)?;
        Ok(Self {
            command: Command::Sql(Box::new(prepared)),
            ..self
        })
    }
}

/// Parameters of types that nothing tells.
fn open_parameters(count: usize) -> Schema {
    let fields = (1..=count).map(|number| Field::new(format!("${number}"), DataType::Null, true));
    Schema::new(fields.collect::<Vec<_>>())
}

impl Planned {
    fn new(
        statement: Statement,
        schema: SchemaRef,
        parameters: Schema,
        fresh: Option<QueryPlan>,
    ) -> Self {
        Self {
            statement,
            schema,
            parameters,
            fresh: Mutex::new(fresh),
        }
    }

    /// The statement.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Schema of the rows that it gives; of a statement that changes something, without fields.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Name (`$1`, `$2`, …) and type of each parameter, in order; `Null` where the type is open.
    pub fn parameters(&self) -> Result<Schema> {
        Ok(self.parameters.clone())
    }

    /// Runs it with these values of its parameters, in order. A statement is planned once more where
    /// it has run before, or has parameters.
    pub fn run<'a>(&'a self, parameters: &'a [ScalarValue]) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(self.run_it(parameters))
    }

    async fn run_it(&self, parameters: &[ScalarValue]) -> Result<Answer> {
        let session = &self.statement.session;
        if session.served().is_none() {
            return self.answer(parameters).await;
        }
        let described = kind::describe(&self.statement.command, &self.statement.sql);
        match record::begin(session, described).await? {
            Some(running) => running.follow(self.answer(parameters).await).await,
            None => self.answer(parameters).await,
        }
    }

    async fn answer(&self, parameters: &[ScalarValue]) -> Result<Answer> {
        let statement = &self.statement;
        let Command::Sql(parsed) = &statement.command else {
            statement.session.refresh().await?;
            return change::run_spec(&statement.session, &statement.command).await;
        };
        let wanted = self.parameters.fields().len();
        if parameters.len() != wanted {
            return Err(Error::Invalid(format!(
                "the statement has {wanted} parameters, and {} values were given",
                parameters.len()
            )));
        }
        if let Some(query) = self.fresh.lock().await.take() {
            return query.run().await.map(Answer::Rows);
        }
        statement.session.refresh().await?;
        let mut parsed = parsed.as_ref().clone();
        if !parameters.is_empty() {
            let values = parameters.iter().map(literal).collect::<Result<Vec<_>>>()?;
            bind(&mut parsed, &values)?;
        }
        let context = StatementContext::new(&statement.session, &statement.progress, &parsed);
        if plan::gives_rows(&parsed) {
            let query = plan::plan(&context, parsed).await?;
            return query.run().await.map(Answer::Rows);
        }
        change::run(context, parsed).await
    }
}
