//! Rows as clients get them: types that every client reads, in messages that every client takes.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_flight::FlightData;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tonic::Status;

use super::status::status;
use crate::error::{Error, Result};

/// Bytes of a message that an encoder aims at; what clients take by default is 4 MiB and more.
const MESSAGE_BYTES: usize = 2 << 20;

/// Messages on their way to a client.
pub(super) type Messages<T> = BoxStream<'static, Result<T, Status>>;

/// Rows on their way to a client, of a known schema.
pub(super) struct Rows {
    pub(super) schema: SchemaRef,
    pub(super) batches: BoxStream<'static, Result<RecordBatch, Status>>,
}

impl Rows {
    /// Rows that are there already.
    pub(super) fn ready(batch: RecordBatch) -> Self {
        Self {
            schema: batch.schema(),
            batches: futures::stream::iter([Ok(batch)]).boxed(),
        }
    }

    /// No rows.
    pub(super) fn none(schema: SchemaRef) -> Self {
        Self {
            schema,
            batches: futures::stream::empty().boxed(),
        }
    }

    /// As messages. The schema comes first, rows or not; large batches are divided.
    pub(super) fn encode(self) -> impl Stream<Item = Result<FlightData, Status>> + Send + 'static {
        FlightDataEncoderBuilder::new()
            .with_schema(self.schema)
            .with_dictionary_handling(DictionaryHandling::Resend)
            .with_max_flight_data_size(MESSAGE_BYTES)
            .build(self.batches.map(|batch| batch.map_err(FlightError::from)))
            .map(|message| message.map_err(Status::from))
    }
}

/// The schema that clients are told: many of them know neither views nor dictionaries.
pub(super) fn wire_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// A batch in the schema that clients were told, which has the same columns in plain types.
pub(super) fn wire_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::Bug(
            "a statement gives other columns than it was planned for",
        ));
    }
    let options = CastOptions {
        safe: false,
        ..Default::default()
    };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(
            |(column, field)| match column.data_type() == field.data_type() {
                true => Ok(Arc::clone(column)),
                // A cast to nothing would lose the values.
                false if field.data_type().is_null() => Err(ArrowError::CastError(format!(
                    "{} has no type for some of the bound rows: cast its parameter",
                    field.name()
                ))),
                false => cast_with_options(column, field.data_type(), &options),
            },
        )
        .collect::<Result<Vec<_>, _>>()?;
    let rows = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &rows,
    )?)
}

/// Rows of the engine as rows for clients.
pub(super) fn wire_rows(
    schema: SchemaRef,
    batches: impl Stream<Item = datafusion::error::Result<RecordBatch>> + Send + 'static,
) -> BoxStream<'static, Result<RecordBatch, Status>> {
    batches
        .map(move |batch| wire_batch(&batch.map_err(Error::from)?, &schema))
        .map(|batch| batch.map_err(status))
        .boxed()
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let plain = plain(field.data_type());
    match &plain == field.data_type() {
        true => Arc::clone(field),
        false => Arc::new(
            Field::new(field.name(), plain, field.is_nullable())
                .with_metadata(field.metadata().clone()),
        ),
    }
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        DataType::ListView(item) | DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeListView(item) | DataType::LargeList(item) => {
            DataType::LargeList(plain_field(item))
        }
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{DictionaryArray, Int32Array, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    /// Views and dictionaries become plain columns with the same values; nothing else changes.
    #[test]
    fn columns_become_plain() {
        let words: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
        let batch = RecordBatch::try_from_iter_with_nullable([
            (
                "view",
                Arc::new(StringViewArray::from(vec!["x", "y", "z"])) as _,
                false,
            ),
            ("words", Arc::new(words) as _, true),
            (
                "number",
                Arc::new(Int32Array::from(vec![1, 2, 3])) as _,
                false,
            ),
        ])
        .unwrap();
        let schema = wire_schema(&batch.schema());
        let plain = wire_batch(&batch, &schema).unwrap();
        assert_eq!(plain.schema(), schema);
        assert_eq!(schema.field(0), &Field::new("view", DataType::Utf8, false));
        assert_eq!(schema.field(1), &Field::new("words", DataType::Utf8, true));
        assert_eq!(
            plain.column(1).as_ref(),
            &StringArray::from(vec!["a", "b", "a"]) as &dyn arrow::array::Array
        );
        assert_eq!(plain.column(2), batch.column(2));
    }
}
