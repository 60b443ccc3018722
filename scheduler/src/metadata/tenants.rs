//! Tenants, what each may use, and what each has used.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::MetadataStore;
use super::audit::{self, AuditEntry};
use super::database::Scope;
use super::error::{MetadataError, Result};
use super::record::{Record, params};

/// What a tenant may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Jobs that run at the same time.
    pub max_running: i64,
    /// Jobs that wait.
    pub max_queued: i64,
    /// Share of the workers beside that of others.
    pub weight: f64,
    /// Rows of sources in a month; as many as there are when none.
    pub rows_per_month: Option<i64>,
    /// Bytes of uploads and outputs that are kept; as many as there is room for when none.
    pub storage_bytes: Option<i64>,
    /// Calls of the API in a second, in the mean.
    pub calls_per_second: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_running: 2,
            max_queued: 1000,
            weight: 1.0,
            rows_per_month: None,
            storage_bytes: None,
            calls_per_second: 50.0,
        }
    }
}

/// Somebody whose data is nobody else's.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Identifier.
    pub id: Uuid,
    /// Name, as people and paths have it.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Whether its keys let nobody in, and its jobs wait.
    pub suspended: bool,
    /// What it may use.
    pub limits: Limits,
    /// Jobs that run now.
    pub running: i64,
}

/// What a tenant has used in a month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The month, as `2026-11`.
    pub month: String,
    /// Jobs that were published.
    pub jobs: i64,
    /// Rows of their sources.
    pub rows: i64,
    /// Bytes of their sources.
    pub bytes_in: i64,
    /// Bytes of their outputs.
    pub bytes_out: i64,
}

fn read(row: &Record) -> Result<Tenant> {
    Ok(Tenant {
        id: row.uuid("id")?,
        name: row.text("name")?,
        created_at: row.time("created_at")?,
        suspended: row.bool("suspended")?,
        limits: Limits {
            max_running: row.int("max_running")?,
            max_queued: row.int("max_queued")?,
            weight: row.float("weight")?,
            rows_per_month: row.opt_int("rows_per_month")?,
            storage_bytes: row.opt_int("storage_bytes")?,
            calls_per_second: row.float("calls_per_second")?,
        },
        running: row.int("running")?,
    })
}

/// Refuses names that would not do in paths and folders.
fn check_name(name: &str) -> Result<()> {
    let fits = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if fits {
        return Ok(());
    }
    Err(MetadataError::Invalid(
        "a tenant's name has 1 to 64 letters, digits, _ and -".to_owned(),
    ))
}

fn check_limits(limits: &Limits) -> Result<()> {
    let wrong = |what: &str| Err(MetadataError::Invalid(what.to_owned()));
    if limits.max_running < 0 || limits.max_queued < 0 {
        return wrong("max_running and max_queued are 0 or more");
    }
    if limits.rows_per_month.is_some_and(|rows| rows < 0) {
        return wrong("rows_per_month is 0 or more");
    }
    if limits.storage_bytes.is_some_and(|bytes| bytes < 0) {
        return wrong("storage_bytes is 0 or more");
    }
    let fits = |number: f64| number.is_finite() && (0.001..=1e6).contains(&number);
    if !fits(limits.weight) || !fits(limits.calls_per_second) {
        return wrong("weight and calls_per_second are from 0.001 to 1000000");
    }
    Ok(())
}

impl MetadataStore {
    /// Makes a tenant.
    pub async fn create_tenant(&self, name: &str, limits: &Limits, actor: &str) -> Result<Tenant> {
        check_name(name)?;
        check_limits(limits)?;
        let id = Uuid::now_v7();
        let mut transaction = self.write(Scope::Service).await?;
        let added = transaction
            .execute(
                "INSERT INTO tenants (id, name, created_at, max_running, max_queued, weight, rows_per_month, calls_per_second,
                   storage_bytes)
                 VALUES ($1, $2, {now}, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING",
                params![
                    id,
                    name,
                    limits.max_running,
                    limits.max_queued,
                    limits.weight,
                    limits.rows_per_month,
                    limits.calls_per_second,
                    limits.storage_bytes,
                ],
            )
            .await?;
        if added == 0 {
            return Err(MetadataError::Conflict(format!(
                "there is a tenant {name:?} already"
            )));
        }
        audit::begin_chain(transaction.as_mut(), id).await?;
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "tenant_created",
            subject: name.to_owned(),
            job_id: None,
            details: json!({}),
        };
        audit::append(transaction.as_mut(), id, &entry).await?;
        let row = transaction
            .one("SELECT * FROM tenants WHERE id = $1", params![id])
            .await?;
        transaction.commit().await?;
        read(&row)
    }

    /// The tenant of this identifier or name.
    pub async fn find_tenant(&self, id_or_name: &str) -> Result<Option<Tenant>> {
        let id = Uuid::parse_str(id_or_name).ok();
        let mut transaction = self.read(Scope::Service).await?;
        let row = transaction
            .optional(
                "SELECT * FROM tenants WHERE id = $1 OR name = $2",
                params![id, id_or_name],
            )
            .await?;
        transaction.commit().await?;
        row.as_ref().map(read).transpose()
    }

    /// All tenants, by name.
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        let mut transaction = self.read(Scope::Service).await?;
        let rows = transaction
            .fetch("SELECT * FROM tenants ORDER BY name", Vec::new())
            .await?;
        transaction.commit().await?;
        rows.iter().map(read).collect()
    }

    /// Changes what a tenant may use, and whether it may do anything.
    pub async fn update_tenant(
        &self,
        id: Uuid,
        limits: &Limits,
        suspended: bool,
        actor: &str,
    ) -> Result<Tenant> {
        check_limits(limits)?;
        let mut transaction = self.write(Scope::Service).await?;
        let changed = transaction
            .execute(
                "UPDATE tenants SET max_running = $2, max_queued = $3, weight = $4, rows_per_month = $5,
                   calls_per_second = $6, suspended = $7, storage_bytes = $8 WHERE id = $1",
                params![
                    id,
                    limits.max_running,
                    limits.max_queued,
                    limits.weight,
                    limits.rows_per_month,
                    limits.calls_per_second,
                    suspended,
                    limits.storage_bytes,
                ],
            )
            .await?;
        if changed == 0 {
            return Err(MetadataError::NotFound(
                "there is no such tenant".to_owned(),
            ));
        }
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "tenant_changed",
            subject: id.to_string(),
            job_id: None,
            details: json!({
                "max_running": limits.max_running,
                "max_queued": limits.max_queued,
                "weight": limits.weight,
                "rows_per_month": limits.rows_per_month,
                "storage_bytes": limits.storage_bytes,
                "calls_per_second": limits.calls_per_second,
                "suspended": suspended,
            }),
        };
        audit::append(transaction.as_mut(), id, &entry).await?;
        let row = transaction
            .one("SELECT * FROM tenants WHERE id = $1", params![id])
            .await?;
        transaction.commit().await?;
        read(&row)
    }

    /// What a tenant has used, newest month first.
    pub async fn usage(&self, tenant: Uuid) -> Result<Vec<Usage>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT month, jobs, rows, bytes_in, bytes_out FROM usage
                 WHERE tenant_id = $1 ORDER BY month DESC",
                params![tenant],
            )
            .await?;
        transaction.commit().await?;
        let used = rows.iter().map(|row| {
            Ok(Usage {
                month: row.text("month")?,
                jobs: row.int("jobs")?,
                rows: row.int("rows")?,
                bytes_in: row.int("bytes_in")?,
                bytes_out: row.int("bytes_out")?,
            })
        });
        used.collect()
    }
}
