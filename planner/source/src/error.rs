//! Errors of a source as a whole. An unreadable row is a [`BadRow`](super::BadRow), not an error.

use std::io;

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nothing readable exists at the location.
    #[error("{location}: nothing to read here: {reason}")]
    NotFound {
        /// The location as it was given.
        location: String,
        /// What was searched for.
        reason: String,
    },
    /// The location is malformed, or its scheme is not supported.
    #[error("{location}: {reason}")]
    Location {
        /// The location as it was given.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An option does not fit the data or another option.
    #[error("{path}: option {option}: {reason}")]
    Options {
        /// The file that it applies to.
        path: String,
        /// Name of the option.
        option: &'static str,
        /// What was expected.
        reason: String,
    },
    /// The content of a file does not have its format.
    #[error("{path}{}: {reason}", line.map(|l| format!(":{l}")).unwrap_or_default())]
    Content {
        /// The file.
        path: String,
        /// 1-based line, row or element, where it is known.
        line: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// The operating system or the store reported an error.
    #[error("{path}: cannot {doing}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The operation that failed.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The file has changed since it was indexed, or this is a bug.
    #[error("{path}: {reason}")]
    Bug {
        /// The file.
        path: String,
        /// What was found.
        reason: String,
    },
}

/// Classification of errors by their remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// The job must be changed.
    Invalid,
    /// The data must be changed.
    Unreadable,
    /// The location does not exist.
    NotFound,
    /// A retry may succeed.
    Unavailable,
    /// A bug.
    Bug,
}

impl SourceError {
    /// Returns the classification of the error.
    #[must_use]
    pub fn kind(&self) -> SourceErrorKind {
        match self {
            Self::NotFound { .. } => SourceErrorKind::NotFound,
            Self::Location { .. } | Self::Options { .. } => SourceErrorKind::Invalid,
            Self::Content { .. } => SourceErrorKind::Unreadable,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => SourceErrorKind::NotFound,
                io::ErrorKind::PermissionDenied
                | io::ErrorKind::InvalidData
                | io::ErrorKind::UnexpectedEof => SourceErrorKind::Unreadable,
                _ => SourceErrorKind::Unavailable,
            },
            Self::Bug { .. } => SourceErrorKind::Bug,
        }
    }

    pub(super) fn content(path: &str, line: Option<u64>, reason: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_owned(),
            line,
            reason: reason.into(),
        }
    }

    pub(super) fn io(path: &str, doing: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            doing,
            source,
        }
    }
}
