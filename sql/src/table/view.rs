//! A stored view: its query is planned anew whenever it is read.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;

use super::project;
use crate::error::{Error, Result};

/// Plans the queries of views, on behalf of the statement that reads them.
pub(crate) trait ViewPlanner: Send + Sync {
    /// Returns the physical plan of a view's query. `state` is that of the query which reads the view.
    ///
    /// # Errors
    /// When the query cannot be planned, or views are nested too deep.
    fn plan_view<'a>(
        self: Arc<Self>,
        query: &'a str,
        state: &'a dyn Session,
    ) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>>>;
}

/// The planner of a statement's views. States of the engine carry it as an extension.
pub(crate) struct Views(pub(crate) Arc<dyn ViewPlanner>);

/// A stored view.
#[derive(Debug)]
pub(crate) struct StoredView {
    query: String,
    schema: SchemaRef,
}

impl StoredView {
    /// Makes the table of a query that gives the columns of `schema`.
    pub(crate) fn new(query: String, schema: SchemaRef) -> Self {
        Self { query, schema }
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
        let views = state.config().get_extension::<Views>();
        let views = views.ok_or(Error::Bug("a view outside of a statement"))?;
        let planner = Arc::clone(&views.0);
        let plan = planner.plan_view(&self.query, state).await?;
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
