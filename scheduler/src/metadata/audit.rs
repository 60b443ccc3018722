//! The audit log: what was done, by whom, in a chain of hashes for each tenant.
//!
//! A record is canonical JSON (RFC 8785) with the hash of the record before it; its own hash is the
//! SHA-256 of that text. Changing or removing a record breaks every hash behind it. Records are added
//! in the transaction of the change that they tell of.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::MetadataStore;
use super::database::{Scope, Transaction};
use super::error::{MetadataError, Result};
use super::record::{Record, params};
use crate::storage::hexadecimal;

/// Records that are read at a time.
const PAGE: i64 = 5_000;

/// The hash before the first record.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What is to be recorded.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Who did it.
    pub actor: String,
    /// What was done, such as `job_submitted`.
    pub action: &'static str,
    /// What it was done to.
    pub subject: String,
    /// The job that it belongs to.
    pub job_id: Option<Uuid>,
    /// What else is worth knowing; never clear values of personal data.
    pub details: Value,
}

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRecord {
    /// Number of the record, from 1.
    pub seq: i64,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// The job that it belongs to.
    pub job_id: Option<Uuid>,
    /// What else is worth knowing.
    pub details: Value,
    /// Hash of the record before it.
    pub previous: String,
    /// Hash of this record.
    pub hash: String,
}

/// Which records are wanted.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// What was done.
    pub action: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// What it was done to.
    pub subject: Option<String>,
    /// The job.
    pub job_id: Option<Uuid>,
    /// Not before.
    pub from: Option<DateTime<Utc>>,
    /// Before.
    pub to: Option<DateTime<Utc>>,
    /// Only records with a smaller number.
    pub before: Option<i64>,
}

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditHead {
    /// Number of the last record; 0 when there is none.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainProblem {
    /// The record.
    pub seq: i64,
    /// What is wrong with it.
    pub problem: String,
}

/// Begins a tenant's chain.
pub(super) async fn begin_chain(transaction: &mut dyn Transaction, tenant: Uuid) -> Result<()> {
    transaction
        .execute(
            "INSERT INTO audit_heads (tenant_id, seq, hash) VALUES ($1, 0, $2)",
            params![tenant, GENESIS],
        )
        .await?;
    Ok(())
}

/// Adds a record. Comes last in a transaction: whoever adds the next one waits for its end.
pub(super) async fn append(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    entry: &AuditEntry,
) -> Result<()> {
    let head = transaction
        .one(
            "SELECT seq, hash, {now} AS at FROM audit_heads WHERE tenant_id = $1 {lock}",
            params![tenant],
        )
        .await?;
    let (seq, previous, at) = (head.int("seq")? + 1, head.text("hash")?, head.time("at")?);
    let record = canonical(tenant, seq, at, entry, &previous)?;
    let hash = digest(&record);
    transaction
        .execute(
            "INSERT INTO audit_logs (tenant_id, seq, at, actor, action, subject, job_id, record, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            params![
                tenant,
                seq,
                at,
                &entry.actor,
                entry.action,
                &entry.subject,
                entry.job_id,
                record,
                &hash,
            ],
        )
        .await?;
    transaction
        .execute(
            "UPDATE audit_heads SET seq = $2, hash = $3 WHERE tenant_id = $1",
            params![tenant, seq, hash],
        )
        .await?;
    Ok(())
}

fn canonical(
    tenant: Uuid,
    seq: i64,
    at: DateTime<Utc>,
    entry: &AuditEntry,
    previous: &str,
) -> Result<String> {
    let record = json!({
        "tenant_id": tenant,
        "seq": seq,
        "at": at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "job_id": entry.job_id,
        "details": entry.details,
        "previous": previous,
    });
    Ok(serde_json_canonicalizer::to_string(&record)?)
}

fn digest(record: &str) -> String {
    hexadecimal(&Sha256::digest(record.as_bytes()))
}

fn read(row: &Record) -> Result<AuditRecord> {
    let record: Value = serde_json::from_str(&row.text("record")?)?;
    let previous = record["previous"].as_str().unwrap_or_default().to_owned();
    Ok(AuditRecord {
        seq: row.int("seq")?,
        at: row.time("at")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        subject: row.text("subject")?,
        job_id: row.opt_uuid("job_id")?,
        details: record["details"].clone(),
        previous,
        hash: row.text("hash")?,
    })
}

/// What is wrong with a record that should be number `seq`, behind the record with the hash
/// `previous`.
fn problem(row: &Record, tenant: Uuid, seq: i64, previous: &str) -> Result<Option<String>> {
    let text = row.text("record")?;
    let record: Value = match serde_json::from_str(&text) {
        Ok(record) => record,
        Err(_) => return Ok(Some("the record cannot be read".to_owned())),
    };
    if row.int("seq")? != seq {
        return Ok(Some(format!("record {seq} is missing")));
    }
    if digest(&text) != row.text("hash")? {
        return Ok(Some("the hash is not that of the record".to_owned()));
    }
    if record["previous"] != previous {
        return Ok(Some(
            "the record does not follow the one before it".to_owned(),
        ));
    }
    let shown = [
        ("seq", json!(row.int("seq")?)),
        ("tenant_id", json!(tenant)),
        ("actor", json!(row.text("actor")?)),
        ("action", json!(row.text("action")?)),
        ("subject", json!(row.text("subject")?)),
        ("job_id", json!(row.opt_uuid("job_id")?)),
        (
            "at",
            json!(row.time("at")?.to_rfc3339_opts(SecondsFormat::Micros, true)),
        ),
    ];
    let other = shown.iter().find(|(name, value)| record[*name] != *value);
    Ok(other.map(|(name, _)| format!("{name} is not what was recorded")))
}

