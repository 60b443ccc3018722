//! Errors across processes. Ballista tells the driver of a failure in its debug notation only, so
//! an executor puts its errors into an envelope that survives it.

use std::fmt::{self, Debug, Display};
use std::io;

use ballista_core::error::BallistaError;
use datafusion::error::DataFusionError;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// What an envelope begins with.
const MARK: &str = "sanitizer-error:";

/// An error as it is told to another process.
#[derive(Clone, Serialize, Deserialize)]
struct Told {
    kind: ErrorKind,
    message: String,
}

// Ballista sends the debug notation.
impl Debug for Told {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        write!(to, "{MARK}{json}")
    }
}

impl Display for Told {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.message)
    }
}

impl std::error::Error for Told {}

/// An executor's error in the form in which it reaches the driver. What another try may mend is told
/// to Ballista as such: it tries the task again, elsewhere if it can.
pub(crate) fn tell(error: Error) -> DataFusionError {
    let told = Told {
        kind: error.kind(),
        message: if error.is_out_of_memory() {
            format!("an executor has too little memory for its tasks ({error}); raise its limit")
        } else {
            error.to_string()
        },
    };
    match told.kind {
        ErrorKind::Unavailable | ErrorKind::NotFound => {
            let error = io::Error::other(told);
            DataFusionError::External(Box::new(BallistaError::IoError(error)))
        }
        ErrorKind::Exhausted if !error.is_out_of_memory() => {
            let error = io::Error::other(told);
            DataFusionError::External(Box::new(BallistaError::IoError(error)))
        }
        _ => DataFusionError::External(Box::new(told)),
    }
}

/// A failure of a job as Ballista tells it.
pub(crate) fn cluster_failure(text: &str) -> Error {
    let told = text.find(MARK).and_then(|start| {
        let json = &text[start + MARK.len()..];
        let mut documents = serde_json::Deserializer::from_str(json).into_iter::<Told>();
        documents.next()?.ok()
    });
    match told {
        Some(told) => Error::Remote {
            kind: told.kind,
            message: told.message,
        },
        // Ballista's own words come in several lines.
        None => Error::Cluster {
            problem: text.split_whitespace().collect::<Vec<_>>().join(" "),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use ballista_core::serde::protobuf::FailedTask;

    use super::*;

    /// An error comes out of Ballista's notation as it was, whatever it is wrapped in; only what
    /// another try may mend is tried again.
    #[test]
    fn an_error_on_its_way() {
        let violation = Error::Violation {
            transformation_id: "t-3".to_owned(),
            row_id: 7,
            column: "a \"quoted\"\nname}".to_owned(),
            rule: "unique".to_owned(),
        };
        let full = Error::io(
            std::path::Path::new("/data/x"),
            io::Error::from(io::ErrorKind::StorageFull),
        );
        for (error, again) in [(violation, false), (full, true)] {
            let (kind, message) = (error.kind(), error.to_string());
            let error = tell(error).context("writing");
            let task = FailedTask::from(BallistaError::from(error));
            assert_eq!(task.retryable, again, "{task:?}");
            let text = format!("Job failed due to stage 1 failed: {}\n", task.error);
            match cluster_failure(&text) {
                Error::Remote {
                    kind: k,
                    message: m,
                } => assert_eq!((k, m), (kind, message)),
                other => panic!("{other:?}"),
            }
        }
        let plain = cluster_failure("no executors");
        assert_eq!(plain.kind(), ErrorKind::Unavailable);
        assert!(plain.to_string().contains("no executors"));
    }
}
