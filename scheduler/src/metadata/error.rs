//! What can go wrong with the metadata.

use planner::telemetry::METRICS;

/// An error of the metadata store.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// What is asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// It is not there, or not the asker's.
    #[error("{0}")]
    NotFound(String),
    /// Something stands in the way that is there already.
    #[error("{0}")]
    Conflict(String),
    /// An idempotency key that came with another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// A tenant has as many jobs in the queue as it may have.
    #[error("the queue is full: {queued} jobs wait already")]
    QueueFull {
        /// Jobs that wait.
        queued: i64,
    },
    /// A tenant has had as many rows cleaned this month as it may.
    #[error(
        "the quota of {limit} rows for this month is spent: {held} are used or reserved, and {rows} more are needed"
    )]
    QuotaSpent {
        /// Rows that it may have.
        limit: i64,
        /// Rows that it has used, and that its jobs hold which have not ended.
        held: i64,
        /// Rows that are asked for.
        rows: i64,
    },
    /// A tenant keeps as many bytes as it may.
    #[error("the storage of the tenant is full: it may keep {limit} bytes of uploads and outputs")]
    StorageSpent {
        /// Bytes that it may keep.
        limit: i64,
    },
    /// The job is somebody else's by now: whoever gets this must stop.
    #[error("the lease of the job is lost")]
    Fenced,
    /// The store does not answer; another try may help.
    #[error("the metadata store does not answer: {0}")]
    Unavailable(String),
    /// The store refuses a statement, or holds what it should not.
    #[error("the metadata store failed: {0}")]
    Failed(String),
}

/// Result of using the metadata.
pub type Result<T, E = MetadataError> = std::result::Result<T, E>;

impl MetadataError {
    /// Whether another try may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// The same of a file, which the database does not name.
    pub(crate) fn of_file(self, path: impl std::fmt::Display) -> Self {
        match self {
            Self::Unavailable(problem) => Self::Unavailable(format!("{path}: {problem}")),
            Self::Failed(problem) => Self::Failed(format!("{path}: {problem}")),
            other => other,
        }
    }

    /// A document or name in the store that cannot be read.
    pub(super) fn corrupt(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }
}

impl From<sqlx::Error> for MetadataError {
    fn from(error: sqlx::Error) -> Self {
        let error = Self::of(error);
        match &error {
            Self::Unavailable(_) => METRICS.database_errors.count(["unavailable"]),
            Self::Failed(_) => METRICS.database_errors.count(["failed"]),
            _ => {}
        }
        error
    }
}

impl MetadataError {
    fn of(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed => Self::Unavailable(error.to_string()),
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                // Connection exceptions, shutdowns, deadlocks, serialization failures, no room for
                // connections; SQLite's busy and locked.
                let transient = code.starts_with("08")
                    || code.starts_with("57P")
                    || code.starts_with("53")
                    || matches!(
                        code.as_ref(),
                        "40001" | "40P01" | "55P03" | "5" | "6" | "517"
                    );
                if transient {
                    Self::Unavailable(database.message().to_owned())
                } else if database.is_unique_violation() {
                    Self::Conflict("it is there already".to_owned())
                } else if database.is_foreign_key_violation() {
                    Self::NotFound("something that it names is not there".to_owned())
                } else {
                    Self::Failed(database.message().to_owned())
                }
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for MetadataError {
    fn from(error: serde_json::Error) -> Self {
        Self::corrupt("a document", error)
    }
}
