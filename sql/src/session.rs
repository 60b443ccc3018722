//! One person's session: settings, and the tables of their tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::CatalogProvider;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use planner::session::session_in;
use udfs::scalar::pii_hash::PiiHashFunction;

use crate::audit::{self, Described};
use crate::catalog::{
    CATALOG, CatalogStore, Guarded, GuardedCatalog, JOBS, JobsCatalog, PUBLIC, TenantCatalog,
    TenantLocations, decode_schema,
};
use crate::engine::{Engine, Identity};
use crate::error::{Error, Result};
use crate::grants::{Action, dataset_of};
use crate::served::{Served, check_length};
use crate::statement::{
    Answer, INGESTED, Scope, Statement, append, check_target, conform, file_table, store_rows,
};
use crate::usage::Share;

/// Statements that a session keeps prepared.
const MAX_PREPARED: usize = 1_000;

/// One person's session. Cheap to clone: the clones are the same session.
#[derive(Clone)]
pub struct Session {
    engine: Engine,
    identity: Arc<Identity>,
    context: SessionContext,
    catalog: Arc<TenantCatalog>,
    store: CatalogStore,
    prepared: Arc<Mutex<HashMap<String, Prepared>>>,
    /// What a session of the service has; a session of this process may do everything.
    served: Option<Arc<Served>>,
}

/// A statement that PREPARE has named.
struct Prepared {
    statement: Parsed,
    /// Its place among those of the user.
    _share: Option<(Share, Share)>,
}

/// Rows that a client sends for a table.
pub struct Ingest {
    /// Name of the table.
    pub table: String,
    /// Schema of the catalog that the table lies in; the session's when none.
    pub schema: Option<String>,
    /// What becomes of a table that is there, or is not.
    pub mode: IngestMode,
    /// The rows.
    pub rows: SendableRecordBatchStream,
}

/// What becomes of the table that rows are sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestMode {
    /// It is made; that it is there is an error.
    Create,
    /// It is there, and gets the rows; that it is not there is an error.
    Append,
    /// It is made anew, whether it is there or not.
    Replace,
    /// It gets the rows, and is made where it is not there.
    CreateAppend,
}

impl Session {
    pub(crate) fn new(engine: Engine, identity: Identity) -> Result<Self> {
        Self::with(engine, identity, None)
    }

    /// A session of the service, for a login that may do what its grants say.
    pub(crate) fn of_service(engine: Engine, identity: Identity, served: Served) -> Result<Self> {
        Self::with(engine, identity, Some(Arc::new(served)))
    }

    fn with(engine: Engine, identity: Identity, served: Option<Arc<Served>>) -> Result<Self> {
        let options = engine.options();
        let mut config = SessionConfig::new()
            .with_target_partitions(options.threads.max(1))
            // Clients of the service have an information schema of their own.
            .with_information_schema(served.is_none())
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(CATALOG, PUBLIC)
            // The partitions of a table, one after the other, are its rows in order.
            .with_round_robin_repartition(false);
        if options.cluster.is_some() {
            // A filter that one operator gives another while they run does not travel.
            config = config.set_bool("datafusion.optimizer.enable_dynamic_filter_pushdown", false);
        }
        let context = session_in(config, Arc::clone(&engine.shared.runtime));
        let secrets = options.secret_access(&identity.tenant);
        context.register_udf(PiiHashFunction::new(secrets).into());
        let locations = TenantLocations::of(options, &identity.tenant)?;
        let catalog = Arc::new(TenantCatalog::new(engine.clone(), locations));
        let jobs = JobsCatalog::new(engine.clone(), Arc::clone(&catalog));
        let tenant: Arc<dyn CatalogProvider> = Arc::clone(&catalog) as _;
        let jobs: Arc<dyn CatalogProvider> = Arc::new(jobs);
        for (name, provider, kind) in [
            (CATALOG, tenant, Guarded::Tables),
            (JOBS, jobs, Guarded::Jobs),
        ] {
            let provider = match &served {
                None => provider,
                Some(served) => {
                    let all = Arc::clone(context.state().catalog_list());
                    let grants = served.grants.clone();
                    Arc::new(GuardedCatalog::new(provider, kind, grants, &all)) as _
                }
            };
            context.register_catalog(name, provider);
        }
        Ok(Self {
            store: CatalogStore::new(engine.shared.store.clone(), &identity.tenant),
            engine,
            identity: Arc::new(identity),
            context,
            catalog,
            prepared: Arc::default(),
            served,
        })
    }

