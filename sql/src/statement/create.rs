//! CREATE EXTERNAL TABLE, CREATE TABLE, CREATE TABLE AS, CREATE VIEW.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::physical_plan::EmptyRecordBatchStream;
use datafusion::sql::parser::{CreateExternalTable, DFParser, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    ColumnDef, CreateTable, CreateView, Query, Statement as Sql, Value as Literal,
};
use planner::source::Format;
use planner::spec::{DocumentLimits, Locations, SourceFormat, SourceSpec};
use serde_json::{Map, Value, json};

use super::context::StatementContext;
use super::{Answer, plan};
use crate::catalog::{Definition, FileDefinition, ViewDefinition, encode_schema, write_parts};
use crate::error::{Error, Result};
use crate::table::FileTable;

/// CREATE EXTERNAL TABLE: names files.
pub(super) async fn external_table(
    context: &Arc<StatementContext>,
    order: CreateExternalTable,
) -> Result<Answer> {
    if order.unbounded || order.temporary || !order.order_exprs.is_empty() {
        return Err(Error::Invalid(
            "UNBOUNDED, TEMPORARY and WITH ORDER are not supported".to_owned(),
        ));
    }
    let name = context.session.own_table(&order.name)?;
    let source = source_spec(&order)?;
    let state = context.state()?;
    let engine = context.session.engine();
    let locations = context.session.locations().named().clone();
    let table = FileTable::discover(engine, (source.clone(), locations), &state).await?;
    let found = datafusion::datasource::TableProvider::schema(&table);
    let declared = !order.columns.is_empty();
    let schema = if declared {
        let schema = declared_schema(context, order.columns).await?;
        check_declared(&schema, &found)?;
        schema
    } else {
        found
    };
    let definition = FileDefinition {
        source,
        schema: encode_schema(&schema),
        declared,
        managed: false,
    };
    let definition = Definition::File(Box::new(definition));
    define(
        context,
        &name,
        &definition,
        (order.or_replace, order.if_not_exists),
    )
    .await?;
    Ok(Answer::Done)
}

/// The columns that a statement declares.
async fn declared_schema(
    context: &Arc<StatementContext>,
    columns: Vec<ColumnDef>,
) -> Result<SchemaRef> {
    let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
    let empty = format!("CREATE TABLE declared ({})", columns.join(", "));
    let mut parsed = DFParser::parse_sql(&empty)?;
    let parsed = parsed
        .pop_front()
        .ok_or(Error::Bug("a table that is none"))?;
    match context.state()?.statement_to_plan(parsed).await? {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)) => {
            let schema = table.input.schema().as_arrow();
            let fields = schema.fields().iter();
            let fields: Vec<Field> = fields.map(|field| field.as_ref().clone()).collect();
            Ok(Arc::new(Schema::new(fields)))
        }
        _ => Err(Error::Bug("columns that make no table")),
    }
}

fn check_declared(declared: &Schema, found: &Schema) -> Result<()> {
    for field in declared.fields() {
        if found.field_with_name(field.name()).is_err() {
            let names: Vec<&str> = found.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::Invalid(format!(
                "the files have no column {:?}; they have {}",
                field.name(),
                names.join(", ")
            )));
        }
    }
    Ok(())
}

/// Where the files of an external table lie, and how they are written.
fn source_spec(order: &CreateExternalTable) -> Result<SourceSpec> {
    let mut options = Map::new();
    let mut credentials = None;
    for (name, value) in &order.options {
        let value = option_value(value)?;
        let lower = name.to_ascii_lowercase();
        // The names that DataFusion gives the same options.
        let name = lower.strip_prefix("format.").unwrap_or(&lower);
        match name {
            "credentials" => credentials = Some(value),
            "has_header" => drop(options.insert("header".to_owned(), value)),
            name => drop(options.insert(name.to_owned(), value)),
        }
    }
    if !order.table_partition_cols.is_empty() {
        options.insert(
            "partition_columns".to_owned(),
            json!(order.table_partition_cols),
        );
    }
    let mut document = json!({"location": order.locations, "options": options});
    let format = order.file_type.to_ascii_lowercase();
    match format.as_str() {
        "" | "auto" => {}
        "ndjson" => document["format"] = "jsonl".into(),
        // What others call so is often JSON lines: the files tell.
        "json"
            if order
                .locations
                .iter()
                .all(|l| Format::of_name(l) != Some(Format::Json)) => {}
        "xlsx" | "xls" | "ods" => document["format"] = "excel".into(),
        other => document["format"] = other.into(),
    }
    if let Some(credentials) = credentials {
        document["credentials"] = credentials;
    }
    serde_json::from_value(document)
        .map_err(|error| Error::Invalid(format!("CREATE EXTERNAL TABLE: {error}")))
}

/// A value of OPTIONS: truth values and numbers may stand in quotes.
fn option_value(value: &Literal) -> Result<Value> {
    let text = match value {
        Literal::SingleQuotedString(text) | Literal::DoubleQuotedString(text) => text.clone(),
        Literal::Number(digits, _) => digits.to_string(),
        Literal::Boolean(truth) => return Ok(Value::Bool(*truth)),
        other => return Err(Error::Invalid(format!("{other} is no value of an option"))),
    };
    Ok(match text.as_str() {
        "true" | "TRUE" => Value::Bool(true),
        "false" | "FALSE" => Value::Bool(false),
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            serde_json::from_str(digits).unwrap_or(Value::String(text))
        }
        list if list.starts_with('[') => DocumentLimits::WIRE
            .json(list)
            .unwrap_or(Value::String(text)),
        _ => Value::String(text),
    })
}

