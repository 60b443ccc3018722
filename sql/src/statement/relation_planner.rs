//! `sanitize` and the cleaning steps as relations: `FROM dedupe((SELECT …), columns => [a])`.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr as EngineExpr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, TableAlias, TableFactor,
};
use planner::run::JobRun;
use planner::spec::{ColumnSpec, ColumnType, JobSpec, Partitions, Secret};
use planner::steps::{ImpliedSteps, Reading};
use serde_json::{Map, Value, json};
use udfs::scalar::secret::{SecretAccess, SecretError};

use super::context::StatementContext;
use crate::error::{Error, Result};
use crate::front::argument::{Arguments, read_arguments};
use crate::front::relation::{
    NAMES, NEAR_CLUSTERS, NEAR_DEDUPE, ROW_HASH_COLUMN, ROW_HASHED, SANITIZE,
};
use crate::front::rewrite::named;
use crate::grants::Action;
use crate::table::{CleanTable, FileTable};

/// Fields of a spec that `sanitize(…)` takes as named options.
const SPEC_OPTIONS: [&str; 3] = ["dataset", "steps", "options"];

/// Plans the relations of one statement.
#[derive(Debug)]
pub(super) struct CleaningPlanner {
    context: Arc<StatementContext>,
}

impl CleaningPlanner {
    pub(super) fn new(context: Arc<StatementContext>) -> Self {
        Self { context }
    }
}

impl RelationPlanner for CleaningPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> EngineResult<RelationPlanning> {
        let TableFactor::Table {
            name,
            args: Some(arguments),
            alias,
            ..
        } = &relation
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let known = NAMES.iter().chain([&ROW_HASHED]);
        let Some(of) = known.copied().find(|known| named(name, known)) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let input = input_plan(of, &arguments.args, context)?;
        let plan = if of == ROW_HASHED {
            row_hashed(input)?
        } else {
            let arguments = read_arguments(of, &arguments.args[1..])?;
            self.cleaned(of, input, arguments)?
        };
        let alias = alias.clone().or_else(|| default_alias(of));
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation {
            plan,
            alias,
        })))
    }
}

/// The columns of a relation without a name of its own go by that of the function.
fn default_alias(of: &str) -> Option<TableAlias> {
    (of != ROW_HASHED).then(|| TableAlias {
        explicit: true,
        name: of.into(),
        columns: Vec::new(),
        at: None,
    })
}

/// The plan of the table that a relation is given.
fn input_plan(
    of: &str,
    arguments: &[FunctionArg],
    context: &mut dyn RelationPlannerContext,
) -> EngineResult<LogicalPlan> {
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(query)))) =
        arguments.first()
    else {
        return Err(Error::Invalid(format!(
            "{of} needs a table first: {of}(t, …) or {of}((SELECT …), …)"
        ))
        .into());
    };
    let plan = context.plan(TableFactor::Derived {
        lateral: false,
        subquery: query.clone(),
        alias: None,
        sample: None,
    })?;
    check_columns(of, plan.schema())?;
    if !plan.all_out_ref_exprs().is_empty() {
        return Err(Error::Invalid(format!(
            "{of}(…) cleans one table; it cannot refer to a query around it"
        ))
        .into());
    }
    Ok(plan)
}

/// Columns of a cleaned table go by their names alone.
fn check_columns(of: &str, schema: &DFSchema) -> Result<()> {
    let mut names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    names.sort_unstable();
    let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) else {
        return Ok(());
    };
    Err(Error::Invalid(format!(
        "{of}(…): two columns are named {:?}; give one of them another name with AS",
        twice[0]
    )))
}

/// The input with the hash of all its columns as one more.
fn row_hashed(input: LogicalPlan) -> EngineResult<LogicalPlan> {
    let columns: Vec<EngineExpr> = input
        .schema()
        .iter()
        .map(|(qualifier, field)| EngineExpr::from((qualifier, field)))
        .collect();
    let hash = udfs::registry::scalar_functions()
        .into_iter()
        .find(|function| function.name() == "row_hash")
        .ok_or(Error::Bug("there is no row_hash"))?;
    let hash = hash.call(columns.clone()).alias(ROW_HASH_COLUMN);
    let bare = columns.into_iter().map(EngineExpr::unalias);
    let all: Vec<EngineExpr> = bare.chain([hash]).collect();
    LogicalPlanBuilder::from(input).project(all)?.build()
}

