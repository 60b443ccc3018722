//! How jobs are worked on.

use std::time::Duration;

use planner::cluster::ClusterAddress;

/// How jobs are worked on.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Jobs at the same time.
    pub jobs: usize,
    /// Time after which a job whose worker is silent goes to another one.
    pub lease: Duration,
    /// Memory of all jobs together.
    pub memory_limit: u64,
    /// The cluster whose executors do the work; this process when none.
    pub cluster: Option<ClusterAddress>,
    /// The most changed cells of a job that go to the metadata store; when none, 100,000 to Postgres and 10,000 to
    /// SQLite.
    pub provenance_limit: Option<usize>,
    /// Threads that jobs of this process use.
    pub threads: usize,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            jobs: 2,
            lease: Duration::from_secs(20),
            memory_limit: 4 << 30,
            cluster: None,
            provenance_limit: None,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}
