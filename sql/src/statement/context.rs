//! What the parts of one statement have in common: states of the engine, plans, staged rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::catalog::Session as EngineSession;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::Statement as Parsed;
use futures::future::BoxFuture;
use planner::run::Progress;
use planner::source::Source;
use planner::spec::{Locations, SourceFormat, SourceSpec};
use planner::storage::{LocationPolicy, Place};

use super::relation_planner::CleaningPlanner;
use super::{execute, plan, record};
use crate::catalog::write_parts;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::table::{Scope, ViewPlanner, Views};

/// Views within views.
const MAX_VIEWS: usize = 32;

/// Views that a statement reads, each as often as it is named.
const MAX_VIEW_READS: usize = 512;

/// What the parts of one statement have in common: its session, and what its tables share.
pub(super) struct StatementContext {
    pub(super) session: Session,
    pub(super) scope: Arc<Scope>,
    /// Views that are being planned, one inside the other.
    views: AtomicUsize,
    /// Views that were planned.
    view_reads: AtomicUsize,
}

impl StatementContext {
    /// Makes the context of a statement that was parsed.
    pub(super) fn new(session: &Session, progress: &Arc<Progress>, parsed: &Parsed) -> Arc<Self> {
        Self::with(session, Scope::new(progress, plan::only_explains(parsed)))
    }

    /// Makes the context of work that no statement asks for.
    pub(super) fn of_session(session: &Session) -> Arc<Self> {
        Self::with(session, Scope::new(&Arc::default(), false))
    }

    fn with(session: &Session, scope: Arc<Scope>) -> Arc<Self> {
        Arc::new(Self {
            session: session.clone(),
            scope,
            views: AtomicUsize::new(0),
            view_reads: AtomicUsize::new(0),
        })
    }

    /// Returns the engine's state for this statement.
    pub(super) fn state(self: &Arc<Self>) -> Result<SessionState> {
        let mut state = self.session.context().state();
        let views = Arc::new(Views(Arc::clone(self) as Arc<dyn ViewPlanner>));
        state.config_mut().set_extension(Arc::clone(&self.scope));
        state.config_mut().set_extension(views);
        state.register_relation_planner(Arc::new(CleaningPlanner::new(Arc::clone(self))))?;
        Ok(state)
    }

    /// Returns the spec that is stored under a name, as JSON.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none.
    pub(super) fn stored_spec(&self, name: &str) -> Result<String> {
        let snapshot = self.session.catalog().snapshot();
        snapshot.specs.get(name).cloned().ok_or_else(|| {
            Error::NotFound(format!(
                "there is no spec {name:?}; store one with CREATE SPEC {name} AS '…', or give it as JSON"
            ))
        })
    }

    /// Returns the physical plan of a logical one. That it reads personal data is recorded first.
    pub(super) async fn physical(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = state.optimize(plan)?;
        record::personal_reads(&self.session, &plan).await?;
        let planner = state.query_planner();
        Ok(planner.create_physical_plan(&plan, state).await?)
    }

    /// Writes the rows of a plan to files of the engine's, and returns them as a source. Their order is
    /// the same on every run.
    pub(super) async fn stage(self: &Arc<Self>, input: LogicalPlan) -> Result<Arc<Source>> {
        self.scope.progress.check()?;
        let mut state = self.state()?;
        if !keeps_order(&input) {
            // What threads hand to each other comes in an order of its own.
            state.config_mut().options_mut().execution.target_partitions = 1;
        }
        // Columns go by their bare names from here on.
        let names = input.schema().iter().map(|(qualifier, field)| {
            datafusion::logical_expr::Expr::from((qualifier, field)).alias(field.name())
        });
        let names: Vec<_> = names.collect();
        let input = LogicalPlanBuilder::from(input).project(names)?.build()?;
        let engine = self.session.engine();
        let folder = Arc::new(engine.options().staging_folder()?);
        let physical = self.physical(&input, &state).await?;
        let parts = execute::parts(self, physical, &state).await?;
        let rows = folder.path().join("rows");
        planner::private::folder(&rows).map_err(|error| Error::io(&rows, error))?;
        write_parts(&Place::own(&rows), parts, engine.options().threads).await?;
        let source = SourceSpec {
            location: Locations(vec![rows.to_string_lossy().into_owned()]),
            format: Some(SourceFormat::Parquet),
            ..SourceSpec::default()
        };
        let staging = Place::own(folder.path());
        // Rows that this process has written.
        let locations = LocationPolicy::everything(folder.path());
        let rows_per_split = engine.options().rows_per_split;
        let opening =
            move || planner::run::open_source(&source, rows_per_split, &locations, &staging);
        let source = tokio::task::spawn_blocking(opening)
            .await
            .map_err(|_| Error::Bug("opening staged rows panicked"))??;
        self.scope.keep(&folder);
        Ok(source)
    }
}

impl ViewPlanner for StatementContext {
    fn plan_view<'a>(
        self: Arc<Self>,
        query: &'a str,
        state: &'a dyn EngineSession,
    ) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>>> {
        Box::pin(async move {
            if self.views.fetch_add(1, Ordering::Relaxed) >= MAX_VIEWS {
                return Err(Error::Invalid(format!(
                    "views within views, more than {MAX_VIEWS} levels deep"
                )));
            }
            if self.view_reads.fetch_add(1, Ordering::Relaxed) >= MAX_VIEW_READS {
                return Err(Error::Invalid(format!(
                    "a statement reads {MAX_VIEW_READS} views at most, each as often as it is named"
                )));
            }
            let mut own = self.state()?;
            // What is staged for a relation is in one partition where its order counts.
            own.config_mut().options_mut().execution.target_partitions =
                state.config().target_partitions();
            let logical = plan::plan_query(query, &own).await?;
            let physical = self.physical(&logical, &own).await;
            self.views.fetch_sub(1, Ordering::Relaxed);
            physical
        })
    }
}

impl std::fmt::Debug for StatementContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StatementContext")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// Whether the partitions of a plan, one after the other, give its rows in the order of the source.
fn keeps_order(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_) => plan.inputs().into_iter().all(keeps_order),
        LogicalPlan::TableScan(scan) => {
            // A view may hold anything.
            scan.source.table_type() != datafusion::datasource::TableType::View
        }
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => true,
        _ => false,
    }
}
