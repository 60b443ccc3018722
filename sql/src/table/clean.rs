//! The cleaned rows of a source as a table.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use planner::run::{JobRun, LearnedRelation, Relation};
use planner::source::Source;
use planner::steps::ImpliedSteps;
use tokio::sync::OnceCell;

use super::{Scope, project, split_groups};
use crate::engine::Engine;
use crate::error::{Error, Result};

/// The cleaned rows of a source. What all rows must tell first is learned when the rows are asked for,
/// once for a statement.
pub(crate) struct CleanTable {
    relation: Relation,
    learned: OnceCell<(tempfile::TempDir, LearnedRelation)>,
    engine: Engine,
}

impl CleanTable {
    /// Plans the cleaning of a source.
    pub(crate) async fn plan(
        run: JobRun,
        source: Arc<Source>,
        implied: ImpliedSteps,
        engine: Engine,
    ) -> Result<Self> {
        let planning = move || Relation::plan(run, source, implied);
        let planned = tokio::task::spawn_blocking(planning).await;
        Ok(Self {
            relation: planned.map_err(|_| Error::Bug("planning a relation panicked"))??,
            learned: OnceCell::new(),
            engine,
        })
    }

    /// The rows of clusters of near duplicates in the place of those that stay.
    pub(crate) fn of_clusters(self) -> Self {
        Self {
            relation: self.relation.of_clusters(),
            ..self
        }
    }

    async fn learned(&self) -> Result<&LearnedRelation> {
        let learned = self.learned.get_or_try_init(|| async {
            let folder = self.engine.options().staging_folder()?;
            let learned = self
                .relation
                .learn(&planner::storage::Place::own(folder.path()))
                .await?;
            Ok::<_, Error>((folder, learned))
        });
        learned.await.map(|(_, learned)| learned)
    }
}

impl std::fmt::Debug for CleanTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CleanTable")
            .field("schema", self.relation.schema())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for CleanTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.relation.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    // No filter and no limit is handed on: figures and duplicates are those of all rows.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let schema = self.relation.schema();
        let splits = self.relation.source().split_count();
        let plan: Arc<dyn ExecutionPlan> = if splits == 0 {
            Arc::new(EmptyExec::new(Arc::clone(schema)))
        } else if Scope::of(state).is_some_and(|scope| scope.only_explains) {
            self.relation.unlearned()
        } else {
            let single = state.config().target_partitions() == 1;
            let cluster = self.engine.options().cluster.is_some();
            let groups = split_groups(splits, single, cluster);
            self.learned().await?.scan(&groups)
        };
        match projection {
            Some(wanted) => project(plan, schema, wanted.iter().copied()),
            None => Ok(plan),
        }
    }
}
