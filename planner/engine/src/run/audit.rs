//! The ordered list of what a job did: `audit.json`.

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

/// One action of a job.
#[derive(Debug, Clone, Serialize)]
pub(super) struct AuditEntry {
    /// What was done.
    pub(super) action: &'static str,
    /// To what, with which result.
    pub(super) details: Value,
    /// When (RFC 3339, UTC).
    pub(super) at: String,
}

/// The actions of a job, in order.
#[derive(Debug, Default)]
pub(super) struct Audit(Vec<AuditEntry>);

impl Audit {
    /// Adds an action that has just been done.
    pub(super) fn record(&mut self, action: &'static str, details: Value) {
        self.0.push(AuditEntry {
            action,
            details,
            at: now(),
        });
    }

    /// The list as a document.
    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(&self.0)
    }
}

/// This moment (RFC 3339, UTC).
pub(super) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}
