//! Statements that give rows: from AST to a plan that is ready to run.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::{LogicalPlan, Statement as PlannedStatement};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Expr, Statement as Sql, Value};
use futures::StreamExt;
use planner::ErrorKind;

use super::context::StatementContext;
use super::execute;
use crate::error::{Error, Result};
use crate::front::bind::bind;
use crate::front::parse::{Command, parse_all};
use crate::front::rewrite::rewrite;
use crate::names::PathNames;

/// A plan that is ready to run.
#[derive(Debug)]
pub(super) struct QueryPlan {
    context: Arc<StatementContext>,
    state: SessionState,
    plan: LogicalPlan,
}

/// Whether a statement gives rows.
pub(super) fn gives_rows(statement: &Parsed) -> bool {
    match statement {
        Parsed::Explain(_) => true,
        Parsed::Statement(statement) => matches!(
            statement.as_ref(),
            Sql::Query(_)
                | Sql::Explain { .. }
                | Sql::ExplainTable { .. }
                | Sql::ShowTables { .. }
                | Sql::ShowColumns { .. }
                | Sql::ShowVariable { .. }
                | Sql::ShowFunctions { .. }
                | Sql::ShowCreate { .. }
                | Sql::ShowSchemas { .. }
                | Sql::ShowDatabases { .. }
        ),
        Parsed::CreateExternalTable(_) | Parsed::CopyTo(_) | Parsed::Reset(_) => false,
    }
}

/// Whether a statement shows a plan without running it.
pub(super) fn only_explains(statement: &Parsed) -> bool {
    match statement {
        Parsed::Explain(explain) => !explain.options.analyze,
        Parsed::Statement(statement) => {
            matches!(statement.as_ref(), Sql::Explain { analyze: false, .. })
        }
        _ => false,
    }
}

/// Plans a statement that gives rows.
pub(super) async fn plan(
    context: &Arc<StatementContext>,
    mut statement: Parsed,
) -> Result<QueryPlan> {
    rewrite(&mut statement)?;
    check_explained(&statement)?;
    let state = context.state()?;
    let plan = state.statement_to_plan(statement).await;
    let plan = plan.map_err(wrong_statement)?;
    check(&plan)?;
    Ok(QueryPlan {
        context: Arc::clone(context),
        state,
        plan,
    })
}

/// What the engine takes for a mistake of its own while it plans is a statement that it cannot plan.
fn wrong_statement(error: impl Into<Error>) -> Error {
    match error.into() {
        error if error.kind() == ErrorKind::Bug => {
            Error::Invalid(format!("the statement cannot be planned: {error}"))
        }
        error => error,
    }
}

/// Plans the text of a query with a state of its statement.
pub(super) async fn plan_query(query: &str, state: &SessionState) -> Result<LogicalPlan> {
    let mut commands = parse_all(query)?;
    let (Some((_, Command::Sql(mut statement))), None) = (commands.pop(), commands.pop()) else {
        return Err(Error::Bug("a stored view that is no query"));
    };
    rewrite(&mut statement)?;
    let plan = Box::pin(state.statement_to_plan(*statement)).await?;
    check(&plan)?;
    Ok(plan)
}

/// Schema of the rows, and the parameters, of a statement with so many parameters.
pub(super) async fn describe(
    context: &Arc<StatementContext>,
    statement: &Parsed,
    count: usize,
) -> Result<(SchemaRef, Schema)> {
    if let Ok(query) = plan(context, statement.clone()).await
        && let Ok(found) = query.plan.get_parameter_fields()
    {
        let fields = (1..=count).map(|number| {
            let name = format!("${number}");
            let field = found.get(&name).and_then(Option::as_ref);
            let data_type = field.map_or(DataType::Null, |field| field.data_type().clone());
            Field::new(name, data_type, true)
        });
        return Ok((query.schema(), Schema::new(fields.collect::<Vec<_>>())));
    }
    // Where the type of a parameter decides over the plan, it is looked for without a value.
    let mut statement = statement.clone();
    bind(
        &mut statement,
        &vec![Expr::Value(Value::Null.into()); count],
    )?;
    let query = plan(context, statement).await?;
    Ok((query.schema(), super::open_parameters(count)))
}

