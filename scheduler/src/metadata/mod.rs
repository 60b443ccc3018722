//! What the service must not forget: tenants, keys, datasets, jobs, versions, provenance, audit.
//!
//! One set of statements serves Postgres and SQLite (`dialect.rs` has what differs); each change is one
//! transaction, with the audit record that tells of it. Every transaction has a [`Scope`]: that of a
//! tenant sees nothing of others, on Postgres by row-level security as well.

mod attempts;
mod audit;
mod checkpoints;
mod database;
mod datasets;
mod dialect;
mod error;
mod events;
mod job_status;
mod jobs;
mod keys;
mod login;
mod lost_jobs;
mod outlook;
mod postgres;
mod provenance;
mod publish;
mod queue;
mod quota;
mod record;
mod reviews;
mod sqlite;
mod sqlite_file;
mod submission;
mod tenants;
mod uploads;
mod users;

#[cfg(test)]
mod conformance;

use std::sync::Arc;
use std::time::Duration;

pub use attempts::Attempt;
pub use audit::{AuditEntry, AuditFilter, AuditHead, AuditRecord, ChainProblem};
pub use checkpoints::{AuditLine, DueCheckpoint};
pub use database::{Connections, Database, Scope, Transaction};
pub use datasets::{Contract, Dataset, Lineage, Rule, Version};
pub use error::{MetadataError, Result};
pub use events::JobEvent;
pub use job_status::JobStatus;
pub use jobs::{CancelOutcome, Job, JobFilter};
pub use keys::{ApiKey, NewKey, NewSecret, Role};
pub(crate) use login::{close_login, ensure_role};
pub use lost_jobs::Reaped;
pub use provenance::{Cell, CellFilter, CellPage, ColumnCount};
pub use publish::{Imputed, IndexPointer, Publication};
pub use queue::{Beat, Claim, Ending, Fence};
pub use record::{Param, Record};
pub use reviews::{ReviewDecision, Reviewed};
pub use submission::{Idempotency, NewJob, Submission, Submitted};
pub use tenants::{Limits, Tenant, Usage};
pub use uploads::{Upload, UploadPart};
pub use users::User;

/// Handle to the metadata database.
#[derive(Debug, Clone)]
pub struct MetadataStore {
    database: Arc<dyn Database>,
}

/// Most connections of a process to Postgres.
const CONNECTIONS: u32 = 16;

/// Time for which a statement may take before its connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);

impl MetadataStore {
    /// Opens the store at a URL, `postgres://…` or `sqlite:PATH`, and brings its tables up to date.
    pub async fn open(url: &str) -> Result<Self> {
        let database: Arc<dyn Database> = match url.strip_prefix("sqlite:") {
            Some(path) => Arc::new(sqlite::SqliteDatabase::open(path.as_ref()).await?),
            None if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Arc::new(postgres::PostgresDatabase::open(url, CONNECTIONS, PATIENCE).await?)
            }
            None => {
                return Err(MetadataError::Invalid(
                    "the metadata store is postgres://HOST/NAME or sqlite:PATH".to_owned(),
                ));
            }
        };
        Ok(Self { database })
    }

    /// Checks that the store answers, and that its tables can be read: a connection that answers says nothing about
    /// the file or the tables behind it.
    ///
    /// # Errors
    /// What does not answer, or is broken.
    pub async fn ping(&self) -> Result<()> {
        self.database.probe().await?;
        let mut transaction = self.read(Scope::Service).await?;
        let clock = "SELECT virtual_time FROM queue_clock WHERE id = 1";
        transaction.one(clock, Vec::new()).await?;
        transaction
            .fetch("SELECT id FROM tenants LIMIT 1", Vec::new())
            .await?;
        transaction.commit().await
    }

    /// The connections of this process.
    pub fn connections(&self) -> Connections {
        self.database.connections()
    }

    /// Name of the kind of database.
    pub fn kind(&self) -> &'static str {
        self.database.kind()
    }

    async fn write(&self, scope: Scope) -> Result<Box<dyn Transaction>> {
        self.database.begin(scope, true).await
    }

    async fn read(&self, scope: Scope) -> Result<Box<dyn Transaction>> {
        self.database.begin(scope, false).await
    }
}
