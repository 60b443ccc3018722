//! What the parts of one statement have in common, and what must last until its rows are read.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::Session as EngineSession;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::Statement as Parsed;
use planner::run::Progress;
use planner::source::Source;
use planner::spec::{Locations, SourceFormat, SourceSpec};
use planner::storage::{LocationPolicy, Place};

use super::{execute, plan};
use crate::audit;
use crate::catalog::write_parts;
use crate::error::{Error, Result};
use crate::front::relation::CleaningPlanner;
use crate::session::Session;

/// Views within views.
const MAX_VIEWS: usize = 32;

/// What the parts of one statement have in common.
pub(crate) struct Scope {
    pub(crate) session: Session,
    pub(crate) progress: Arc<Progress>,
    /// Whether the plan is shown and not run: nothing need be learned.
    pub(crate) only_explains: bool,
    /// What must last until the rows are read: files, indexes, what was learned.
    kept: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
    /// Views that are being planned, one inside the other.
    views: AtomicUsize,
}

impl Scope {
    pub(crate) fn new(session: &Session, progress: &Arc<Progress>, parsed: &Parsed) -> Arc<Self> {
        Arc::new(Self {
            session: session.clone(),
            progress: Arc::clone(progress),
            only_explains: plan::only_explains(parsed),
            kept: Mutex::default(),
            views: AtomicUsize::new(0),
        })
    }

    /// A scope of work that no statement asks for.
    pub(crate) fn of_session(session: &Session) -> Arc<Self> {
        Arc::new(Self {
            session: session.clone(),
            progress: Arc::default(),
            only_explains: false,
            kept: Mutex::default(),
            views: AtomicUsize::new(0),
        })
    }

    /// The scope of the statement that a state was made for.
    pub(crate) fn of(state: &dyn EngineSession) -> Option<Arc<Self>> {
        state.config().get_extension::<Self>()
    }

    /// Keeps something until the rows are read.
    pub(crate) fn keep<T: Send + Sync + 'static>(&self, thing: &Arc<T>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(Arc::clone(thing) as Arc<dyn Any + Send + Sync>);
    }

    /// Waits for something on a thread that plans, which must not be done elsewhere.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
    }

    /// The engine's state for this statement.
    pub(crate) fn state(self: &Arc<Self>) -> Result<SessionState> {
        let mut state = self.session.context().state();
        state.config_mut().set_extension(Arc::clone(self));
        state.register_relation_planner(Arc::new(CleaningPlanner::new(Arc::clone(self))))?;
        Ok(state)
    }

    /// The spec that is stored under a name, as JSON.
    pub(crate) fn stored_spec(&self, name: &str) -> Result<String> {
        let snapshot = self.session.catalog().snapshot();
        snapshot.specs.get(name).cloned().ok_or_else(|| {
            Error::NotFound(format!(
                "there is no spec {name:?}; store one with CREATE SPEC {name} AS '…', or give it as JSON"
            ))
        })
    }

    /// The physical plan of a logical one. That it reads personal data is recorded first.
    pub(crate) async fn physical(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = state.optimize(plan)?;
        audit::personal_reads(&self.session, &plan).await?;
        let planner = state.query_planner();
        Ok(planner.create_physical_plan(&plan, state).await?)
    }

    /// The physical plan of a view's query.
    pub(crate) async fn plan_view(
        self: &Arc<Self>,
        query: &str,
        state: &dyn EngineSession,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.views.fetch_add(1, Ordering::Relaxed) >= MAX_VIEWS {
            return Err(Error::Invalid(format!(
                "views within views, more than {MAX_VIEWS} levels deep"
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
    }

    /// Writes the rows of a plan to files of the engine's, and gives them as a source. Their order is
    /// the same on every run.
    pub(crate) async fn stage(self: &Arc<Self>, input: LogicalPlan) -> Result<Arc<Source>> {
        self.progress.check()?;
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
        self.keep(&folder);
        Ok(source)
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Scope")
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
