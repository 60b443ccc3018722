//! What people decided on changed cells.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::MetadataStore;
use super::audit::{self, AuditEntry};
use super::database::Scope;
use super::error::Result;
use super::record::params;

/// A decision on a changed cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewDecision {
    /// Number of the row in the source.
    pub row_id: i64,
    /// The column.
    pub column_name: String,
    /// `approve`, `reject` or `edit`.
    pub decision: String,
    /// The value of an edit; none for a missing one.
    pub value: Option<String>,
}

/// A decision, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// The decision.
    pub decision: ReviewDecision,
    /// Who decided.
    pub decided_by: String,
    /// When.
    pub decided_at: DateTime<Utc>,
}

impl MetadataStore {
    /// Keeps decisions, over earlier ones on the same cells.
    pub async fn decide(
        &self,
        tenant: Uuid,
        job: Uuid,
        decisions: &[ReviewDecision],
        actor: &str,
    ) -> Result<()> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        for decision in decisions {
            transaction
                .execute(
                    "INSERT INTO reviews (job_id, row_id, column_name, tenant_id, decision, value, decided_by, decided_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, {now})
                     ON CONFLICT (job_id, row_id, column_name) DO UPDATE
                     SET decision = $5, value = $6, decided_by = $7, decided_at = {now}",
                    params![
                        job,
                        decision.row_id,
                        &decision.column_name,
                        tenant,
                        &decision.decision,
                        decision.value.as_deref(),
                        actor,
                    ],
                )
                .await?;
        }
        let cells = decisions.iter().map(|one| {
            json!({"row_id": one.row_id, "column": one.column_name, "decision": one.decision})
        });
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "fixes_reviewed",
            subject: job.to_string(),
            job_id: Some(job),
            details: json!({"decisions": cells.collect::<Vec<_>>()}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        transaction.commit().await
    }

    /// The decisions on the cells of a job, by row and column.
    pub async fn reviewed(&self, tenant: Uuid, job: Uuid) -> Result<Vec<Reviewed>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT row_id, column_name, decision, value, decided_by, decided_at FROM reviews
                 WHERE tenant_id = $1 AND job_id = $2
                 ORDER BY row_id, column_name",
                params![tenant, job],
            )
            .await?;
        transaction.commit().await?;
        let reviewed = rows.iter().map(|row| {
            Ok(Reviewed {
                decision: ReviewDecision {
                    row_id: row.int("row_id")?,
                    column_name: row.text("column_name")?,
                    decision: row.text("decision")?,
                    value: row.opt_text("value")?,
                },
                decided_by: row.text("decided_by")?,
                decided_at: row.time("decided_at")?,
            })
        });
        reviewed.collect()
    }
}
