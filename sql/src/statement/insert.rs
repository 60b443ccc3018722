//! INSERT INTO: rows for a table that is there, column by column by their names.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Insert, SetExpr, Statement as Sql, TableObject};
use futures::StreamExt;
use planner::source::Format;
use planner::spec::{CompressionSpec, SourceFormat};
use planner::storage::Place;

use super::context::StatementContext;
use super::{Answer, plan};
use crate::catalog::{
    Definition, FileDefinition, RowFormat, SingleFile, decode_schema, write_file,
};
use crate::error::{Error, Result};
use crate::identifiers::last_part;
use crate::session::Session;

/// Runs INSERT INTO.
pub(super) async fn insert(context: &Arc<StatementContext>, order: Insert) -> Result<Answer> {
    let TableObject::TableName(name) = &order.table else {
        return Err(Error::Invalid("INSERT INTO table is expected".to_owned()));
    };
    if order.overwrite
        || order.on.is_some()
        || order.returning.is_some()
        || order.partitioned.is_some()
        || order.replace_into
        || !order.assignments.is_empty()
    {
        return Err(Error::Invalid(
            "INSERT INTO table [(columns)] SELECT … or VALUES … is expected; to replace the rows write CREATE OR REPLACE TABLE … AS"
                .to_owned(),
        ));
    }
    let (schema_name, table_name) = context.session.own_table(name)?;
    let file = file_table(&context.session, &schema_name, &table_name)?;
    let table = decode_schema(&file.schema)?;
    let Some(query) = order.source else {
        return Err(Error::Invalid(
            "INSERT INTO needs rows: SELECT … or VALUES …".to_owned(),
        ));
    };
    let literal = matches!(query.body.as_ref(), SetExpr::Values(_));
    let listed = order.columns.iter().map(last_part);
    let listed = listed.collect::<Result<Vec<String>>>()?;
    let parsed = Parsed::Statement(Box::new(Sql::Query(query)));
    let rows = plan::plan(context, parsed).await?;
    let given = rows.schema();
    let targets = match (listed.is_empty(), literal) {
        // Values have no names but those of the list, or of the table.
        (false, _) => listed,
        (true, true) => table.fields().iter().map(|f| f.name().clone()).collect(),
        (true, false) => given.fields().iter().map(|f| f.name().clone()).collect(),
    };
    if targets.len() != given.fields().len() {
        return Err(Error::Invalid(format!(
            "{} columns are to be filled, and the rows have {}",
            targets.len(),
            given.fields().len()
        )));
    }
    let places = places(&table, &targets, &table_name)?;
    let rows = rows.map_plan(|input| {
        let schema = input.schema();
        let exprs = table.fields().iter().zip(&places).map(|(field, place)| {
            let expr = match place {
                Some(at) => given_column(schema, *at, field, literal)?,
                None => lit(ScalarValue::try_from(field.data_type())?),
            };
            Ok(expr.alias(field.name()))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        Ok(LogicalPlanBuilder::from(input).project(exprs)?.build()?)
    })?;
    let rows = rows.run().await?;
    Ok(Answer::Written(append(context, &file, rows).await?))
}

/// The table of files of a name.
pub(super) fn file_table(session: &Session, schema: &str, name: &str) -> Result<FileDefinition> {
    let snapshot = session.catalog().snapshot();
    let tables = snapshot.schemas.get(schema);
    match tables.and_then(|tables| tables.get(name)) {
        Some(Definition::File(file)) => Ok(file.as_ref().clone()),
        Some(Definition::View(_)) => Err(Error::Invalid(format!(
            "{name} is a view; rows go into tables"
        ))),
        None => Err(Error::NotFound(format!("there is no table {name}"))),
    }
}

/// For each column of a table, the place of the given column that fills it.
fn places(table: &Schema, targets: &[String], name: &str) -> Result<Vec<Option<usize>>> {
    for (at, target) in targets.iter().enumerate() {
        if table.field_with_name(target).is_err() {
            let names: Vec<&str> = table.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::Invalid(format!(
                "the table {name} has no column {target:?}; it has {}. Rows of a query are filled in by their names: write SELECT … AS column",
                names.join(", ")
            )));
        }
        if targets[..at].contains(target) {
            return Err(Error::Invalid(format!(
                "the column {target:?} is filled twice"
            )));
        }
    }
    let fields = table.fields().iter();
    fields
        .map(|field| {
            let place = targets.iter().position(|target| target == field.name());
            if place.is_none() && !field.is_nullable() {
                return Err(Error::Invalid(format!(
                    "the column {:?} of {name} must have a value",
                    field.name()
                )));
            }
            Ok(place)
        })
        .collect()
}

/// A given column in the type of the table's.
fn given_column(schema: &DFSchema, at: usize, field: &Field, literal: bool) -> Result<Expr> {
    let column = Expr::from(schema.qualified_field(at));
    let from = schema.field(at).data_type();
    check_cast(from, field, literal)?;
    if from == field.data_type() {
        return Ok(column);
    }
    Ok(column.cast_to(field.data_type(), schema)?)
}

/// Refuses a cast that may lose something without a word. Constants may be cast wherever a value that
/// does not fit is an error.
fn check_cast(from: &DataType, field: &Field, literal: bool) -> Result<()> {
    let to = field.data_type();
    let truncates = (from.is_floating() || from.is_decimal())
        && (to.is_integer() || to.is_decimal())
        || matches!((from, to), (DataType::Timestamp(..), DataType::Date32));
    if lossless(from, to) || (literal && !truncates) || (literal && to.is_decimal()) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the column {:?} is {to}, and its rows would be {from}: write CAST(… AS …) in the query",
        field.name()
    )))
}

