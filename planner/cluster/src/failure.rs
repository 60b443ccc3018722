//! Failures of jobs as Ballista tells them.

use planner_engine::{Error, remote_error};

/// A failure of a job as Ballista tells it.
pub(crate) fn cluster_failure(text: &str) -> Error {
    remote_error(text).unwrap_or_else(|| Error::Cluster {
        // Ballista's own words come in several lines.
        problem: text.split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::io;

    use ballista_core::error::BallistaError;
    use ballista_core::serde::protobuf::FailedTask;
    use planner_engine::{ErrorKind, failure_for_driver};

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
        let full = Error::Io {
            path: "/data/x".into(),
            source: io::Error::from(io::ErrorKind::StorageFull),
        };
        for (error, again) in [(violation, false), (full, true)] {
            let (kind, message) = (error.kind(), error.to_string());
            let error = failure_for_driver(error).context("writing");
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