    /// Returns the authenticated identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine's session: catalogs, functions and settings.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Looks the catalog's names up anew, as every statement does; what [`Session::context`] lists is
    /// what they were then.
    pub async fn refresh(&self) -> Result<()> {
        let mut snapshot = self.store.load().await?;
        if let Some(served) = &self.served {
            // What a login is not to see is not there for it.
            let grants = &served.grants;
            for (schema, tables) in &mut snapshot.schemas {
                tables.retain(|table, _| grants.may_touch(&dataset_of(schema, table)));
            }
            snapshot.schemas.retain(|name, tables| {
                !grants.is_limited() || name == PUBLIC || !tables.is_empty()
            });
            snapshot.specs.retain(|name, _| grants.may_touch(name));
            snapshot.jobs.retain(|name, _| grants.may_touch(name));
        }
        self.catalog.set_snapshot(snapshot);
        Ok(())
    }

    /// Names of the stored specs.
    pub fn spec_names(&self) -> Vec<String> {
        self.catalog.snapshot().specs.keys().cloned().collect()
    }

    /// Parses a text of one statement.
    pub fn statement(&self, sql: &str) -> Result<Statement> {
        if self.served.is_some() {
            check_length(sql)?;
        }
        let mut statements = Statement::parse(self, sql)?;
        match (statements.pop(), statements.len()) {
            (Some(statement), 0) => Ok(statement),
            (None, _) => Err(Error::Invalid("a statement is expected".to_owned())),
            (Some(_), others) => Err(Error::Invalid(format!(
                "one statement is expected, not {}",
                others + 1
            ))),
        }
    }

    /// What a session of the service has; none for a session of this process.
    pub(crate) fn served(&self) -> Option<&Served> {
        self.served.as_deref()
    }

    /// Refuses an action that the login lacks.
    pub(crate) fn check(&self, action: Action) -> Result<()> {
        match &self.served {
            Some(served) => served.grants.check(action),
            None => Ok(()),
        }
    }

