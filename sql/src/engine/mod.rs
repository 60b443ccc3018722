//! What the sessions of a process share: options, the catalog's database, memory, opened sources.

mod options;
mod sources;

pub use options::{Access, EngineOptions};
pub(crate) use sources::Opened;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use planner::private;
use planner::storage::RootedStores;
use sqlx::SqlitePool;

use crate::error::{Error, Result};
use crate::store;
use sources::OpenedSources;

/// Bytes of stack of the threads on which statements are planned: the trees of a long statement are
/// deep, and what walks and drops them calls itself.
pub const STACK_BYTES: usize = 64 << 20;

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

/// What the sessions of a process share. Clones are cheap, and the same engine.
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
    /// Opens the catalog's database in the home, and creates both where there are none.
    ///
    /// # Errors
    /// When the home or the database cannot be created, opened or migrated.
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

    /// Returns how the engine runs.
    pub fn options(&self) -> &EngineOptions {
        &self.shared.options
    }

    /// Returns a state for reading files to find out their columns.
    pub(crate) fn reading_state(&self) -> SessionState {
        let runtime = Arc::clone(&self.shared.runtime);
        SessionContext::new_with_config_rt(SessionConfig::new(), runtime).state()
    }

    /// Returns the memory pool that all statements share.
    pub(crate) fn memory(&self) -> Arc<dyn MemoryPool> {
        Arc::clone(&self.shared.runtime.memory_pool)
    }
}
