//! Rows that a client sends for a table.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use super::status::unreadable;
use crate::error::Error;
use crate::session::Session;
use crate::statement::{Ingest, IngestMode};

/// The batches that a client sends; none, and no schema, where it sends no more than a command.
pub(super) struct Sent {
    batches: FlightRecordBatchStream,
    /// Ends when nothing was sent for too long.
    idle: Pin<Box<Sleep>>,
    limits: SentLimits,
}

/// How much a client sends, and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct SentLimits {
    /// Most bytes of one call.
    pub(super) bytes: u64,
    /// Longest time between two batches.
    pub(super) idle: Duration,
}

impl Sent {
    pub(super) fn new(messages: PeekableFlightDataStream, limits: SentLimits) -> Self {
        let mut left = limits.bytes;
        let messages = messages
            .map(
                move |message: Result<FlightData, Status>| -> Result<FlightData, Status> {
                    let message = message?;
                    let bytes = message.data_header.len() + message.data_body.len();
                    left = left.checked_sub(bytes as u64).ok_or_else(|| {
                        Status::resource_exhausted(format!(
                            "more than {} bytes were sent in one call",
                            limits.bytes
                        ))
                    })?;
                    Ok(message)
                },
            )
            // A message without a header is a command, or nothing but a sign of life.
            .try_filter(|message| futures::future::ready(!message.data_header.is_empty()))
            .map_err(|status: Status| FlightError::from(status));
        Self {
            batches: FlightRecordBatchStream::new_from_flight_data(messages),
            idle: Box::pin(tokio::time::sleep(limits.idle)),
            limits,
        }
    }

    /// Schema of the batches, once it has come.
    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.batches.schema()
    }
}

impl Stream for Sent {
    type Item = Result<RecordBatch, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The decoder trusts lengths within a message, which a client may have wrong.
        let next = catch_unwind(AssertUnwindSafe(|| self.batches.poll_next_unpin(context)));
        match next {
            Ok(Poll::Ready(next)) => {
                let again = Instant::now() + self.limits.idle;
                self.idle.as_mut().reset(again);
                Poll::Ready(next.map(|batch| batch.map_err(unreadable)))
            }
            Ok(Poll::Pending) if self.idle.as_mut().poll(context).is_ready() => {
                let status = Status::deadline_exceeded(format!(
                    "nothing was sent for {} s",
                    self.limits.idle.as_secs()
                ));
                Poll::Ready(Some(Err(status)))
            }
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => {
                let status = Status::invalid_argument("the rows that were sent cannot be read");
                Poll::Ready(Some(Err(status)))
            }
        }
    }
}

/// What a client wants of a table, and the rows for it.
pub(super) async fn ingest(
    session: &Session,
    command: CommandStatementIngest,
    (sent, limits): (PeekableFlightDataStream, SentLimits),
) -> Result<Ingest, Status> {
    let mode = mode(&command)?;
    if command.temporary {
        return Err(Status::unimplemented("there are no temporary tables"));
    }
    if command.transaction_id.is_some() {
        return Err(no_transactions());
    }
    let mut batches = Sent::new(sent, limits);
    // The schema comes with the first batch, or alone.
    let first = batches.next().await.transpose()?;
    let schema = match (&first, batches.schema()) {
        (Some(batch), _) => batch.schema(),
        (None, Some(schema)) => schema.clone(),
        (None, None) => return Err(Status::invalid_argument("no rows and no schema were sent")),
    };
    if schema.fields().is_empty() {
        return Err(Status::invalid_argument("a table needs a column"));
    }
    let schema = nullable(&schema);
    let told = Arc::clone(&schema);
    let rows = futures::stream::iter(first.map(Ok))
        .chain(batches)
        .map(move |batch| match batch {
            Ok(batch) => Ok(batch.with_schema(Arc::clone(&told))?),
            Err(status) => Err(DataFusionError::from(refused(&status))),
        });
    Ok(Ingest {
        table: command.table,
        schema: schema_name(session, command.catalog, command.schema)?,
        mode,
        rows: Box::pin(RecordBatchStreamAdapter::new(schema, rows)),
    })
}

pub(super) fn no_transactions() -> Status {
    Status::unimplemented("there are no transactions: each statement stands for itself")
}

/// A client that goes away, or sends what cannot be read, ends the statement.
fn refused(status: &Status) -> Error {
    match status.code() {
        tonic::Code::Cancelled => Error::Planner(planner::Error::Cancelled),
        tonic::Code::ResourceExhausted => Error::Exhausted(status.message().to_owned()),
        _ => Error::Invalid(format!("the rows that were sent: {}", status.message())),
    }
}

/// Columns of a table may be null unless a statement says otherwise, whatever the first rows are like.
fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema
        .fields()
        .iter()
        .map(|field| match field.is_nullable() {
            true => Arc::clone(field),
            false => Arc::new(field.as_ref().clone().with_nullable(true)),
        });
    let fields: Vec<FieldRef> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The schema to look in. Tables are sent for the session's own catalog only.
fn schema_name(
    session: &Session,
    catalog: Option<String>,
    schema: Option<String>,
) -> Result<Option<String>, Status> {
    let own = session.context().state();
    let own = &own.config_options().catalog.default_catalog;
    match catalog.filter(|catalog| !catalog.is_empty() && catalog != own) {
        Some(other) => Err(Status::not_found(format!(
            "rows are sent for tables of the catalog {own:?}, not of {other:?}"
        ))),
        None => Ok(schema.filter(|schema| !schema.is_empty())),
    }
}

fn mode(command: &CommandStatementIngest) -> Result<IngestMode, Status> {
    let options = command.table_definition_options.unwrap_or_default();
    let absent = TableNotExistOption::try_from(options.if_not_exist);
    let there = TableExistsOption::try_from(options.if_exists);
    let (Ok(absent), Ok(there)) = (absent, there) else {
        return Err(Status::invalid_argument(
            "the table's options cannot be read",
        ));
    };
    let create = absent != TableNotExistOption::Fail;
    match (there, create) {
        (TableExistsOption::Unspecified | TableExistsOption::Fail, true) => Ok(IngestMode::Create),
        (TableExistsOption::Append, true) => Ok(IngestMode::CreateAppend),
        (TableExistsOption::Append, false) => Ok(IngestMode::Append),
        (TableExistsOption::Replace, true) => Ok(IngestMode::Replace),
        (_, false) => Err(Status::invalid_argument(
            "a table that must be there can only be appended to",
        )),
    }
}