    /// Parses a text of any number of statements.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>> {
        Statement::parse(self, sql)
    }

    /// Parses, plans and runs one statement.
    pub async fn execute(&self, sql: &str) -> Result<Answer> {
        self.statement(sql)?.plan().await?.run(&[]).await
    }

    /// Puts rows into a table; gives their number.
    pub async fn ingest(&self, ingest: Ingest) -> Result<u64> {
        self.refresh().await?;
        let schema = match &ingest.schema {
            Some(schema) => schema.clone(),
            None => self.default_schema(),
        };
        let name = (schema, ingest.table.clone());
        let dataset = dataset_of(&name.0, &name.1);
        let described = Described {
            kind: INGESTED.name,
            tables: audit::names([dataset.clone()]),
            shape: String::new(),
        };
        if let Some(served) = &self.served {
            let checked = INGESTED.check(&served.grants);
            let checked = checked.and_then(|()| check_target(&served.grants, &dataset));
            if let Err(error) = checked {
                audit::refused(self, described, &error).await;
                return Err(error);
            }
        }
        let running = audit::begin(self, described).await?;
        let written = self.ingest_rows(ingest, name).await;
        let answer = written.map(Answer::Written);
        match running {
            Some(running) => running.follow(answer).await?,
            None => answer?,
        }
        .rows_written()
    }

    async fn ingest_rows(&self, ingest: Ingest, name: (String, String)) -> Result<u64> {
        let exists = file_table(self, &name.0, &name.1);
        let exists = match exists {
            Err(Error::NotFound(_)) => None,
            other => Some(other?),
        };
        let scope = Scope::of_session(self);
        match (ingest.mode, exists) {
            (IngestMode::Append | IngestMode::CreateAppend, Some(table)) => {
                let schema = decode_schema(&table.schema)?;
                let rows = conform(ingest.rows, &schema, &name.1)?;
                append(&scope, &table, rows).await
            }
            (IngestMode::Append, None) => {
                Err(Error::NotFound(format!("there is no table {}", name.1)))
            }
            (IngestMode::Create, Some(_)) => Err(Error::Conflict(format!(
                "there is a table {} already",
                name.1
            ))),
            (mode, _) => {
                let replace = mode == IngestMode::Replace;
                store_rows(&scope, &name, vec![ingest.rows], (replace, false)).await
            }
        }
    }

    /// Which files the session's tenant reaches.
    pub(crate) fn locations(&self) -> &TenantLocations {
        self.catalog.locations()
    }

    pub(crate) fn catalog(&self) -> &Arc<TenantCatalog> {
        &self.catalog
    }

    pub(crate) fn store(&self) -> &CatalogStore {
        &self.store
    }

    fn default_schema(&self) -> String {
        let state = self.context.state();
        state.config_options().catalog.default_schema.clone()
    }

    /// Schema and name of a table of the catalog's own, which a statement makes, fills or drops.
    pub(crate) fn own_table(&self, name: &ObjectName) -> Result<(String, String)> {
        let parts = parts(name)?;
        match parts.as_slice() {
            [table] => Ok((self.default_schema(), table.clone())),
            [schema, table] => Ok((schema.clone(), table.clone())),
            [catalog, schema, table] if catalog == CATALOG => Ok((schema.clone(), table.clone())),
            _ => Err(Error::Invalid(format!(
                "{name} is not a table of the catalog {CATALOG}"
            ))),
        }
    }

    /// Name of a schema of the catalog's own.
    pub(crate) fn own_schema(&self, name: &ObjectName) -> Result<String> {
        let parts = parts(name)?;
        match parts.as_slice() {
            [schema] => Ok(schema.clone()),
            [catalog, schema] if catalog == CATALOG => Ok(schema.clone()),
            _ => Err(Error::Invalid(format!(
                "{name} is not a schema of the catalog {CATALOG}"
            ))),
        }
    }

    /// The last part of a name.
    pub(crate) fn last_part(&self, name: &ObjectName) -> Result<String> {
        parts(name)?
            .pop()
            .ok_or_else(|| Error::Invalid("a name is expected".to_owned()))
    }

    /// Keeps a statement under a name.
    pub(crate) fn prepare(&self, name: &str, statement: Parsed) -> Result<()> {
        let share = match &self.served {
            Some(served) => Some(served.usage.prepared(statement.to_string().len())?),
            None => None,
        };
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if prepared.len() >= MAX_PREPARED {
            return Err(Error::Invalid(format!(
                "a session prepares {MAX_PREPARED} statements at most; DEALLOCATE some"
            )));
        }
        if prepared.contains_key(name) {
            return Err(Error::Conflict(format!(
                "there is a prepared statement {name} already; DEALLOCATE it first"
            )));
        }
        let _share = share;
        prepared.insert(name.to_owned(), Prepared { statement, _share });
        Ok(())
    }

    /// The statement that was prepared under a name.
    pub(crate) fn prepared(&self, name: &str) -> Result<Parsed> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let found = prepared.get(name);
        let found = found.map(|prepared| prepared.statement.clone());
        found.ok_or_else(|| Error::NotFound(format!("there is no prepared statement {name}")))
    }

    /// Forgets a prepared statement.
    pub(crate) fn deallocate(&self, name: &str) -> Result<()> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        match prepared.remove(name) {
            Some(_) => Ok(()),
            None => Err(Error::NotFound(format!(
                "there is no prepared statement {name}"
            ))),
        }
    }
}

/// The parts of a name: as written where they stand in quotation marks, else in small letters.
fn parts(name: &ObjectName) -> Result<Vec<String>> {
    let parts = name.0.iter().map(|part| match part.as_ident() {
        Some(Ident {
            value,
            quote_style: Some(_),
            ..
        }) => Ok(value.clone()),
        Some(ident) => Ok(ident.value.to_lowercase()),
        None => Err(Error::Invalid(format!("{name} is no name of a table"))),
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    if parts.iter().any(String::is_empty) {
        return Err(Error::Invalid("an empty name".to_owned()));
    }
    Ok(parts)
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Session")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