/// CREATE TABLE, with columns or from a query.
pub(super) async fn table(context: &Arc<StatementContext>, order: CreateTable) -> Result<Answer> {
    if order.temporary || order.like.is_some() || order.clone.is_some() {
        return Err(Error::Invalid(
            "CREATE TABLE name (columns) or CREATE TABLE name AS SELECT … is expected".to_owned(),
        ));
    }
    let name = context.session.own_table(&order.name)?;
    let exists = exists(context, &name);
    if exists && order.if_not_exists {
        return Ok(Answer::Done);
    }
    if exists && !order.or_replace {
        return Err(taken(&name));
    }
    let how = (order.or_replace, order.if_not_exists);
    match order.query {
        Some(_) if !order.columns.is_empty() => Err(Error::Invalid(
            "CREATE TABLE … AS takes its columns from the query; name them there with AS"
                .to_owned(),
        )),
        Some(query) => {
            let rows = table_as(context, &name, *query, how).await?;
            Ok(Answer::Written(rows))
        }
        None if order.columns.is_empty() => Err(Error::Invalid(
            "a table needs columns: CREATE TABLE name (column type, …)".to_owned(),
        )),
        None => {
            let schema = declared_schema(context, order.columns).await?;
            let empty = Box::pin(EmptyRecordBatchStream::new(schema));
            store_rows(context, &name, vec![empty], how).await?;
            Ok(Answer::Done)
        }
    }
}

/// A table of the rows of a query; gives their number.
async fn table_as(
    context: &Arc<StatementContext>,
    name: &(String, String),
    query: Query,
    how: (bool, bool),
) -> Result<u64> {
    let query = Parsed::Statement(Box::new(Sql::Query(Box::new(query))));
    let rows = plan::plan(context, query).await?.run().await?;
    store_rows(context, name, vec![rows], how).await
}

/// A table of the catalog's own with these rows, which all have the schema of the first.
pub(super) async fn store_rows(
    context: &Arc<StatementContext>,
    name: &(String, String),
    parts: Vec<datafusion::execution::SendableRecordBatchStream>,
    how: (bool, bool),
) -> Result<u64> {
    let first = parts.first().ok_or(Error::Bug("a table without columns"))?;
    let schema = first.schema();
    if schema.fields().is_empty() {
        return Err(Error::Invalid("a table needs a column".to_owned()));
    }
    check_unique(&schema)?;
    let engine = context.session.engine();
    let table = uuid::Uuid::now_v7().simple().to_string();
    let folder = context.session.locations().made(&table)?;
    let written = write_parts(&folder, parts, engine.options().threads).await;
    let definition = FileDefinition {
        source: SourceSpec {
            location: Locations(vec![table]),
            format: Some(SourceFormat::Parquet),
            ..SourceSpec::default()
        },
        schema: encode_schema(&schema),
        declared: false,
        managed: true,
    };
    let named = match written {
        Ok(rows) => {
            let wrapped = Definition::File(Box::new(definition.clone()));
            define(context, name, &wrapped, how).await.map(|()| rows)
        }
        Err(error) => Err(error),
    };
    if named.is_err() {
        context.session.locations().forget(&definition);
    }
    named
}

fn check_unique(schema: &Schema) -> Result<()> {
    let mut names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Error::Invalid(format!(
            "two columns are named {:?}; give one of them another name with AS",
            pair[0]
        ))),
    }
}

/// CREATE VIEW: names a query.
pub(super) async fn view(context: &Arc<StatementContext>, order: CreateView) -> Result<Answer> {
    if order.materialized || order.temporary || !order.columns.is_empty() {
        return Err(Error::Invalid(
            "CREATE [OR REPLACE] VIEW name AS SELECT … is expected; name columns with AS in the query"
                .to_owned(),
        ));
    }
    let name = context.session.own_table(&order.name)?;
    if exists(context, &name) && !order.or_replace && order.if_not_exists {
        return Ok(Answer::Done);
    }
    let query = order.query.to_string();
    let parsed = Parsed::Statement(Box::new(Sql::Query(order.query)));
    let schema = plan::plan(context, parsed).await?.schema();
    check_unique(&schema)?;
    let definition = Definition::View(ViewDefinition {
        query,
        schema: encode_schema(&schema),
    });
    define(
        context,
        &name,
        &definition,
        (order.or_replace, order.if_not_exists),
    )
    .await?;
    Ok(Answer::Done)
}

fn exists(context: &StatementContext, (schema, name): &(String, String)) -> bool {
    let snapshot = context.session.catalog().snapshot();
    let tables = snapshot.schemas.get(schema);
    tables.is_some_and(|tables| tables.contains_key(name))
}

fn taken((_, name): &(String, String)) -> Error {
    Error::Conflict(format!(
        "there is a table or view {name} already; drop it first, or write CREATE OR REPLACE"
    ))
}

/// Stores what a name stands for. The files of a replaced table of the catalog's own go.
async fn define(
    context: &StatementContext,
    (schema, name): &(String, String),
    definition: &Definition,
    (or_replace, if_not_exists): (bool, bool),
) -> Result<()> {
    let snapshot = context.session.catalog().snapshot();
    let before = snapshot
        .schemas
        .get(schema)
        .and_then(|tables| tables.get(name));
    let store = context.session.store();
    if !store
        .create_table((schema, name), definition, or_replace)
        .await?
        && !if_not_exists
    {
        return Err(taken(&(schema.clone(), name.clone())));
    }
    if let Some(Definition::File(file)) = before.filter(|_| or_replace)
        && file.managed
    {
        context.session.locations().forget(file);
    }
    Ok(())
}
