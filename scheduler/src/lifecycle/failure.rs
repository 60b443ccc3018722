//! Why an attempt failed, and whether another one may help.

use planner::{Error, ErrorKind};
use rand::Rng;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a job failed. Holds no value of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobFailure {
    /// What kind of wrong it is: invalid, not_found, conflict, exhausted, unavailable, refused, late
    /// (past its deadline), incomplete (its upload did not come) or bug.
    pub kind: String,
    /// What is wrong, and where.
    pub message: String,
}

impl JobFailure {
    pub(crate) fn new(kind: &str, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            message: message.into(),
        }
    }

    /// The failure, and whether another try may help.
    pub(crate) fn of(error: &Error) -> (Self, bool) {
        let (kind, again) = match error.kind() {
            ErrorKind::Invalid => ("invalid", false),
            ErrorKind::NotFound => ("not_found", false),
            ErrorKind::Conflict => ("conflict", true),
            // What others hold now may be free later.
            ErrorKind::Exhausted => ("exhausted", true),
            ErrorKind::Unavailable => ("unavailable", true),
            ErrorKind::Refused => ("refused", false),
            ErrorKind::Bug => ("bug", false),
        };
        let text = error.to_string();
        let line: Vec<&str> = text.lines().map(str::trim).collect();
        (Self::new(kind, line.join(" ")), again)
    }

    pub(crate) fn document(&self) -> serde_json::Value {
        serde_json::json!({"kind": self.kind, "message": self.message})
    }
}

/// Seconds until a job that has failed so often is tried again: twice as long each time, and never at the
/// same moment as others.
pub fn retry_delay(failures: i64) -> f64 {
    let base = f64::from(1 << failures.clamp(0, 6));
    base * rand::rng().random_range(0.75..1.25)
}