/// Whether every value of one type is one of the other.
fn lossless(from: &DataType, to: &DataType) -> bool {
    let text =
        |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let binary = |t: &DataType| {
        matches!(
            t,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView
        )
    };
    if from == to
        || *from == DataType::Null
        || (text(from) && text(to))
        || (binary(from) && binary(to))
    {
        return true;
    }
    match (from, to) {
        (DataType::Dictionary(_, value), to) => lossless(value, to),
        (DataType::Float16, DataType::Float32 | DataType::Float64)
        | (DataType::Float32, DataType::Float64)
        | (DataType::Date32, DataType::Timestamp(_, None) | DataType::Date64) => true,
        (DataType::Timestamp(from, a), DataType::Timestamp(to, b)) => {
            a == b && precision(*from) <= precision(*to)
        }
        (
            DataType::Decimal128(precision, scale),
            DataType::Decimal128(to_precision, to_scale)
            | DataType::Decimal256(to_precision, to_scale),
        ) => {
            scale <= to_scale
                && i16::from(*precision) - i16::from(*scale)
                    <= i16::from(*to_precision) - i16::from(*to_scale)
        }
        (from, DataType::Decimal128(precision, scale)) if from.is_integer() => {
            digits(from).is_some_and(|digits| digits + i16::from(*scale) <= i16::from(*precision))
        }
        (from, DataType::Float64) if from.is_integer() => {
            from.primitive_width().is_some_and(|width| width <= 4)
        }
        (from, to) if from.is_integer() && to.is_integer() => {
            match (from.is_signed_integer(), to.is_signed_integer()) {
                (true, false) => false,
                (false, true) => from.primitive_width() < to.primitive_width(),
                _ => from.primitive_width() <= to.primitive_width(),
            }
        }
        _ => false,
    }
}