impl CleaningPlanner {
    /// The cleaned rows of a plan, as a scan.
    fn cleaned(&self, of: &str, input: LogicalPlan, arguments: Arguments) -> Result<LogicalPlan> {
        self.context.session.check(Action::SubmitJobs)?;
        let (spec, implied) = self.spec(of, arguments)?;
        let context = Arc::clone(&self.context);
        let table = block_on({
            let context = Arc::clone(&context);
            let clusters = of == NEAR_CLUSTERS;
            async move { clean(&context, input, spec, implied, clusters).await }
        })?;
        let scan = LogicalPlanBuilder::scan(of, provider_as_source(table), None)?;
        // Names with dots or capitals are names all the same.
        Ok(scan.build()?)
    }

    /// The job of a relation.
    fn spec(&self, of: &str, arguments: Arguments) -> Result<(JobSpec, ImpliedSteps)> {
        let mut document = Map::new();
        let mut shown = of.to_owned();
        if let Some(text) = &arguments.spec {
            if of != SANITIZE {
                return Err(Error::Invalid(format!(
                    "{of}(…) takes named options and no spec: {of}(t, name => value)"
                )));
            }
            (document, shown) = self.spec_document(text)?;
        }
        document.insert("source".to_owned(), json!({"location": "relation"}));
        document.remove("output");
        if of == SANITIZE {
            for (name, value) in arguments.named {
                match name.as_str() {
                    "pii" => hide(&mut document, value),
                    name if SPEC_OPTIONS.contains(&name) => {
                        document.insert(name.to_owned(), value);
                    }
                    _ => {
                        return Err(Error::Invalid(format!(
                            "sanitize has no option {name}; there are pii, {}",
                            SPEC_OPTIONS.join(", ")
                        )));
                    }
                }
            }
            let spec = JobSpec::from_value(Value::Object(document), &shown)?;
            return Ok((spec, ImpliedSteps::Usual));
        }
        let mut step = arguments.named;
        if let Some(dataset) = step.remove("dataset") {
            document.insert("dataset".to_owned(), dataset);
        }
        let name = if of == NEAR_CLUSTERS { NEAR_DEDUPE } else { of };
        step.insert("type".to_owned(), name.into());
        document.insert("steps".to_owned(), json!([step]));
        let spec = JobSpec::from_value(Value::Object(document), of)?;
        Ok((spec, ImpliedSteps::None))
    }

    /// The document that a text holds, or that is stored under its name; and how errors call it.
    fn spec_document(&self, text: &str) -> Result<(Map<String, Value>, String)> {
        let document = if text.contains(['{', ':', '\n']) {
            JobSpec::document(text, "spec")?
        } else {
            let stored = self.context.stored_spec(text)?;
            serde_json::from_str(&stored)?
        };
        match document {
            Value::Object(fields) if text.contains(['{', ':', '\n']) => {
                Ok((fields, "spec".to_owned()))
            }
            Value::Object(fields) => Ok((fields, format!("spec {text}"))),
            _ => Err(Error::Invalid("a spec is a JSON object".to_owned())),
        }
    }
}

/// Waits for something on a thread that plans, which must not be done elsewhere.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

/// `pii => 'hash'`: personal data, found or declared, is treated so.
fn hide(document: &mut Map<String, Value>, strategy: Value) {
    let dataset = document.entry("dataset").or_insert_with(|| json!({}));
    if let Some(dataset) = dataset.as_object_mut() {
        dataset.insert("pii_strategy".to_owned(), strategy);
        dataset.insert("pii_detect".to_owned(), true.into());
    }
}

