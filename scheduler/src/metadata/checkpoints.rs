//! How far the audit chains are signed, and the records as they are exported.

use uuid::Uuid;

use super::MetadataStore;
use super::audit::AuditHead;
use super::database::{Scope, Transaction};
use super::error::Result;
use super::record::{Record, params};

/// A chain whose end is to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueCheckpoint {
    /// Whose chain it is.
    pub tenant_id: Uuid,
    /// The tenant's name.
    pub tenant: String,
    /// The end of the chain.
    pub head: AuditHead,
    /// The end that was signed last.
    pub last: Option<AuditHead>,
}

/// A record as it was hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Number of the record.
    pub seq: i64,
    /// Canonical JSON (RFC 8785).
    pub record: String,
    /// SHA-256 of that text, in hexadecimal digits.
    pub hash: String,
}

/// Asks for a checkpoint that the last record of a tenant is in. Comes behind that record, in its transaction.
pub(super) async fn want(transaction: &mut dyn Transaction, tenant: Uuid) -> Result<()> {
    transaction
        .execute(
            "INSERT INTO audit_checkpoints (tenant_id, wanted)
             SELECT tenant_id, seq FROM audit_heads WHERE tenant_id = $1
             ON CONFLICT (tenant_id) DO UPDATE SET wanted = excluded.wanted",
            params![tenant],
        )
        .await?;
    Ok(())
}

/// The end that was signed last, of a row that may have none.
fn last(row: &Record) -> Result<Option<AuditHead>> {
    let head = row.opt_int("last_seq")?.zip(row.opt_text("last_hash")?);
    let head = head.map(|(seq, hash)| AuditHead { seq, hash });
    Ok(head.filter(|head| head.seq > 0))
}

impl MetadataStore {
    /// The chains whose end is to be signed: those with a publication behind their last checkpoint, or `all` that
    /// have grown since.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn due_checkpoints(&self, all: bool) -> Result<Vec<DueCheckpoint>> {
        let mut transaction = self.read(Scope::Service).await?;
        let rows = transaction
            .fetch(
                "SELECT t.id, t.name, h.seq, h.hash, c.seq AS last_seq, c.hash AS last_hash
                 FROM audit_heads h JOIN tenants t ON t.id = h.tenant_id
                 LEFT JOIN audit_checkpoints c ON c.tenant_id = h.tenant_id
                 WHERE h.seq > coalesce(c.seq, 0) AND ($1 OR coalesce(c.wanted, 0) > coalesce(c.seq, 0))
                 ORDER BY t.name",
                params![all],
            )
            .await?;
        transaction.commit().await?;
        let due = rows.iter().map(|row| {
            Ok(DueCheckpoint {
                tenant_id: row.uuid("id")?,
                tenant: row.text("name")?,
                head: AuditHead {
                    seq: row.int("seq")?,
                    hash: row.text("hash")?,
                },
                last: last(row)?,
            })
        });
        due.collect()
    }

    /// Remembers that the end of a chain was signed, and the checkpoint stored.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn checkpoint_written(&self, tenant: Uuid, head: &AuditHead) -> Result<()> {
        let mut transaction = self.write(Scope::Service).await?;
        transaction
            .execute(
                "INSERT INTO audit_checkpoints (tenant_id, seq, hash, written_at) VALUES ($1, $2, $3, {now})
                 ON CONFLICT (tenant_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash,
                   written_at = excluded.written_at WHERE audit_checkpoints.seq < excluded.seq",
                params![tenant, head.seq, &head.hash],
            )
            .await?;
        transaction.commit().await
    }

    /// The end of a tenant's chain that was signed last.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_checkpoint(&self, tenant: Uuid) -> Result<Option<AuditHead>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT seq AS last_seq, hash AS last_hash FROM audit_checkpoints WHERE tenant_id = $1",
                params![tenant],
            )
            .await?;
        transaction.commit().await?;
        row.as_ref().map_or(Ok(None), last)
    }

    /// The hash of a record.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_hash(&self, tenant: Uuid, seq: i64) -> Result<Option<String>> {
        let lines = self.audit_lines(tenant, seq - 1, seq, 1).await?;
        Ok(lines.into_iter().next().map(|line| line.hash))
    }

    /// Records of a tenant behind number `after` up to `last`, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_lines(
        &self,
        tenant: Uuid,
        after: i64,
        last: i64,
        limit: i64,
    ) -> Result<Vec<AuditLine>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT seq, record, hash FROM audit_logs
                 WHERE tenant_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
                params![tenant, after, last, limit],
            )
            .await?;
        transaction.commit().await?;
        let lines = rows.iter().map(|row| {
            Ok(AuditLine {
                seq: row.int("seq")?,
                record: row.text("record")?,
                hash: row.text("hash")?,
            })
        });
        lines.collect()
    }
}
