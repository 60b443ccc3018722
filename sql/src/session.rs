//! One person's session: settings, and the tables of their tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::CatalogProvider;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::ObjectName;
use planner::session::session_in;
use udfs::scalar::pii_hash::PiiHashFunction;

use crate::catalog::{
    CatalogStore, Guarded, GuardedCatalog, JobsCatalog, TenantCatalog, TenantLocations,
};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::grants::{Action, dataset_of};
use crate::identifiers::{CATALOG, JOBS, PUBLIC, parts};
use crate::identity::Identity;
use crate::served::Served;
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

impl Engine {
    /// Opens a session that may do everything within its tenant.
    ///
    /// # Errors
    /// When a root of the tenant is not a location, or the folder of its tables cannot be created.
    pub fn session(&self, identity: Identity) -> Result<Session> {
        Session::with(self.clone(), identity, None)
    }
}

impl Session {
    /// Opens a session of the service, for a login that may do what its grants say.
    ///
    /// # Errors
    /// When a root of the tenant is not a location, or the folder of its tables cannot be created.
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

    /// Returns the engine that the session belongs to.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns DataFusion's session: catalogs, functions and settings.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Looks the catalog's names up anew, as every statement does; what [`Session::context`] lists is
    /// what they were then.
    ///
    /// # Errors
    /// When the catalog's database cannot be read.
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

    /// Returns the names of the stored specs.
    pub fn spec_names(&self) -> Vec<String> {
        self.catalog.snapshot().specs.keys().cloned().collect()
    }

    /// Returns what a session of the service has; none for a session of this process.
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

    /// Returns which files the session's tenant reaches.
    pub(crate) fn locations(&self) -> &TenantLocations {
        self.catalog.locations()
    }

    /// Returns the catalog of the tenant's tables.
    pub(crate) fn catalog(&self) -> &Arc<TenantCatalog> {
        &self.catalog
    }

    /// Returns where the tenant's names last.
    pub(crate) fn store(&self) -> &CatalogStore {
        &self.store
    }

    /// Returns the schema in which unqualified names are looked up.
    pub(crate) fn default_schema(&self) -> String {
        let state = self.context.state();
        state.config_options().catalog.default_schema.clone()
    }

    /// Returns schema and name of a table of the catalog's own, which a statement creates, fills or drops.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name is one of another catalog, or none.
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

    /// Returns the name of a schema of the catalog's own.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name is one of another catalog, or none.
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

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Session")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
