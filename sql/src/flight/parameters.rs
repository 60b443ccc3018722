//! Bound parameters: from the batches that a client sends to lists of values.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use tonic::Status;

use super::run::Values;
use super::status::status;
use crate::error::Error;

/// What clients are told of parameters: those whose type is open take text, which every client sends.
pub(super) fn advertised(parameters: &Schema) -> SchemaRef {
    let fields = parameters
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Null => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
            _ => Arc::clone(field),
        });
    super::wire::wire_schema(&Schema::new(fields.collect::<Vec<FieldRef>>()))
}

/// One list of values for each row of a batch, in the order of the parameters.
pub(super) fn values(batch: &RecordBatch, parameters: &Schema) -> Result<Vec<Values>, Status> {
    let columns = in_order(batch, parameters)?;
    (0..batch.num_rows())
        .map(|row| {
            columns
                .iter()
                .map(|column| ScalarValue::try_from_array(column, row))
                .collect::<Result<Values, _>>()
                .map_err(|error| status(Error::from(error)))
        })
        .collect()
}

/// The columns in the order of the parameters: by name where all of them bear the parameters'
/// names, else by position.
fn in_order(batch: &RecordBatch, parameters: &Schema) -> Result<Vec<ArrayRef>, Status> {
    let wanted = parameters.fields();
    if batch.num_columns() != wanted.len() {
        return Err(Status::invalid_argument(format!(
            "the statement has {} parameters, and {} values are bound",
            wanted.len(),
            batch.num_columns()
        )));
    }
    let named: Option<Vec<&ArrayRef>> = wanted
        .iter()
        .map(|field| {
            let name = field.name();
            let bare = name.strip_prefix('$').unwrap_or(name);
            batch
                .column_by_name(name)
                .or_else(|| batch.column_by_name(bare))
        })
        .collect();
    let columns = named.unwrap_or_else(|| batch.columns().iter().collect());
    columns
        .into_iter()
        .zip(wanted)
        .map(|(column, field)| typed(column, field))
        .collect()
}

/// A column in the type of its parameter. Text is for parameters of open type too: these keep the
/// type that was sent.
fn typed(column: &ArrayRef, field: &Field) -> Result<ArrayRef, Status> {
    let (sent, wanted) = (column.data_type(), field.data_type());
    let plain = super::wire::wire_schema(&Schema::new(vec![Field::new("x", sent.clone(), true)]));
    let wanted = match (wanted, plain.field(0).data_type()) {
        (DataType::Utf8, sent) if !matches!(sent, DataType::Null) => sent.clone(),
        _ => wanted.clone(),
    };
    if sent == &wanted {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions {
        safe: false,
        ..Default::default()
    };
    cast_with_options(column, &wanted, &options).map_err(|error| {
        Status::invalid_argument(format!(
            "the parameter {} takes {wanted}, which {sent} does not fit: {error}",
            field.name()
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{Int32Array, Int64Array, StringArray};

    use super::*;

    fn parameters() -> Schema {
        Schema::new(vec![
            Field::new("$1", DataType::Int64, true),
            Field::new("$2", DataType::Utf8, true),
        ])
    }

    /// Values come in the order of the parameters and in their types, by position or by name.
    #[test]
    fn values_are_ordered_and_typed() {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let words: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let positional = RecordBatch::try_from_iter([("0", numbers.clone()), ("1", words.clone())]);
        let named = RecordBatch::try_from_iter([("2", words), ("1", numbers)]);
        for batch in [positional.unwrap(), named.unwrap()] {
            let rows = values(&batch, &parameters()).unwrap();
            assert_eq!(
                rows,
                vec![
                    vec![ScalarValue::from(1_i64), ScalarValue::from("a")],
                    vec![ScalarValue::from(2_i64), ScalarValue::from("b")],
                ]
            );
        }
    }

    /// Too few values, and values that do not fit, are the client's mistake.
    #[test]
    fn wrong_values_are_refused() {
        let one =
            RecordBatch::try_from_iter([("0", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["many"]));
        let misfit = RecordBatch::try_from_iter([("0", text.clone()), ("1", text)]);
        for batch in [one.unwrap(), misfit.unwrap()] {
            let status = values(&batch, &parameters()).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
        }
    }
}