impl MetadataStore {
    /// Records what was done where nothing else is changed.
    pub async fn record(&self, tenant: Uuid, entry: &AuditEntry) -> Result<()> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        append(transaction.as_mut(), tenant, entry).await?;
        transaction.commit().await
    }

    /// Records of a tenant, newest first.
    pub async fn audit(
        &self,
        tenant: Uuid,
        filter: &AuditFilter,
        limit: i64,
    ) -> Result<Vec<AuditRecord>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT seq, at, actor, action, subject, job_id, record, hash FROM audit_logs
                 WHERE tenant_id = $1
                   AND ($2 IS NULL OR action = $2) AND ($3 IS NULL OR actor = $3)
                   AND ($4 IS NULL OR subject = $4) AND ($5 IS NULL OR job_id = $5)
                   AND ($6 IS NULL OR at >= $6) AND ($7 IS NULL OR at < $7)
                   AND seq < $8
                 ORDER BY seq DESC LIMIT $9",
                params![
                    tenant,
                    filter.action.as_deref(),
                    filter.actor.as_deref(),
                    filter.subject.as_deref(),
                    filter.job_id,
                    filter.from,
                    filter.to,
                    filter.before.unwrap_or(i64::MAX),
                    limit,
                ],
            )
            .await?;
        transaction.commit().await?;
        rows.iter().map(read).collect()
    }

    /// The end of a tenant's chain.
    pub async fn audit_head(&self, tenant: Uuid) -> Result<AuditHead> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let head = transaction
            .one(
                "SELECT seq, hash FROM audit_heads WHERE tenant_id = $1",
                params![tenant],
            )
            .await?;
        transaction.commit().await?;
        Ok(AuditHead {
            seq: head.int("seq")?,
            hash: head.text("hash")?,
        })
    }

    /// Recomputes a tenant's chain, and looks for each end of it that was seen or signed earlier. Gives its end, and
    /// the first thing that is wrong.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn verify_audit<'a>(
        &self,
        tenant: Uuid,
        seen: impl IntoIterator<Item = &'a AuditHead>,
    ) -> Result<(AuditHead, Option<ChainProblem>)> {
        let mut ends: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
        for end in seen {
            ends.entry(end.seq).or_default().push(&end.hash);
        }
        let head = self.audit_head(tenant).await?;
        let mut last = AuditHead {
            seq: 0,
            hash: GENESIS.to_owned(),
        };
        let found = |seq: i64, problem: String| Some(ChainProblem { seq, problem });
        while last.seq < head.seq {
            let mut transaction = self.read(Scope::Tenant(tenant)).await?;
            let rows = transaction
                .fetch(
                    "SELECT seq, at, actor, action, subject, job_id, record, hash FROM audit_logs
                     WHERE tenant_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
                    params![tenant, last.seq, head.seq, PAGE],
                )
                .await?;
            transaction.commit().await?;
            if rows.is_empty() {
                let missing = format!("record {} is missing", last.seq + 1);
                return Ok((head, found(last.seq + 1, missing)));
            }
            for row in rows {
                if let Some(problem) = problem(&row, tenant, last.seq + 1, &last.hash)? {
                    return Ok((head, found(last.seq + 1, problem)));
                }
                last = AuditHead {
                    seq: row.int("seq")?,
                    hash: row.text("hash")?,
                };
                let mut known = ends.get(&last.seq).into_iter().flatten();
                if known.any(|hash| **hash != last.hash) {
                    let problem = "the record is not the one that was there".to_owned();
                    return Ok((head, found(last.seq, problem)));
                }
            }
        }
        if last.hash != head.hash {
            let problem = "the end of the chain is not the hash of its last record".to_owned();
            return Ok((head, found(last.seq, problem)));
        }
        if let Some(end) = ends.keys().next_back().filter(|end| **end > last.seq) {
            let problem = format!("records up to {end} were there, and are gone");
            return Ok((head, found(last.seq + 1, problem)));
        }
        Ok((head, None))
    }
}

impl From<ChainProblem> for MetadataError {
    fn from(problem: ChainProblem) -> Self {
        Self::Failed(format!("audit record {}: {}", problem.seq, problem.problem))
    }
}

/// An entry of the service itself.
pub(super) fn by_service(
    action: &'static str,
    subject: impl ToString,
    job_id: Option<Uuid>,
    details: Value,
) -> AuditEntry {
    AuditEntry {
        actor: "service".to_owned(),
        action,
        subject: subject.to_string(),
        job_id,
        details,
    }
}
