//! What can go wrong with a job, and what kind of wrong it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::error::DataFusionError;
use planner_base::{ByteSize, ThreadDied};
use serde::{Deserialize, Serialize};

use crate::source::SourceErrorKind;
use crate::storage::{ObjectPlace, Place};

/// Kind of an error: decides the exit status, the HTTP status and whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The job or the command is wrong; the same job fails again.
    Invalid,
    /// Something that the job names is not there.
    NotFound,
    /// Something stands in the way that somebody else put there.
    Conflict,
    /// A limit of memory, disk or time is spent.
    Exhausted,
    /// A system that the job needs does not answer.
    Unavailable,
    /// The data cannot be read, or breaks a rule that was to fail the job.
    Refused,
    /// A mistake of this program.
    Bug,
}

/// An error of planning or running a job.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A spec that cannot be right, with the path of the field.
    #[error("{file}: {field}: {problem}")]
    Spec {
        /// File of the spec, or a word for where it came from.
        file: String,
        /// Path of the field, such as `steps[2].columns`.
        field: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A step or contract that does not fit the data.
    #[error("{field}: {problem}")]
    Field {
        /// Path of the field.
        field: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A secret that cannot be resolved.
    #[error("the secret {name} {problem}")]
    Secret {
        /// Name of the secret.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] crate::source::SourceError),
    /// The contract does not fit.
    #[error(transparent)]
    Contract(#[from] crate::contract::ContractError),
    /// The report cannot be rendered.
    #[error(transparent)]
    Report(#[from] crate::report::ReportError),
    /// The output folder holds something that this program did not write.
    #[error("{}: {problem}", path.display())]
    Output {
        /// The output folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A row breaks a rule with `on_violation: fail`.
    #[error("{transformation_id}: row {row_id} breaks the rule {rule} of column {column:?}")]
    Violation {
        /// Transformation with the rule.
        transformation_id: String,
        /// First row that breaks it.
        row_id: u64,
        /// Column of the rule.
        column: String,
        /// Name of the rule.
        rule: String,
    },
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The memory limit is spent.
    #[error("options.memory_limit ({limit}) is too small for {what}; raise it")]
    Memory {
        /// What asked for memory.
        what: String,
        /// The limit.
        limit: ByteSize,
    },
    /// The cluster failed, or does not answer.
    #[error("cluster: {problem}")]
    Cluster {
        /// What is wrong.
        problem: String,
    },
    /// An error of another process.
    #[error("{message}")]
    Remote {
        /// Kind of the error.
        kind: ErrorKind,
        /// What it said.
        message: String,
    },
    /// Somebody asked the job to stop.
    #[error("cancelled")]
    Cancelled,
    /// The engine failed.
    #[error("{0}")]
    Engine(#[source] DataFusionError),
    /// An Arrow kernel failed.
    #[error("{0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// Writing Parquet failed.
    #[error("{0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// A document of our own could not be written or read.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A state that cannot be.
    #[error("internal error: {0}")]
    Bug(&'static str),
}

/// How an error names a place. A name is nothing that can be opened.
pub(crate) struct PlaceName(PathBuf);

impl From<PathBuf> for PlaceName {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl From<&PathBuf> for PlaceName {
    fn from(path: &PathBuf) -> Self {
        Self(path.clone())
    }
}

impl From<&Path> for PlaceName {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl From<&Place> for PlaceName {
    fn from(place: &Place) -> Self {
        Self(place.to_string().into())
    }
}

impl From<Place> for PlaceName {
    fn from(place: Place) -> Self {
        Self::from(&place)
    }
}

impl From<&ObjectPlace> for PlaceName {
    fn from(object: &ObjectPlace) -> Self {
        Self(object.to_string().into())
    }
}

impl Error {
    /// A step or contract field that is wrong.
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// Reading or writing `path` failed.
    pub(crate) fn io(path: impl Into<PlaceName>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into().0,
            source,
        }
    }

    /// Whether the memory pool refused, however the refusal is wrapped.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let shared = error.downcast_ref::<Arc<DataFusionError>>();
            let engine = error.downcast_ref().or(shared.map(Arc::as_ref));
            if matches!(engine, Some(DataFusionError::ResourcesExhausted(_))) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Spec { .. } | Self::Field { .. } | Self::Secret { .. } | Self::Contract(_) => {
                ErrorKind::Invalid
            }
            Self::Source(error) => match error.kind() {
                SourceErrorKind::Invalid => ErrorKind::Invalid,
                SourceErrorKind::Unreadable => ErrorKind::Refused,
                SourceErrorKind::NotFound => ErrorKind::NotFound,
                SourceErrorKind::Unavailable => ErrorKind::Unavailable,
                SourceErrorKind::Bug => ErrorKind::Bug,
            },
            Self::Output { .. } => ErrorKind::Conflict,
            Self::Violation { .. } => ErrorKind::Refused,
            Self::Io { source, .. } => io_kind(source.kind()),
            Self::Memory { .. } => ErrorKind::Exhausted,
            Self::Cancelled | Self::Cluster { .. } => ErrorKind::Unavailable,
            Self::Remote { kind, .. } => *kind,
            Self::Engine(_) | Self::Arrow(_) if self.is_out_of_memory() => ErrorKind::Exhausted,
            Self::Engine(_) | Self::Report(_) | Self::Arrow(_) | Self::Json(_) | Self::Bug(_) => {
                ErrorKind::Bug
            }
            Self::Parquet(error) => match error {
                parquet::errors::ParquetError::External(inner) => inner
                    .downcast_ref::<std::io::Error>()
                    .map_or(ErrorKind::Bug, |error| io_kind(error.kind())),
                _ => ErrorKind::Bug,
            },
        }
    }
}

fn io_kind(kind: std::io::ErrorKind) -> ErrorKind {
    use std::io::ErrorKind as Io;
    match kind {
        Io::NotFound => ErrorKind::NotFound,
        Io::StorageFull | Io::QuotaExceeded | Io::OutOfMemory => ErrorKind::Exhausted,
        _ => ErrorKind::Unavailable,
    }
}

impl From<ThreadDied> for Error {
    fn from(_: ThreadDied) -> Self {
        Self::Bug("a thread died")
    }
}

/// An error of ours that went through the engine comes back as it was.
impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(inner) => Self::Engine(DataFusionError::External(inner)),
            },
            other => Self::Engine(other),
        }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Engine(error) => error,
            other => Self::External(Box::new(other)),
        }
    }
}

/// Result of planning or running a job.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;

    use super::*;

    /// A refusal of the memory pool is found behind whatever the engine wraps it in; an error of
    /// ours comes back from the engine as it was.
    #[test]
    fn what_the_engine_wraps() {
        let refusal = || DataFusionError::ResourcesExhausted("no room".to_owned());
        let wrapped = [
            refusal(),
            refusal().context("sorting"),
            DataFusionError::Shared(Arc::new(refusal())),
            DataFusionError::External(Box::new(refusal())),
            DataFusionError::External(Box::new(Arc::new(refusal()))),
            ArrowError::ExternalError(Box::new(refusal())).into(),
        ];
        for error in wrapped {
            let error = Error::from(error);
            assert!(error.is_out_of_memory(), "{error:?}");
            assert_eq!(error.kind(), ErrorKind::Exhausted, "{error:?}");
        }
        let other = Error::from(DataFusionError::Internal("x".to_owned()));
        assert!(!other.is_out_of_memory());
        let back = Error::from(DataFusionError::from(Error::Cancelled));
        assert!(matches!(back, Error::Cancelled), "{back:?}");
    }
}
