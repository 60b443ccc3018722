//! Attempts: the tries at a job, each of which has a number and an output of its own.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::MetadataStore;
use super::database::{Scope, Transaction};
use super::error::Result;
use super::record::{Record, params};

/// A try at a job.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The job.
    pub job_id: Uuid,
    /// Number of the attempt, from 1.
    pub attempt: i64,
    /// The worker.
    pub owner: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended: published, failed, lost, cancelled or released.
    pub outcome: Option<String>,
    /// Why it failed.
    pub error: Option<Value>,
    /// Where it wrote, from the service's store on.
    pub output: String,
}

/// Reads a row of attempts.
fn read(row: &Record) -> Result<Attempt> {
    Ok(Attempt {
        job_id: row.uuid("job_id")?,
        attempt: row.int("attempt")?,
        owner: row.text("owner")?,
        started_at: row.time("started_at")?,
        finished_at: row.opt_time("finished_at")?,
        outcome: row.opt_text("outcome")?,
        error: row.opt_json("error")?,
        output: row.text("output")?,
    })
}

impl MetadataStore {
    /// The attempts at a job, in order.
    pub async fn attempts(&self, tenant: Uuid, job: Uuid) -> Result<Vec<Attempt>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT * FROM job_attempts WHERE tenant_id = $1 AND job_id = $2 ORDER BY attempt",
                params![tenant, job],
            )
            .await?;
        transaction.commit().await?;
        rows.iter().map(read).collect()
    }

    /// Attempts that ended so many seconds ago and may have left something.
    pub async fn attempts_to_sweep(&self, grace_seconds: f64) -> Result<Vec<Attempt>> {
        let mut transaction = self.read(Scope::Service).await?;
        let rows = transaction
            .fetch(
                "SELECT * FROM job_attempts WHERE NOT swept AND outcome IS NOT NULL
                   AND {age finished_at} > $1 ORDER BY finished_at LIMIT 256",
                params![grace_seconds],
            )
            .await?;
        transaction.commit().await?;
        rows.iter().map(read).collect()
    }

    /// Remembers that nothing is left of an attempt.
    pub async fn mark_swept(&self, job: Uuid, attempt: i64) -> Result<()> {
        let mut transaction = self.write(Scope::Service).await?;
        transaction
            .execute(
                "UPDATE job_attempts SET swept = TRUE WHERE job_id = $1 AND attempt = $2",
                params![job, attempt],
            )
            .await?;
        transaction.commit().await
    }
}

/// Closes the record of an attempt.
pub(super) async fn end_attempt(
    transaction: &mut dyn Transaction,
    job: Uuid,
    attempt: i64,
    outcome: &str,
    error: Option<&Value>,
) -> Result<()> {
    transaction
        .execute(
            "UPDATE job_attempts SET finished_at = {now}, outcome = $3, error = $4
             WHERE job_id = $1 AND attempt = $2",
            params![job, attempt, outcome, error.cloned()],
        )
        .await?;
    Ok(())
}
