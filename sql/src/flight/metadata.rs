//! What there is: catalogs, schemas, tables and keys, as a session sees them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::builder::{ArrayBuilder, Int32Builder, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::{
    Command, CommandGetCatalogs, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTableTypes,
    CommandGetTables,
};
use datafusion::catalog::SchemaProvider;
use datafusion::common::Constraint;
use datafusion::logical_expr::TableType;
use tonic::Status;

use super::sql_info::{sql_info, type_info};
use super::status::status;
use super::wire::wire_schema;
use crate::error::{Error, Result};
use crate::session::Session;

/// Schema of the answer to a question about the catalog.
pub(super) fn answer_schema(question: &Command) -> Result<SchemaRef, Status> {
    Ok(match question {
        Command::CommandGetCatalogs(question) => question.into_builder().schema(),
        Command::CommandGetDbSchemas(question) => question.clone().into_builder().schema(),
        Command::CommandGetTables(question) => question.clone().into_builder().schema(),
        Command::CommandGetTableTypes(question) => question.into_builder().schema(),
        Command::CommandGetPrimaryKeys(_) => primary_key_schema(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => foreign_key_schema(),
        Command::CommandGetSqlInfo(_) => sql_info().map_err(failed)?.schema(),
        Command::CommandGetXdbcTypeInfo(_) => type_info().map_err(failed)?.schema(),
        other => return Err(not_a_question(other)),
    })
}

/// Answers a question about the catalog.
pub(super) async fn answer(session: &Session, question: Command) -> Result<RecordBatch, Status> {
    session.refresh().await.map_err(status)?;
    match question {
        Command::CommandGetCatalogs(question) => catalogs(session, question),
        Command::CommandGetDbSchemas(question) => schemas(session, question),
        Command::CommandGetTables(question) => tables(session, question).await,
        Command::CommandGetTableTypes(question) => table_types(question),
        Command::CommandGetPrimaryKeys(question) => {
            return primary_keys(session, question).await.map_err(status);
        }
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        // Tables name no others.
        | Command::CommandGetCrossReference(_) => Ok(RecordBatch::new_empty(foreign_key_schema())),
        Command::CommandGetSqlInfo(question) => {
            sql_info().and_then(|info| question.into_builder(info).build())
        }
        Command::CommandGetXdbcTypeInfo(question) => {
            type_info().and_then(|info| question.into_builder(info).build())
        }
        other => return Err(not_a_question(&other)),
    }
    .map_err(failed)
}

fn catalogs(session: &Session, question: CommandGetCatalogs) -> Result<RecordBatch, FlightError> {
    let mut answer = question.into_builder();
    for name in session.context().catalog_names() {
        answer.append(name);
    }
    answer.build()
}

fn schemas(session: &Session, question: CommandGetDbSchemas) -> Result<RecordBatch, FlightError> {
    let wanted = question.catalog.clone();
    let mut answer = question.into_builder();
    for (catalog, schema, _) in all_schemas(session, wanted.as_deref()) {
        answer.append(catalog, schema);
    }
    answer.build()
}

async fn tables(session: &Session, question: CommandGetTables) -> Result<RecordBatch, FlightError> {
    let wanted = question.catalog.clone();
    let with_schemas = question.include_schema;
    let mut answer = question.into_builder();
    let none = Arc::new(Schema::empty());
    for (catalog, schema, provider) in all_schemas(session, wanted.as_deref()) {
        for table in provider.table_names() {
            let Some((kind, fields)) = table_of(provider.as_ref(), &table, with_schemas).await
            else {
                continue;
            };
            let fields = fields.as_ref().unwrap_or(&none);
            answer.append(&catalog, &schema, &table, kind, fields)?;
        }
    }
    answer.build()
}

/// Kind and schema of a table. One whose data cannot be reached is listed without columns rather
/// than hiding all the others behind an error.
async fn table_of(
    provider: &dyn SchemaProvider,
    table: &str,
    with_schema: bool,
) -> Option<(&'static str, Option<SchemaRef>)> {
    if !with_schema {
        let kind = provider.table_type(table).await.ok().flatten();
        return Some((kind_name(kind.unwrap_or(TableType::Base)), None));
    }
    match provider.table(table).await {
        Ok(Some(table)) => Some((
            kind_name(table.table_type()),
            Some(wire_schema(&table.schema())),
        )),
        Ok(None) => None,
        Err(error) => {
            tracing::debug!(table, %error, "a table cannot be described");
            Some((kind_name(TableType::Base), None))
        }
    }
}

fn table_types(question: CommandGetTableTypes) -> Result<RecordBatch, FlightError> {
    let mut answer = question.into_builder();
    for kind in [TableType::Base, TableType::View, TableType::Temporary] {
        answer.append(kind_name(kind));
    }
    answer.build()
}

/// What the standard's information schema calls it.
fn kind_name(kind: TableType) -> &'static str {
    match kind {
        TableType::Base => "BASE TABLE",
        TableType::View => "VIEW",
        TableType::Temporary => "LOCAL TEMPORARY",
    }
}

async fn primary_keys(session: &Session, question: CommandGetPrimaryKeys) -> Result<RecordBatch> {
    let schema = primary_key_schema();
    let mut names: [StringBuilder; 4] = Default::default();
    let mut numbers = Int32Builder::new();
    for (catalog, schema, provider) in all_schemas(session, question.catalog.as_deref()) {
        if question
            .db_schema
            .as_ref()
            .is_some_and(|wanted| *wanted != schema)
        {
            continue;
        }
        let Some(table) = provider.table(&question.table).await? else {
            continue;
        };
        let fields = table.schema();
        let constraints = table.constraints().into_iter().flat_map(|all| all.iter());
        for constraint in constraints {
            let Constraint::PrimaryKey(columns) = constraint else {
                continue;
            };
            for (number, column) in (1..).zip(columns) {
                let name = fields.field(*column).name();
                let row = [&catalog, &schema, &question.table, name];
                names
                    .iter_mut()
                    .zip(row)
                    .for_each(|(to, name)| to.append_value(name));
                numbers.append_value(number);
            }
        }
    }
    let rows = numbers.len();
    let [mut catalog, mut db_schema, mut table, mut column] = names;
    Ok(RecordBatch::try_new(
        schema,
        vec![
            Arc::new(catalog.finish()),
            Arc::new(db_schema.finish()),
            Arc::new(table.finish()),
            Arc::new(column.finish()),
            Arc::new(numbers.finish()),
            arrow::array::new_null_array(&DataType::Utf8, rows),
        ],
    )?)
}

/// The schemas of one catalog, or of all, with the names of both.
fn all_schemas(
    session: &Session,
    wanted: Option<&str>,
) -> Vec<(String, String, Arc<dyn SchemaProvider>)> {
    let context = session.context();
    let mut found = Vec::new();
    for catalog in context.catalog_names() {
        if wanted.is_some_and(|wanted| wanted != catalog) {
            continue;
        }
        let Some(provider) = context.catalog(&catalog) else {
            continue;
        };
        for schema in provider.schema_names() {
            if let Some(provider) = provider.schema(&schema) {
                found.push((catalog.clone(), schema, provider));
            }
        }
    }
    found
}

fn primary_key_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
}

fn foreign_key_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

fn not_a_question(command: &Command) -> Status {
    Status::unimplemented(format!("{} is not supported", command.type_url()))
}

fn failed(error: FlightError) -> Status {
    tracing::error!(%error, "an answer about the catalog cannot be made");
    status(Error::Bug("an answer about the catalog cannot be made"))
}
