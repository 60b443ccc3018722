//! What can go wrong with an executor.

use ballista_core::error::BallistaError;
use planner::cluster::{ListenError, MemberTlsError};

/// What can go wrong with an executor.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The address of the scheduler is none.
    #[error("scheduler: {0}")]
    Scheduler(String),
    /// The executor cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificates of the cluster cannot be used.
    #[error(transparent)]
    Tls(#[from] MemberTlsError),
    /// The work directory cannot be created.
    #[error("the work directory cannot be created: {0}")]
    WorkDir(std::io::Error),
    /// The system does not tell how much memory there is.
    #[error("the memory of this machine is unknown: set memory_limit")]
    UnknownMemory,
    /// The memory of a task would be none.
    #[error("memory_limit: {limit} bytes are too few for {slots} slots")]
    TooLittleMemory {
        /// Memory of all tasks, in bytes.
        limit: u64,
        /// Tasks at the same time.
        slots: usize,
    },
    /// Threads or signal handlers cannot be created.
    #[error("the executor does not start: {0}")]
    Start(std::io::Error),
    /// The scheduler did not answer in time.
    #[error("{scheduler} does not answer: {problem}")]
    Unreachable {
        /// The scheduler.
        scheduler: String,
        /// What was found instead.
        problem: String,
    },
    /// The scheduler does not take the executor.
    #[error("the scheduler refused this executor")]
    Refused,
    /// The scheduler has heard nothing of the executor for long, and given its tasks to others.
    #[error("the scheduler has given this executor up")]
    GivenUp,
    /// The scheduler did not answer several heartbeats.
    #[error("the scheduler does not answer any more")]
    SchedulerLost,
    /// A service failed.
    #[error("the executor failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// Ballista's executor failed.
    #[error("the executor failed: {0}")]
    Ballista(#[from] BallistaError),
}
