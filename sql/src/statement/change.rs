//! Statements that change something.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::logical_expr::{LogicalPlan, Statement as PlannedStatement};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectType, SchemaName, Statement as Sql};
use futures::future::BoxFuture;
use planner::spec::JobSpec;
use serde_json::json;

use super::context::StatementContext;
use super::{Answer, copy, create, insert, kind};
use crate::catalog::Definition;
use crate::error::{Error, Result};
use crate::front::parse::Command;
use crate::identifiers::PUBLIC;
use crate::session::Session;
use crate::settings::check_set;

/// Runs a statement that changes something.
pub(super) fn run(
    context: Arc<StatementContext>,
    statement: Parsed,
) -> BoxFuture<'static, Result<Answer>> {
    Box::pin(async move { run_parsed(&context, statement).await })
}

async fn run_parsed(context: &Arc<StatementContext>, statement: Parsed) -> Result<Answer> {
    match statement {
        Parsed::CreateExternalTable(table) => create::external_table(context, table).await,
        Parsed::CopyTo(order) => copy::copy(context, order).await,
        Parsed::Reset(_) => engine_statement(context, statement).await,
        Parsed::Explain(_) => Err(Error::Bug("an explanation that changes something")),
        Parsed::Statement(sql) => run_sql(context, *sql).await,
    }
}

async fn run_sql(context: &Arc<StatementContext>, sql: Sql) -> Result<Answer> {
    match sql {
        Sql::CreateTable(table) => create::table(context, table).await,
        Sql::CreateView(view) => create::view(context, view).await,
        Sql::Insert(insert) => insert::insert(context, insert).await,
        Sql::CreateSchema {
            schema_name,
            if_not_exists,
            ..
        } => create_schema(context, &schema_name, if_not_exists).await,
        Sql::Drop {
            object_type,
            if_exists,
            names,
            cascade,
            ..
        } => {
            for name in &names {
                drop_one(context, &object_type, name, (if_exists, cascade)).await?;
            }
            Ok(Answer::Done)
        }
        Sql::Prepare {
            name, statement, ..
        } => {
            let parsed = Parsed::Statement(statement);
            context.session.prepare(&name.value, parsed)?;
            Ok(Answer::Done)
        }
        Sql::Deallocate { name, .. } => {
            context.session.deallocate(&name.value)?;
            Ok(Answer::Done)
        }
        Sql::Set(_) => engine_statement(context, Parsed::Statement(Box::new(sql))).await,
        Sql::Execute { .. } => Err(Error::Invalid(
            "EXECUTE needs the name of a prepared statement".to_owned(),
        )),
        other => Err(kind::unsupported(&other)),
    }
}

/// SET and RESET, which the engine keeps in the session.
async fn engine_statement(context: &Arc<StatementContext>, statement: Parsed) -> Result<Answer> {
    let engine = context.session.context();
    let plan = engine.state().statement_to_plan(statement).await?;
    if context.session.served().is_some() {
        let threads = context.session.engine().options().threads;
        match &plan {
            LogicalPlan::Statement(PlannedStatement::SetVariable(set)) => {
                check_set(&set.variable, Some(&set.value), threads)?;
            }
            LogicalPlan::Statement(PlannedStatement::ResetVariable(reset)) => {
                check_set(&reset.variable, None, threads)?;
            }
            _ => return Err(Error::Bug("a setting that is planned as something else")),
        }
    }
    // A setting that is not known, or a value that is none, is the author's mistake.
    let set = engine.execute_logical_plan(plan).await;
    set.map_err(|error| Error::Invalid(Error::from(error).to_string()))?;
    Ok(Answer::Done)
}

