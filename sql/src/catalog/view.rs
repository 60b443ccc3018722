//! A stored view: its query is planned anew whenever it is read.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use super::{ViewDefinition, decode_schema};
use crate::error::{Error, Result};
use crate::statement::Scope;
use crate::table::project;

/// A stored view.
#[derive(Debug)]
pub(crate) struct StoredView {
    query: String,
    schema: SchemaRef,
}

impl StoredView {
    pub(crate) fn new(definition: &ViewDefinition) -> Result<Self> {
        Ok(Self {
            query: definition.query.clone(),
            schema: decode_schema(&definition.schema)?,
        })
    }
}

#[async_trait]
impl TableProvider for StoredView {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_table_definition(&self) -> Option<&str> {
        Some(&self.query)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let scope = Scope::of(state).ok_or(Error::Bug("a view outside of a statement"))?;
        let plan = scope.plan_view(&self.query, state).await?;
        let given = plan.schema();
        let wanted: Vec<usize> = match projection {
            Some(wanted) => wanted.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        for at in &wanted {
            let field = self.schema.field(*at);
            if given.field_with_name(field.name()).is_err() {
                return Err(Error::Conflict(format!(
                    "the view's query gives no column {:?} any more; make the view anew with CREATE OR REPLACE VIEW",
                    field.name()
                ))
                .into());
            }
        }
        project(plan, &self.schema, wanted.into_iter())
    }
}
