//! What happened to a job, in order.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::MetadataStore;
use super::database::{Scope, Transaction};
use super::error::Result;
use super::record::params;

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobEvent {
    /// Its number, from 1.
    pub seq: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened, such as `queued`.
    pub kind: String,
    /// What else is worth knowing.
    pub data: Value,
}

/// Adds an event; the job's row is locked from here on.
pub(super) async fn add(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    job: Uuid,
    kind: &str,
    data: Value,
) -> Result<()> {
    let row = transaction
        .one(
            "UPDATE jobs SET last_event = last_event + 1 WHERE id = $1 RETURNING last_event",
            params![job],
        )
        .await?;
    transaction
        .execute(
            "INSERT INTO job_events (job_id, seq, tenant_id, at, kind, data)
             VALUES ($1, $2, $3, {now}, $4, $5)",
            params![job, row.int("last_event")?, tenant, kind, data],
        )
        .await?;
    Ok(())
}

impl MetadataStore {
    /// The events of a job behind number `after`.
    pub async fn events(&self, tenant: Uuid, job: Uuid, after: i64) -> Result<Vec<JobEvent>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT seq, at, kind, data FROM job_events
                 WHERE tenant_id = $1 AND job_id = $2 AND seq > $3 ORDER BY seq LIMIT 1000",
                params![tenant, job, after],
            )
            .await?;
        transaction.commit().await?;
        let events = rows.iter().map(|row| {
            Ok(JobEvent {
                seq: row.int("seq")?,
                at: row.time("at")?,
                kind: row.text("kind")?,
                data: row.json("data")?,
            })
        });
        events.collect()
    }
}