async fn create_schema(
    context: &StatementContext,
    name: &SchemaName,
    if_not_exists: bool,
) -> Result<Answer> {
    let SchemaName::Simple(name) = name else {
        return Err(Error::Invalid("CREATE SCHEMA name is expected".to_owned()));
    };
    let name = context.session.own_schema(name)?;
    let made = name != PUBLIC && context.session.store().create_schema(&name).await?;
    if made || if_not_exists {
        return Ok(Answer::Done);
    }
    Err(Error::Conflict(format!("there is a schema {name} already")))
}

async fn drop_one(
    context: &StatementContext,
    object: &ObjectType,
    name: &ObjectName,
    (if_exists, cascade): (bool, bool),
) -> Result<()> {
    let store = context.session.store();
    let gone = match object {
        ObjectType::Schema => {
            let name = context.session.own_schema(name)?;
            if name == PUBLIC {
                return Err(Error::Invalid("the schema public stays".to_owned()));
            }
            store.drop_schema(&name, cascade).await?
        }
        ObjectType::Table | ObjectType::View => {
            let (schema, table) = context.session.own_table(name)?;
            let snapshot = context.session.catalog().snapshot();
            let known = snapshot
                .schemas
                .get(&schema)
                .and_then(|tables| tables.get(&table));
            let is_view = matches!(known, Some(Definition::View(_)));
            if known.is_some() && is_view != (*object == ObjectType::View) {
                let (is, other) = if is_view {
                    ("view", "VIEW")
                } else {
                    ("table", "TABLE")
                };
                return Err(Error::Invalid(format!(
                    "{table} is a {is}; write DROP {other}"
                )));
            }
            let dropped = store.drop_table((&schema, &table)).await?;
            if let Some(Definition::File(file)) = &dropped
                && file.managed
            {
                context.session.locations().forget(file);
            }
            dropped.is_some()
        }
        other => return Err(Error::Invalid(format!("DROP {other} is not supported"))),
    };
    if gone || if_exists {
        return Ok(());
    }
    let what = object.to_string().to_lowercase();
    Err(Error::NotFound(format!("there is no {what} {name}")))
}

/// Columns of `SHOW SPECS`.
pub(super) fn specs_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("spec", DataType::Utf8, false),
    ]))
}

/// Runs a statement about stored specs.
pub(super) async fn run_spec(session: &Session, command: &Command) -> Result<Answer> {
    match command {
        Command::CreateSpec {
            name,
            spec,
            or_replace,
        } => {
            let mut document = JobSpec::document(spec, name)?;
            let Some(fields) = document.as_object_mut() else {
                return Err(Error::Invalid(
                    "a spec is an object of JSON or YAML".to_owned(),
                ));
            };
            // The table is named where the spec is used.
            let mut checked = fields.clone();
            checked.insert("source".to_owned(), json!({"location": "relation"}));
            JobSpec::from_value(checked.into(), name)?;
            let text = serde_json::to_string(&document)?;
            if !session
                .store()
                .create_spec(name, &text, *or_replace)
                .await?
            {
                return Err(Error::Conflict(format!(
                    "there is a spec {name} already; write CREATE OR REPLACE SPEC"
                )));
            }
            Ok(Answer::Done)
        }
        Command::DropSpec { name, if_exists } => {
            if session.store().drop_spec(name).await? || *if_exists {
                return Ok(Answer::Done);
            }
            Err(Error::NotFound(format!("there is no spec {name}")))
        }
        Command::ShowSpecs => {
            let snapshot = session.catalog().snapshot();
            let names = StringArray::from_iter_values(snapshot.specs.keys());
            let specs = StringArray::from_iter_values(snapshot.specs.values());
            let columns = vec![Arc::new(names) as _, Arc::new(specs) as _];
            let batch = RecordBatch::try_new(specs_schema(), columns)?;
            let rows = MemorySourceConfig::try_new_exec(&[vec![batch]], specs_schema(), None)?;
            Ok(Answer::Rows(rows.execute(0, session.context().task_ctx())?))
        }
        Command::Sql(_) => Err(Error::Bug("a statement that is about no spec")),
    }
}
