//! How an engine runs, and what follows from it for a tenant: locations, folders, secrets.

use std::path::PathBuf;
use std::slice;

use planner::cluster::ClusterAddress;
use planner::private;
use planner::spec::Secret;
use planner::storage::{LocationPolicy, TenantRoots};
use udfs::scalar::secret::{SecretAccess, SecretError, SecretReference};

use crate::error::{Error, Result};

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
    /// Returns the options of an engine for the user who runs the process: all cores, 4 GiB, any location.
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

    /// Returns the locations that the statements of a tenant may name.
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

    /// Returns the folder of the tables that a tenant's statements create.
    pub(crate) fn warehouse(&self, tenant: &str) -> PathBuf {
        // A name of a tenant may hold any character, and must be no way elsewhere.
        let mut folder: String = url::form_urlencoded::byte_serialize(tenant.as_bytes()).collect();
        if folder.bytes().all(|byte| byte == b'.') {
            folder = format!("%{}", folder.replace('.', "2E"));
        }
        self.home.join("warehouse").join(folder)
    }

    /// Returns the locations of the tables that a tenant's statements have created, and creates their folder.
    ///
    /// # Errors
    /// When the folder cannot be created, or is not a location.
    pub(crate) fn own_tables(&self, tenant: &str) -> Result<LocationPolicy> {
        let warehouse = self.warehouse(tenant);
        private::folder(&warehouse).map_err(|error| Error::io(&warehouse, error))?;
        let root = warehouse.to_string_lossy();
        let policy = LocationPolicy::below(&warehouse, [root.as_ref()], &[]);
        policy.map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Creates a temporary folder for a statement or a source; it is deleted when it is dropped.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub(crate) fn staging_folder(&self) -> Result<tempfile::TempDir> {
        let folder = self.home.join("staging");
        private::folder(&folder).map_err(|error| Error::io(&folder, error))?;
        tempfile::tempdir_in(&folder).map_err(|error| Error::io(folder, error))
    }

    /// Refuses credentials that statements may not name.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the secret is not one of those that statements may name.
    pub(crate) fn check_secret(&self, secret: Option<&Secret>) -> Result<()> {
        match (&self.secrets, secret) {
            (Some(allowed), Some(secret)) if !allowed.contains(secret) => {
                Err(Error::Invalid(SecretError::NotAllowed.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Returns which secrets the statements of a tenant may name, and what a name stands for.
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
