//! API keys: `dsk_<id>_<secret>`, of which only a hash is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::MetadataStore;
use super::audit::{self, AuditEntry};
use super::database::Scope;
use super::error::{MetadataError, Result};
use super::record::{Record, params};
use crate::storage::hexadecimal;

/// What every API key begins with.
const PREFIX: &str = "dsk_";

/// What somebody may do, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything of a tenant, its keys among it.
    Admin,
    /// Submits jobs, and works with what comes of them.
    DataEngineer,
    /// Looks at fixes and decides on them.
    Reviewer,
}

impl Role {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::DataEngineer => "data_engineer",
            Self::Reviewer => "reviewer",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = MetadataError;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "admin" | "Admin" => Ok(Self::Admin),
            "data_engineer" | "DataEngineer" => Ok(Self::DataEngineer),
            "reviewer" | "Reviewer" => Ok(Self::Reviewer),
            _ => Err(MetadataError::Invalid(
                "a role is admin, data_engineer or reviewer".to_owned(),
            )),
        }
    }
}

/// A key that is to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Name, for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it may look after tenants.
    pub operator: bool,
    /// The actions of the role that it may do; all when none.
    pub actions: Option<Vec<String>>,
    /// The datasets that it may touch, by name; all when none.
    pub datasets: Option<Vec<String>>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// Its public part.
    pub id: String,
    /// Whose it is.
    pub tenant_id: Uuid,
    /// Name, for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it may look after tenants.
    pub operator: bool,
    /// The actions of the role that it may do; all when none.
    pub actions: Option<Vec<String>>,
    /// The datasets that it may touch, by name; all when none.
    pub datasets: Option<Vec<String>>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A key with its secret: shown once.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// The key.
    pub key: ApiKey,
    /// What its owner sends along.
    pub secret: String,
}

fn read(row: &Record) -> Result<ApiKey> {
    Ok(ApiKey {
        id: row.text("id")?,
        tenant_id: row.uuid("tenant_id")?,
        name: row.text("name")?,
        role: row.text("role")?.parse()?,
        operator: row.bool("operator")?,
        actions: row.opt_json("actions")?,
        datasets: row.opt_json("datasets")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.opt_time("expires_at")?,
        revoked_at: row.opt_time("revoked_at")?,
    })
}

fn digest(secret: &str) -> String {
    hexadecimal(&Sha256::digest(secret.as_bytes()))
}

/// Compares in a time that depends on the lengths only.
fn same(left: &str, right: &str) -> bool {
    let pairs = left.bytes().zip(right.bytes());
    let differing = pairs.fold(0, |bits, (left, right)| {
        std::hint::black_box(bits | (left ^ right))
    });
    left.len() == right.len() && differing == 0
}

impl MetadataStore {
    /// Makes a key of a tenant.
    pub async fn create_key(&self, tenant: Uuid, new: &NewKey, actor: &str) -> Result<NewSecret> {
        if new.name.is_empty() || new.name.len() > 128 || new.name.chars().any(char::is_control) {
            return Err(MetadataError::Invalid(
                "a key's name has 1 to 128 bytes and no control characters".to_owned(),
            ));
        }
        let id = hexadecimal(&rand::rng().random::<[u8; 8]>());
        let secret = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        transaction
            .execute(
                "INSERT INTO api_keys (id, tenant_id, name, secret_hash, role, operator, actions, datasets,
                   created_by, created_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {now}, $10)",
                params![
                    &id,
                    tenant,
                    &new.name,
                    digest(&secret),
                    new.role.name(),
                    new.operator,
                    new.actions.as_ref().map(|names| json!(names)),
                    new.datasets.as_ref().map(|names| json!(names)),
                    actor,
                    new.expires_at,
                ],
            )
            .await?;
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "key_created",
            subject: id.clone(),
            job_id: None,
            details: json!({"name": new.name, "role": new.role, "operator": new.operator}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        let row = transaction
            .one("SELECT * FROM api_keys WHERE id = $1", params![&id])
            .await?;
        transaction.commit().await?;
        Ok(NewSecret {
            key: read(&row)?,
            secret: format!("{PREFIX}{id}_{secret}"),
        })
    }

    /// The key that somebody sent along, if it is one and holds now, on the store's clock.
    pub async fn admit_key(&self, sent: &str) -> Result<Option<ApiKey>> {
        let parts = sent
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'));
        let Some((id, secret)) = parts else {
            return Ok(None);
        };
        let mut transaction = self.read(Scope::Service).await?;
        let row = transaction
            .optional(
                "SELECT k.*, t.suspended FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
                 WHERE k.id = $1 AND k.revoked_at IS NULL
                   AND (k.expires_at IS NULL OR k.expires_at > {now})",
                params![id],
            )
            .await?;
        transaction.commit().await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let holds = same(&digest(secret), &row.text("secret_hash")?);
        if !holds || row.bool("suspended")? {
            return Ok(None);
        }
        read(&row).map(Some)
    }

    /// The keys of a tenant, oldest first.
    pub async fn keys(&self, tenant: Uuid) -> Result<Vec<ApiKey>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT * FROM api_keys WHERE tenant_id = $1 ORDER BY created_at, id",
                params![tenant],
            )
            .await?;
        transaction.commit().await?;
        rows.iter().map(read).collect()
    }

    /// Takes a key back.
    pub async fn revoke_key(&self, tenant: Uuid, id: &str, actor: &str) -> Result<()> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        let changed = transaction
            .execute(
                "UPDATE api_keys SET revoked_at = {now}
                 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
                params![tenant, id],
            )
            .await?;
        if changed == 0 {
            return Err(MetadataError::NotFound("there is no such key".to_owned()));
        }
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "key_revoked",
            subject: id.to_owned(),
            job_id: None,
            details: json!({}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        transaction.commit().await
    }
}
