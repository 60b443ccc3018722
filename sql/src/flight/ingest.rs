//! Rows that a client sends for a table.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::ipc::root_as_message;
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

/// Columns of a table, those within others counted: a writer needs memory for each.
const MAX_COLUMNS: usize = 4_096;

/// Bytes of one message once it is decompressed: it is held as it was sent, decompressed and as it is written.
const MAX_UNFOLDED: u64 = 128 << 20;

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
        let (mut left, mut unfolded) = (limits.bytes, limits.bytes);
        let messages = messages
            .map(
                move |message: Result<FlightData, Status>| -> Result<FlightData, Status> {
                    let message = message?;
                    let bytes = message.data_header.len() + message.data_body.len();
                    left = left
                        .checked_sub(bytes as u64)
                        .ok_or_else(|| too_much(limits.bytes))?;
                    let of_message = unfolded_bytes(&message);
                    if of_message > MAX_UNFOLDED {
                        return Err(Status::resource_exhausted(format!(
                            "a message may come to {} MiB once it is decompressed; send smaller batches",
                            MAX_UNFOLDED >> 20
                        )));
                    }
                    unfolded = unfolded
                        .checked_sub(of_message)
                        .ok_or_else(|| too_much(limits.bytes))?;
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

fn too_much(limit: u64) -> Status {
    Status::resource_exhausted(format!(
        "more than {limit} bytes were sent in one call, or come of what was sent once it is decompressed"
    ))
}

/// The bytes that the buffers of a message say they have when they are decompressed; none of a message that is not compressed.
fn unfolded_bytes(message: &FlightData) -> u64 {
    let Ok(header) = root_as_message(&message.data_header) else {
        return 0;
    };
    let batch = header
        .header_as_record_batch()
        .or_else(|| header.header_as_dictionary_batch()?.data());
    let Some(batch) = batch.filter(|batch| batch.compression().is_some()) else {
        return 0;
    };
    let buffers = batch.buffers().into_iter().flatten();
    let sizes = buffers.filter_map(|buffer| {
        let start = usize::try_from(buffer.offset()).ok()?;
        // Each begins with its length, or with -1 where it is as it was.
        let length = message.data_body.get(start..start.checked_add(8)?)?;
        u64::try_from(i64::from_le_bytes(length.try_into().ok()?)).ok()
    });
    sizes.fold(0, u64::saturating_add)
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
    if schema.flattened_fields().len() > MAX_COLUMNS {
        return Err(Status::invalid_argument(format!(
            "a table has {MAX_COLUMNS} columns at most"
        )));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{LargeBinaryArray, RecordBatch};
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::IpcWriteOptions;
    use arrow_flight::encode::FlightDataEncoderBuilder;

    use super::*;

    async fn messages(compression: Option<CompressionType>) -> Vec<FlightData> {
        let value = vec![0_u8; 3_000_000];
        let values = LargeBinaryArray::from_vec(vec![&value]);
        let batch = RecordBatch::try_from_iter([("a", Arc::new(values) as _)]).unwrap();
        let options = IpcWriteOptions::default();
        let options = options.try_with_compression(compression).unwrap();
        let encoder = FlightDataEncoderBuilder::new().with_options(options);
        let batches = futures::stream::iter([Ok(batch)]);
        encoder.build(batches).try_collect().await.unwrap()
    }

    /// A message that is small and unfolds to much says how much before anything is decompressed.
    #[tokio::test]
    async fn m3_messages_say_what_they_unfold_to() {
        let sum = |messages: &[FlightData]| messages.iter().map(unfolded_bytes).sum::<u64>();
        let packed = messages(Some(CompressionType::ZSTD)).await;
        let sent: usize = packed.iter().map(|message| message.data_body.len()).sum();
        assert!(sent < 100_000, "{sent}");
        assert!(
            (3_000_000..3_100_000).contains(&sum(&packed)),
            "{}",
            sum(&packed)
        );
        assert_eq!(sum(&messages(None).await), 0);
        let mut broken = packed;
        broken
            .iter_mut()
            .for_each(|message| message.data_body.truncate(4));
        assert_eq!(sum(&broken), 0);
    }
}
