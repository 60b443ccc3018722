//! The audit log of the service: logins, statements, their ends, refusals, and reads of columns of
//! personal data. Records hold names and figures, never values.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::error::{AuditError, Error, Result};

/// Something to record.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// Name of the tenant whose log it belongs to; none where nobody knows who asked.
    pub tenant: Option<String>,
    /// Who did it: `sql:NAME` after a login with a password, `sql-key:ID` with a key.
    pub actor: String,
    /// What was done: `sql_login`, `sql_login_failed`, `sql_statement`, `sql_pii_read`,
    /// `sql_statement_ended` or `sql_refused`.
    pub action: &'static str,
    /// What it was done to: the kind of statement, or the user.
    pub subject: String,
    /// What else is worth knowing: names of tables and columns, figures, the outcome.
    pub details: Value,
}

/// The audit log that the SQL front end writes to. A statement whose record cannot be written does not
/// run.
#[async_trait]
pub trait AuditLog: std::fmt::Debug + Send + Sync {
    /// Appends an event; returns when it is durable.
    ///
    /// # Errors
    /// Whatever kept it from being written.
    async fn append(&self, event: AuditEvent) -> Result<(), AuditError>;

    /// Returns the names of the tenants that are suspended. Their sessions end, and nobody of them
    /// logs in.
    ///
    /// # Errors
    /// Whatever kept the answer from being known; sessions then stay as they are.
    async fn suspended_tenants(&self) -> Result<BTreeSet<String>, AuditError> {
        Ok(BTreeSet::new())
    }
}

/// Appends an event to a log, if there is one.
///
/// # Errors
/// [`Error::Audit`] where the log cannot be written.
pub(crate) async fn append(log: Option<&Arc<dyn AuditLog>>, event: AuditEvent) -> Result<()> {
    let Some(log) = log else { return Ok(()) };
    log.append(event).await.map_err(Error::Audit)
}
