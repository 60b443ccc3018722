//! What the sessions of a process share.

use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use planner::cluster::ClusterAddress;
use planner::private;
use planner::spec::Secret;
use planner::storage::{LocationPolicy, Place, RootedStores, TenantRoots};
use sqlx::SqlitePool;
use udfs::scalar::secret::{SecretAccess, SecretError, SecretReference};

use crate::catalog::{CatalogStore, FinishedOutput};
use crate::error::{Error, Result};
use crate::session::Session;
use crate::store;
use crate::table::OpenedSources;

/// Bytes of stack of the threads on which statements are planned: the trees of a long statement are
/// deep, and what walks and drops them calls itself.
pub const STACK_BYTES: usize = 64 << 20;

/// How an engine runs.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Folder of the catalog's store, of tables made by statements, and of what is staged. On a
    /// cluster every executor must see it under the same path.
    pub home: PathBuf,
    /// Where relative locations of statements start.
    pub base: PathBuf,
    /// The cluster whose executors run statements; this process when none.
    pub cluster: Option<ClusterAddress>,
    /// Most bytes that the statements of the process hold in memory.
    pub memory_limit: usize,
    /// Threads that a statement uses.
    pub threads: usize,
    /// Which locations statements may name.
    pub access: Access,
    /// What no statement of a tenant reaches, whatever its roots are, beside the home: databases, keys, outputs.
    pub closed: Vec<PathBuf>,
    /// Secrets that statements may name, each derived for the tenant of the session; any secret, as it is, when none.
    pub secrets: Option<Vec<Secret>>,
    /// Rows of a split, the least that a task works on: a multiple of 8,192. As many as the number of
    /// columns suggests when none.
    pub rows_per_split: Option<u64>,
}

/// Which locations statements may name, beside the tables of the catalog's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Any that the process can reach: whoever writes statements is who runs the process.
    #[default]
    All,
    /// For each tenant, those below its roots.
    Tenants(TenantRoots),
}

impl EngineOptions {
    /// An engine of this process for whoever runs it: all cores, 4 GiB, any location.
    pub fn new(home: PathBuf, base: PathBuf) -> Self {
        Self {
            home,
            base,
            cluster: None,
            memory_limit: 4 << 30,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            access: Access::All,
            closed: Vec::new(),
            secrets: None,
            rows_per_split: None,
        }
    }

    /// The locations that the statements of a tenant may name.
    ///
    /// # Errors
    /// When a root of the tenant is not a location.
    pub(crate) fn locations(&self, tenant: &str) -> Result<LocationPolicy> {
        let roots = match &self.access {
            Access::All => return Ok(LocationPolicy::everything(&self.base)),
            Access::Tenants(roots) => roots,
        };
        let closed = [slice::from_ref(&self.home), &self.closed].concat();
        let policy = LocationPolicy::below(&self.base, roots.of(tenant), &closed);
        policy.map_err(|error| Error::Invalid(error.to_string()))
    }

    /// The folder of the tables that a tenant's statements make.
    pub(crate) fn warehouse(&self, tenant: &str) -> PathBuf {
        // A name of a tenant may hold any character, and must be no way elsewhere.
        let mut folder: String = url::form_urlencoded::byte_serialize(tenant.as_bytes()).collect();
        if folder.bytes().all(|byte| byte == b'.') {
            folder = format!("%{}", folder.replace('.', "2E"));
        }
        self.home.join("warehouse").join(folder)
    }

    /// The locations of the tables that a tenant's statements have made.
    pub(crate) fn own_tables(&self, tenant: &str) -> Result<LocationPolicy> {
        let warehouse = self.warehouse(tenant);
        private::folder(&warehouse).map_err(|error| Error::io(&warehouse, error))?;
        let root = warehouse.to_string_lossy();
        let policy = LocationPolicy::below(&warehouse, [root.as_ref()], &[]);
        policy.map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Refuses credentials that statements may not name.
    pub(crate) fn check_secret(&self, secret: Option<&Secret>) -> Result<()> {
        match (&self.secrets, secret) {
            (Some(allowed), Some(secret)) if !allowed.contains(secret) => {
                Err(Error::Invalid(SecretError::NotAllowed.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Which secrets the statements of a tenant may name, and what a name stands for.
    pub(crate) fn secret_access(&self, tenant: &str) -> SecretAccess {
        match &self.secrets {
            None => SecretAccess::Any,
            Some(allowed) => SecretAccess::Tenant {
                name: tenant.to_owned(),
                allowed: allowed.iter().map(SecretReference::from).collect(),
            },
        }
    }
}

/// Age at which what a process has staged is taken for left behind: no statement runs for so long.
const LEFT_BEHIND: Duration = Duration::from_secs(7 * 24 * 3600);

/// Deletes what processes that were killed have staged.
fn sweep(staging: &Path) {
    let entries = std::fs::read_dir(staging).into_iter().flatten().flatten();
    for entry in entries {
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let age = changed.ok().and_then(|changed| changed.elapsed().ok());
        if age.is_some_and(|age| age > LEFT_BEHIND) {
            // Whatever stays is tried again by the next process.
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

/// Who works in a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Name of the person or program.
    pub user: String,
    /// Whose tables are seen.
    pub tenant: String,
}

/// What the sessions of a process share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

/// What is shared.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    pub(crate) store: SqlitePool,
    pub(crate) sources: OpenedSources,
    pub(crate) runtime: Arc<RuntimeEnv>,
}

impl Engine {
    /// Opens the catalog in the engine's home, making both where there are none.
    pub async fn open(mut options: EngineOptions) -> Result<Self> {
        private::folder(&options.home).map_err(|error| Error::io(&options.home, error))?;
        // Names of files in plans mean the same to every process.
        let home = options.home.canonicalize();
        options.home = home.map_err(|error| Error::io(&options.home, error))?;
        let store = store::open(&options.home).await?;
        let spill = options.home.join("staging");
        private::folder(&spill).map_err(|error| Error::io(&spill, error))?;
        sweep(&spill);
        let disk =
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![spill]));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(options.memory_limit)))
            .with_disk_manager_builder(disk)
            .with_object_store_registry(Arc::new(RootedStores::default()))
            .build_arc()?;
        Ok(Self {
            shared: Arc::new(Shared {
                options,
                store,
                sources: OpenedSources::default(),
                runtime,
            }),
        })
    }

    /// A session of somebody.
    pub fn session(&self, identity: Identity) -> Result<Session> {
        Session::new(self.clone(), identity)
    }

    /// How it runs.
    pub fn options(&self) -> &EngineOptions {
        &self.shared.options
    }

    /// Remembers the output of a job that has finished: its tables are `jobs.<name>.data` and so on.
    /// The files are those that the manifest names.
    pub async fn remember_job(
        &self,
        tenant: &str,
        name: &str,
        output: &Place,
        credentials: Option<Secret>,
        files: impl IntoIterator<Item = String>,
    ) -> Result<()> {
        let output = FinishedOutput::of(output, credentials, files);
        let store = CatalogStore::new(self.shared.store.clone(), tenant);
        store
            .finish_job(name, &serde_json::to_string(&output)?)
            .await
    }

    /// A state that reads files to find out their columns.
    pub(crate) fn reading_state(&self) -> SessionState {
        let runtime = Arc::clone(&self.shared.runtime);
        SessionContext::new_with_config_rt(SessionConfig::new(), runtime).state()
    }

    pub(crate) fn memory(&self) -> Arc<dyn MemoryPool> {
        Arc::clone(&self.shared.runtime.memory_pool)
    }
}
