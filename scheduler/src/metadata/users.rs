//! People of the identity provider who were here. Who may come in is the provider's to say; a tenant can still
//! shut somebody out.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::audit::{self, AuditEntry};
use super::database::Scope;
use super::error::{MetadataError, Result};
use super::record::{Record, params};
use super::{MetadataStore, Role};

/// Seconds for which a visit is not written down again.
const VISIT_SECONDS: f64 = 300.0;

/// Somebody with tokens of the identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Identifier.
    pub id: Uuid,
    /// Their subject in tokens.
    pub subject: String,
    /// Their role when they were last here.
    pub role: Role,
    /// Whether they are shut out.
    pub suspended: bool,
    /// When they first came.
    pub created_at: DateTime<Utc>,
    /// When they were last here, to a few minutes.
    pub last_seen_at: DateTime<Utc>,
}

fn read(row: &Record) -> Result<User> {
    Ok(User {
        id: row.uuid("id")?,
        subject: row.text("subject")?,
        role: row.text("role")?.parse()?,
        suspended: row.bool("suspended")?,
        created_at: row.time("created_at")?,
        last_seen_at: row.time("last_seen_at")?,
    })
}

impl MetadataStore {
    /// Somebody comes in: they are remembered, and looked up.
    pub async fn visit(&self, tenant: Uuid, subject: &str, role: Role) -> Result<User> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let known = transaction
            .optional(
                "SELECT u.*, {age last_seen_at} AS age FROM users u WHERE tenant_id = $1 AND subject = $2",
                params![tenant, subject],
            )
            .await?;
        transaction.commit().await?;
        if let Some(row) = known {
            let user = read(&row)?;
            if user.role == role && row.float("age")? < VISIT_SECONDS {
                return Ok(user);
            }
        }
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        let row = transaction
            .one(
                "INSERT INTO users (id, tenant_id, subject, role, created_at, last_seen_at)
                 VALUES ($1, $2, $3, $4, {now}, {now})
                 ON CONFLICT (tenant_id, subject) DO UPDATE SET role = excluded.role, last_seen_at = {now}
                 RETURNING *",
                params![Uuid::now_v7(), tenant, subject, role.name()],
            )
            .await?;
        transaction.commit().await?;
        read(&row)
    }

    /// Returns whether a user who was here may still come in: neither they nor their tenant is suspended.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn current_user(&self, tenant: Uuid, subject: &str) -> Result<bool> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT u.id FROM users u JOIN tenants t ON t.id = u.tenant_id
                 WHERE u.tenant_id = $1 AND u.subject = $2 AND NOT u.suspended AND NOT t.suspended",
                params![tenant, subject],
            )
            .await?;
        transaction.commit().await?;
        Ok(row.is_some())
    }

    /// The people of a tenant who were here, by their subject.
    pub async fn users(&self, tenant: Uuid) -> Result<Vec<User>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT * FROM users WHERE tenant_id = $1 ORDER BY subject, id",
                params![tenant],
            )
            .await?;
        transaction.commit().await?;
        rows.iter().map(read).collect()
    }

    /// Shuts somebody out, or lets them in again.
    pub async fn suspend_user(
        &self,
        tenant: Uuid,
        id: Uuid,
        suspended: bool,
        actor: &str,
    ) -> Result<User> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "UPDATE users SET suspended = $3 WHERE tenant_id = $1 AND id = $2 RETURNING *",
                params![tenant, id, suspended],
            )
            .await?
            .ok_or_else(|| MetadataError::NotFound("there is no such user".to_owned()))?;
        let user = read(&row)?;
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "user_changed",
            subject: user.subject.clone(),
            job_id: None,
            details: json!({"suspended": suspended}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        transaction.commit().await?;
        Ok(user)
    }
}
