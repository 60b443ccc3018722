//! What can be wrong with a source as a whole. What is wrong with one row is a
//! [`BadRow`](super::BadRow), not an error.

use std::io;

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nothing lies at the location.
    #[error("{location}: nothing to read here: {reason}")]
    NotFound {
        /// The location as it was given.
        location: String,
        /// What was looked for.
        reason: String,
    },
    /// The location cannot be understood or its scheme cannot be read.
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
        /// The file it was meant for.
        path: String,
        /// Name of the option.
        option: &'static str,
        /// What was expected.
        reason: String,
    },
    /// The content of a file is not what its format asks for.
    #[error("{path}{}: {reason}", line.map(|l| format!(":{l}")).unwrap_or_default())]
    Content {
        /// The file.
        path: String,
        /// 1-based line, row or element, where it is known.
        line: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused.
    #[error("{path}: cannot {doing}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What was being done.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not what it was when it was indexed, or the code is wrong.
    #[error("{path}: {reason}")]
    Bug {
        /// The file.
        path: String,
        /// What was found.
        reason: String,
    },
}

/// What is to be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// The job has to change.
    Invalid,
    /// The data has to change.
    Unreadable,
    /// Nothing lies there.
    NotFound,
    /// Trying again may help.
    Unavailable,
    /// Not the person's fault.
    Bug,
}

impl SourceError {
    /// What is to be done about it.
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
