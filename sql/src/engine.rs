//! What the sessions of a process share.

use std::path::PathBuf;
use std::sync::Arc;

use planner::cluster::ClusterAddress;
use sqlx::SqlitePool;

use crate::error::Result;
use crate::session::Session;
use crate::store;

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
}

impl Engine {
    /// Opens the catalog in the engine's home, making both where there are none.
    pub async fn open(options: EngineOptions) -> Result<Self> {
        let store = store::open(&options.home).await?;
        Ok(Self {
            shared: Arc::new(Shared { options, store }),
        })
    }

    /// A session of somebody.
    pub fn session(&self, identity: Identity) -> Result<Session> {
        Session::new(self.clone(), identity)
    }
}