/// The cleaned rows of a plan, or those of `clusters`: of a file as it lies there where the plan reads
/// one as it is, else of what the plan gives.
async fn clean(
    context: &Arc<StatementContext>,
    input: LogicalPlan,
    mut spec: JobSpec,
    implied: ImpliedSteps,
    clusters: bool,
) -> Result<Arc<CleanTable>> {
    let engine = context.session.engine();
    admit_secrets(context, &mut spec)?;
    // A step alone works on the types of its input, and a text has those that a statement gave it
    // only when its rows are read.
    let bare = bare_scan(&input)
        .filter(|(table, _)| implied == ImpliedSteps::Usual || table.declared().is_empty());
    let source = match &bare {
        Some((table, columns)) => {
            declare(&mut spec, &table.declared());
            let opened = table.open(&context.scope).await?;
            context.scope.keep(&opened);
            opened.select(columns)
        }
        None => context.stage(input).await?,
    };
    if implied == ImpliedSteps::None && !reads_types(&spec) {
        // Text stays text, whatever it looks like.
        let columns = source.columns.iter();
        let text = columns.filter(|column| column.data_type == DataType::Utf8View);
        let types = text.map(|column| (column.name.clone(), ColumnType::String));
        declare(&mut spec, &types.collect::<Vec<_>>());
    }
    if spec.options.partitions == Partitions::Auto {
        spec.options.partitions = Partitions::Count(engine.options().threads);
    }
    let mut run = JobRun::new(spec, engine.options().base.clone());
    run.locations = context.session.locations().named().clone();
    run.cluster = engine.options().cluster.clone().map(Into::into);
    run.memory = Some(engine.memory());
    run.progress = Arc::clone(&context.scope.progress);
    let planned = CleanTable::plan(run, source, implied, engine.clone()).await?;
    let table = if clusters {
        planned.of_clusters()
    } else {
        planned
    };
    let table = Arc::new(table);
    context.scope.keep(&table);
    Ok(table)
}

/// Puts what its names of secrets stand for into a spec, and refuses those that the session may not name.
fn admit_secrets(context: &StatementContext, spec: &mut JobSpec) -> Result<()> {
    let session = &context.session;
    let access = session
        .engine()
        .options()
        .secret_access(&session.identity().tenant);
    let refused = |error: SecretError| Error::Invalid(error.to_string());
    let dataset = &mut spec.dataset;
    dataset.pii_salt = match (&dataset.pii_salt, &access) {
        (Some(salt), _) => Some(access.admit(&salt.into()).map_err(refused)?.into()),
        (None, SecretAccess::Any) => None,
        // A service without secrets hashes nothing, and everything else goes on.
        (None, SecretAccess::Tenant { .. }) => access.usual().ok().map(Secret::from),
    };
    dataset.pii_token_key = match (&dataset.pii_token_key, &access) {
        (Some(key), _) => Some(access.admit(&key.into()).map_err(refused)?.into()),
        (None, SecretAccess::Any) => None,
        // A relation has no tokens; so that the key of the service's vault is not even looked up.
        (None, SecretAccess::Tenant { .. }) => dataset.pii_salt.clone(),
    };
    Ok(())
}

/// Whether a step asks for types that are found out from the values.
fn reads_types(spec: &JobSpec) -> bool {
    let mut steps = spec.steps.iter().flatten();
    steps.any(|step| step.step().reading() == Reading::Types)
}

/// Adds types to the contract where it leaves them open.
fn declare(spec: &mut JobSpec, types: &[(String, ColumnType)]) {
    let columns = match &mut spec.dataset.schema {
        Some(schema) => &mut schema.columns,
        None => &mut spec.dataset.columns,
    };
    for (name, column_type) in types {
        match columns.iter_mut().find(|column| column.name == *name) {
            Some(column) => column.column_type = column.column_type.or(Some(*column_type)),
            None => columns.push(ColumnSpec {
                column_type: Some(*column_type),
                ..ColumnSpec::named(name)
            }),
        }
    }
}

/// The file that a plan reads as it is, with the columns that it takes, in order.
fn bare_scan(plan: &LogicalPlan) -> Option<(FileTable, Vec<usize>)> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => bare_scan(&alias.input),
        LogicalPlan::Projection(projection) => {
            let (table, columns) = bare_scan(&projection.input)?;
            let input = projection.input.schema();
            let chosen = projection.expr.iter().map(|expr| match expr {
                EngineExpr::Column(column) => {
                    let at = input.maybe_index_of_column(column)?;
                    columns.get(at).copied()
                }
                _ => None,
            });
            let mut chosen = chosen.collect::<Option<Vec<usize>>>()?;
            let before = chosen.clone();
            chosen.sort_unstable();
            chosen.dedup();
            (chosen.len() == before.len()).then_some((table, before))
        }
        LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
            let provider = datafusion::datasource::source_as_provider(&scan.source).ok()?;
            let table = (provider.as_ref() as &dyn std::any::Any).downcast_ref::<FileTable>()?;
            let columns = match &scan.projection {
                Some(chosen) => chosen.clone(),
                None => (0..table.column_count()).collect(),
            };
            Some((table.clone(), columns))
        }
        _ => None,
    }
}
