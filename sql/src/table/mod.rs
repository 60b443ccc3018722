//! Tables as the engine reads them: files, the cleaned rows of a source, and stored views.

mod clean;
mod file;
mod scope;
mod view;

pub(crate) use clean::CleanTable;
pub(crate) use file::FileTable;
pub(crate) use scope::Scope;
pub(crate) use view::{StoredView, ViewPlanner, Views};

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::config::ConfigOptions;
use datafusion::error::Result as EngineResult;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

/// Partitions of a scan in this process at most: a split each while there are no more than these.
const MAX_PARTITIONS: usize = 64;

/// The splits of a scan by partition: neighbours stay together, so that the partitions one after the
/// other give the rows in the order of the source.
fn split_groups(splits: usize, single: bool, cluster: bool) -> Vec<Vec<usize>> {
    let groups = match (single, cluster) {
        (true, _) => 1,
        (false, true) => splits,
        (false, false) => splits.min(MAX_PARTITIONS),
    };
    let groups = groups.max(1);
    (0..groups)
        .map(|group| (group * splits / groups..(group + 1) * splits / groups).collect())
        .collect()
}

/// A column in the type of a field. An empty text is no value of any other type.
fn typed(
    column: Arc<dyn PhysicalExpr>,
    from: &DataType,
    field: &Field,
    given: &Schema,
) -> EngineResult<Arc<dyn PhysicalExpr>> {
    let to = field.data_type();
    if from == to {
        return Ok(column);
    }
    let text = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        )
    };
    let value = if text(from) && !text(to) {
        let empty = Literal::new(ScalarValue::from("").cast_to(from)?);
        let arguments = vec![column, Arc::new(empty) as Arc<dyn PhysicalExpr>];
        let settings = Arc::new(ConfigOptions::default());
        let nullif = datafusion::functions::core::nullif();
        Arc::new(ScalarFunctionExpr::try_new(
            nullif, arguments, given, settings,
        )?)
    } else {
        column
    };
    Ok(Arc::new(CastExpr::new(value, to.clone(), None)))
}

/// The columns of `schema` that are wanted, by name, of what a plan gives, in the types of `schema`.
fn project(
    plan: Arc<dyn ExecutionPlan>,
    schema: &Schema,
    wanted: impl Iterator<Item = usize>,
) -> EngineResult<Arc<dyn ExecutionPlan>> {
    let given = plan.schema();
    let columns = wanted.map(|at| {
        let field = schema.field(at);
        let place = given.index_of(field.name())?;
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), place));
        let typed = typed(column, given.field(place).data_type(), field, &given)?;
        Ok((typed, field.name().clone()))
    });
    let columns = columns.collect::<EngineResult<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(columns, plan)?))
}