/// What is explained must be a query: planning anything else might do it.
fn check_explained(statement: &Parsed) -> Result<()> {
    let explained = match statement {
        Parsed::Explain(explain) => gives_rows(&explain.statement),
        Parsed::Statement(statement) => match statement.as_ref() {
            Sql::Explain { statement, .. } => matches!(statement.as_ref(), Sql::Query(_)),
            _ => true,
        },
        _ => true,
    };
    if explained {
        return Ok(());
    }
    Err(Error::Invalid(
        "EXPLAIN shows the plan of a query; explain the SELECT of the statement".to_owned(),
    ))
}

/// Operators of the largest plan. A text may name what it has named before twice, so a plan can be far larger than its text.
const MAX_PLAN: usize = 50_000;

/// Counts the operators of a plan, those that stand for the same subquery each time.
fn size(plan: &LogicalPlan, known: &mut HashMap<*const LogicalPlan, usize>) -> usize {
    if let Some(size) = known.get(&std::ptr::from_ref(plan)) {
        return *size;
    }
    let mut total = 1_usize;
    for input in plan.inputs() {
        total = total.saturating_add(size(input, known));
    }
    // Subqueries of expressions; nothing of this fails.
    let _ = plan.apply_subqueries(|subquery| {
        if let LogicalPlan::Subquery(subquery) = subquery {
            total = total.saturating_add(size(&subquery.subquery, known));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    known.insert(std::ptr::from_ref(plan), total);
    total
}

/// Refuses plans that change something by themselves, and plans that are too large.
fn check(plan: &LogicalPlan) -> Result<()> {
    if size(plan, &mut HashMap::new()) > MAX_PLAN {
        return Err(Error::Invalid(format!(
            "the statement comes to more than {MAX_PLAN} operators, with what it names several times"
        )));
    }
    match plan {
        LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_) => {
            Err(Error::Bug("a plan that changes something"))
        }
        LogicalPlan::Statement(
            PlannedStatement::SetVariable(_) | PlannedStatement::ResetVariable(_),
        ) => Err(Error::Bug("a setting that is planned as a query")),
        LogicalPlan::Statement(_) => Err(Error::Invalid(
            "transactions are not supported: each statement is one".to_owned(),
        )),
        _ => Ok(()),
    }
}

impl QueryPlan {
    /// Schema of the rows.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }

    /// The same with another plan, made of this one.
    pub(super) fn map_plan(
        self,
        change: impl FnOnce(LogicalPlan) -> Result<LogicalPlan>,
    ) -> Result<Self> {
        Ok(Self {
            plan: change(self.plan)?,
            ..self
        })
    }

    /// Runs the plan.
    pub(super) async fn run(self) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let physical = self.context.physical(&self.plan, &self.state).await;
        let physical = physical.map_err(wrong_statement)?;
        let rows = execute::rows(&self.context, physical, &self.state).await?;
        let rows = advertised(rows, schema);
        Ok(match (&self.plan, self.context.session.served()) {
            (LogicalPlan::Explain(_) | LogicalPlan::Analyze(_), Some(served)) => {
                with_names(rows, Arc::clone(&served.names))
            }
            _ => rows,
        })
    }
}

/// The same texts with names in place of the service's folders: plans name files.
fn with_names(rows: SendableRecordBatchStream, names: Arc<PathNames>) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let rows = rows.map(move |batch| {
        let batch = batch?;
        let columns = batch.columns().iter().map(|column| {
            let Some(texts) = column.as_string_opt::<i32>() else {
                return Arc::clone(column);
            };
            let hidden = texts.iter().map(|text| {
                let text = text?;
                Some(names.hide(text).unwrap_or_else(|| text.to_owned()))
            });
            Arc::new(hidden.collect::<StringArray>()) as ArrayRef
        });
        Ok(RecordBatch::try_new(batch.schema(), columns.collect())?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

/// The same rows under the schema that was told before: an optimizer may know better which columns
/// are never null.
fn advertised(rows: SendableRecordBatchStream, schema: SchemaRef) -> SendableRecordBatchStream {
    if rows.schema() == schema {
        return rows;
    }
    let told = Arc::clone(&schema);
    let rows = rows.map(move |batch| {
        let batch = batch?;
        let options =
            arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().iter().zip(told.fields());
        let columns =
            columns.map(
                |(column, field)| match column.data_type() == field.data_type() {
                    true => Ok(Arc::clone(column)),
                    false => arrow::compute::cast(column, field.data_type()),
                },
            );
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&told),
            columns,
            &options,
        )?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}