fn precision(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// Decimal digits of the largest value of a whole number.
fn digits(data_type: &DataType) -> Option<i16> {
    Some(match data_type.primitive_width()? {
        1 => 3,
        2 => 5,
        4 => 10,
        _ => 20,
    })
}

/// Adds rows, which have the table's columns, as one more file of the table.
pub(super) async fn append(
    context: &Arc<StatementContext>,
    table: &FileDefinition,
    rows: SendableRecordBatchStream,
) -> Result<u64> {
    let (folder, format) = folder_of(&context.session, table)?;
    let name = format!("part-{}.{}", uuid::Uuid::now_v7().simple(), format.ending());
    let place = folder.join(&name);
    write_file(SingleFile { place, format }, rows).await
}

/// The folder that takes the files of a table, and how they are written.
fn folder_of(session: &Session, table: &FileDefinition) -> Result<(Place, RowFormat)> {
    let source = &table.source;
    let refuse = |why: &str| {
        Err(Error::Invalid(format!(
            "{} takes no rows: {why}",
            source.location.0.join(", ")
        )))
    };
    let [location] = source.location.0.as_slice() else {
        return refuse("the table lies in several places");
    };
    let locations = session.locations().of_table(table);
    let place = locations.place(location, source.credentials.as_ref());
    let folder = place.map_err(|error| Error::location(location, &error))?;
    if !folder.is_folder() {
        return refuse("it is no folder of this machine; COPY … TO writes a file elsewhere");
    }
    if !source.options.partition_columns.is_empty() {
        return refuse("its folders name values of columns");
    }
    let compression = source.options.compression;
    if !matches!(
        compression,
        None | Some(CompressionSpec::Auto | CompressionSpec::None)
    ) {
        return refuse("its files are compressed as a whole");
    }
    let format = source.format.or_else(|| format_of_files(&folder));
    let read = &source.options;
    let separated = |delimiter: u8| RowFormat::Csv {
        delimiter: read.delimiter.map_or(delimiter, |c| c.0),
        header: read.header.unwrap_or(true),
    };
    let format = match format {
        Some(SourceFormat::Parquet) => RowFormat::Parquet,
        Some(SourceFormat::Csv) => separated(b','),
        Some(SourceFormat::Tsv) => separated(b'\t'),
        Some(SourceFormat::Jsonl) => RowFormat::Jsonl,
        Some(SourceFormat::Json | SourceFormat::Excel) | None => {
            return refuse("rows are added to Parquet, CSV, TSV and JSON lines");
        }
    };
    Ok((folder, format))
}

/// The format of the files that a folder holds, by the name of the first.
fn format_of_files(folder: &Place) -> Option<SourceFormat> {
    let names = folder.names().ok()?;
    names.iter().find_map(|name| {
        Some(match Format::of_name(name)? {
            Format::Csv => SourceFormat::Csv,
            Format::Tsv => SourceFormat::Tsv,
            Format::Jsonl => SourceFormat::Jsonl,
            Format::Json => SourceFormat::Json,
            Format::Parquet => SourceFormat::Parquet,
            Format::Excel => SourceFormat::Excel,
        })
    })
}

/// Rows that a client sends, in the columns and types of a table.
pub(super) fn conform(
    rows: SendableRecordBatchStream,
    table: &SchemaRef,
    name: &str,
) -> Result<SendableRecordBatchStream> {
    let given = rows.schema();
    let targets: Vec<String> = given.fields().iter().map(|f| f.name().clone()).collect();
    let places = places(table, &targets, name)?;
    for (field, place) in table.fields().iter().zip(&places) {
        if let Some(at) = place {
            check_cast(given.field(*at).data_type(), field, false)?;
        }
    }
    let schema = Arc::clone(table);
    let rows = rows.map(move |batch| {
        let batch = batch?;
        let columns = schema
            .fields()
            .iter()
            .zip(&places)
            .map(|(field, place)| match place {
                Some(at) => arrow::compute::cast(batch.column(*at), field.data_type()),
                None => Ok(arrow::array::new_null_array(
                    field.data_type(),
                    batch.num_rows(),
                )),
            });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(arrow::array::RecordBatch::try_new(
            Arc::clone(&schema),
            columns,
        )?)
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(
        Arc::clone(table),
        rows,
    )))
}
