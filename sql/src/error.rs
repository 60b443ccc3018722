//! What can go wrong with a statement, and what kind of wrong it is.

use datafusion::error::DataFusionError;
use planner::ErrorKind;
use planner::storage::LocationError;
use udfs::scalar::secret::SecretError;

/// An error of planning or running a statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Something that the statement names is not there.
    #[error("{0}")]
    NotFound(String),
    /// Something of the same name is there already, or somebody else changed it.
    #[error("{0}")]
    Conflict(String),
    /// Nobody with this name and password, or a token that is not, or no longer, one.
    #[error("{0}")]
    Unauthenticated(String),
    /// The login may not do it.
    #[error("{0}")]
    Forbidden(String),
    /// A limit of the user, the tenant or the server is reached.
    #[error("{0}")]
    Exhausted(String),
    /// The statement took longer than statements may.
    #[error("the statement took longer than {} s, the longest that a statement may take", .0.as_secs())]
    TooLong(std::time::Duration),
    /// The audit log cannot be written; nothing runs without its record.
    #[error("the audit log cannot be written: {0}")]
    Audit(#[source] AuditError),
    /// Cleaning failed.
    #[error(transparent)]
    Planner(#[from] planner::Error),
    /// The engine failed.
    #[error("{}", told(.0))]
    Engine(#[source] DataFusionError),
    /// The catalog's store failed.
    #[error("the catalog: {0}")]
    Store(#[from] sqlx::Error),
    /// Reading or writing a file failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: std::path::PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A document of our own could not be written or read.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A state that cannot be.
    #[error("internal error: {0}")]
    Bug(&'static str),
}

/// Why an event could not be recorded.
pub type AuditError = Box<dyn std::error::Error + Send + Sync>;

/// Result of planning or running a statement.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Reading or writing `path` failed.
    pub(crate) fn io(path: impl Into<std::path::PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    /// A statement names a location that it may not, or one that is none.
    pub(crate) fn location(location: &str, error: &LocationError) -> Self {
        Self::Invalid(format!("{location}: {error}"))
    }

    /// Kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::Unauthenticated(_) | Self::Forbidden(_) => ErrorKind::Invalid,
            Self::Exhausted(_) | Self::TooLong(_) => ErrorKind::Exhausted,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Planner(error) => error.kind(),
            Self::Engine(error) => engine_kind(error),
            Self::Store(_) | Self::Io { .. } | Self::Audit(_) => ErrorKind::Unavailable,
            Self::Json(_) | Self::Bug(_) => ErrorKind::Bug,
        }
    }
}

/// A wrong statement is its author's mistake, not the engine's.
fn engine_kind(error: &DataFusionError) -> ErrorKind {
    match error.find_root() {
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Diagnostic(..) => ErrorKind::Invalid,
        // What values do to an expression: a cast that fails, a division by zero, an overflow.
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => ErrorKind::Refused,
        DataFusionError::ResourcesExhausted(_) => ErrorKind::Exhausted,
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => ErrorKind::Unavailable,
        DataFusionError::External(inner) => match inner.downcast_ref::<planner::Error>() {
            Some(own) => own.kind(),
            None if inner.is::<SecretError>() => ErrorKind::Invalid,
            None => inner
                .downcast_ref::<Error>()
                .map_or(ErrorKind::Bug, Error::kind),
        },
        DataFusionError::Collection(errors) => errors.first().map_or(ErrorKind::Bug, engine_kind),
        _ => ErrorKind::Bug,
    }
}

/// What an error of the engine says, without the names of the engine's own kinds of errors.
fn told(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => one_line(&error.to_string()),
        DataFusionError::Plan(text)
        | DataFusionError::Configuration(text)
        | DataFusionError::NotImplemented(text)
        | DataFusionError::Execution(text)
        | DataFusionError::ResourcesExhausted(text) => without_attempts(text),
        DataFusionError::SQL(error, _) => error.to_string(),
        DataFusionError::ArrowError(error, _) => error.to_string(),
        DataFusionError::External(inner) => inner.to_string(),
        other => one_line(&other.to_string()),
    }
}

/// What a function does not take, without all that the engine tries before it says so, in one line.
fn without_attempts(text: &str) -> String {
    const OWN: &str = "user-defined coercion failed with: Error during planning: ";
    const ENGINE: &str = "No function matches the given name";
    let said = match (text.find(OWN), text.find(ENGINE)) {
        // What a function itself says is enough.
        (Some(at), end) => &text[at + OWN.len()..end.filter(|end| *end > at).unwrap_or(text.len())],
        (None, Some(at)) => &text[at..],
        (None, None) => text,
    };
    let end = said.find("This issue was likely caused by a bug");
    let said = &said[..end.unwrap_or(said.len())];
    one_line(said)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error of ours that went through the engine comes back as it was.
impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(inner) => match inner.downcast::<planner::Error>() {
                    Ok(own) => Self::Planner(*own),
                    Err(inner) => Self::Engine(DataFusionError::External(inner)),
                },
            },
            other => Self::Engine(other),
        }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Engine(error) => error,
            Error::Planner(error) => error.into(),
            other => Self::External(Box::new(other)),
        }
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Planner(error.into())
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Engine(error.into())
    }
}
