//! What a session of the service has beside one of a process: who asked, what they may, where it is
//! recorded, and how much it may use.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::audit::AuditLog;
use crate::error::{Error, Result};
use crate::grants::Grants;
use crate::names::PathNames;
use crate::usage::Usage;

/// Longest text of statements that a client sends, in bytes.
pub(crate) const STATEMENT_BYTES: usize = 1 << 20;

/// What a session of the service has.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// What the login may do.
    pub(crate) grants: Grants,
    /// The login, as the audit log has it: `sql:NAME` for a password, `sql-key:ID` for a key.
    pub(crate) actor: String,
    /// Where statements are recorded.
    pub(crate) audit: Option<Arc<dyn AuditLog>>,
    /// What the user holds, over all of their sessions.
    pub(crate) usage: Arc<Usage>,
    /// The runtime of statements.
    pub(crate) work: Handle,
    /// Longest time that a statement may take, its rows read.
    pub(crate) statement_timeout: Duration,
    /// Names of the service's folders in what clients read.
    pub(crate) names: Arc<PathNames>,
}

impl Served {
    /// The runtime on which statements are parsed, planned and run.
    pub(crate) fn work(&self) -> Handle {
        self.work.clone()
    }
}

/// Refuses texts that are longer than a client may send.
pub(crate) fn check_length(sql: &str) -> Result<()> {
    if sql.len() <= STATEMENT_BYTES {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "a text of {} bytes; a client sends {STATEMENT_BYTES} bytes of SQL at most",
        sql.len()
    )))
}
