//! What clients are told of errors: a gRPC status for each kind.

use arrow_flight::error::FlightError;
use planner::ErrorKind;
use tonic::{Code, Status};

use crate::error::Error;
use crate::names::PathNames;

/// Longest message, in bytes: it travels in a header, which clients bound.
const LONGEST: usize = 3072;

/// The status of an error.
pub(super) fn status(error: Error) -> Status {
    let code = code(&error);
    if code == Code::Internal {
        tracing::error!(error = %error, "a statement met a mistake of this program");
    }
    Status::new(code, shortened(error.to_string()))
}

fn code(error: &Error) -> Code {
    match error {
        Error::Unauthenticated(_) => return Code::Unauthenticated,
        Error::Forbidden(_) => return Code::PermissionDenied,
        Error::TooLong(_) => return Code::DeadlineExceeded,
        Error::Planner(planner::Error::Cancelled) => return Code::Cancelled,
        _ => {}
    }
    match error.kind() {
        // Values that break an expression or a rule are as wrong as a misspelt statement: the same
        // statement over the same data fails again.
        ErrorKind::Invalid | ErrorKind::Refused => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Conflict => Code::AlreadyExists,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Bug => Code::Internal,
    }
}

/// The status with names in place of the service's folders.
pub(super) fn with_names(status: Status, names: &PathNames) -> Status {
    match names.hide(status.message()) {
        Some(message) => Status::new(status.code(), message),
        None => status,
    }
}

/// The status of what a client sends and nobody can read.
pub(super) fn unreadable(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        FlightError::ExternalError(error) => Status::invalid_argument(shortened(error.to_string())),
        other => Status::invalid_argument(shortened(other.to_string())),
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST {
        let mut end = LONGEST;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use datafusion::error::DataFusionError;

    use super::*;

    /// Each kind of error has its status, whatever it is wrapped in; a long message is cut.
    #[test]
    fn kinds_have_statuses() {
        let wrong = || DataFusionError::Plan("no such column".to_owned());
        let cases = [
            (Error::Invalid("x".into()), Code::InvalidArgument),
            (Error::NotFound("x".into()), Code::NotFound),
            (Error::Conflict("x".into()), Code::AlreadyExists),
            (Error::Unauthenticated("x".into()), Code::Unauthenticated),
            (Error::Forbidden("x".into()), Code::PermissionDenied),
            (Error::Exhausted("x".into()), Code::ResourceExhausted),
            (Error::Audit("x".into()), Code::Unavailable),
            (Error::Bug("x"), Code::Internal),
            (Error::Planner(planner::Error::Cancelled), Code::Cancelled),
            (Error::from(wrong()), Code::InvalidArgument),
            (
                Error::from(wrong().context("while planning")),
                Code::InvalidArgument,
            ),
            (
                Error::from(DataFusionError::ResourcesExhausted("x".into())),
                Code::ResourceExhausted,
            ),
            (
                Error::from(DataFusionError::from(Error::NotFound("x".into()))),
                Code::NotFound,
            ),
        ];
        for (error, code) in cases {
            let text = error.to_string();
            assert_eq!(status(error).code(), code, "{text}");
        }
        let long = status(Error::Invalid("é".repeat(10_000)));
        assert!(long.message().len() < LONGEST + 8);
    }
}
