//! API keys: `dsk_<id>_<secret>`, of which only a hash is kept.
//!
//! A key never outlives or exceeds its maker: what admits it is the whole chain of keys up to the one that the service
//! made, or to the user of the identity provider who made the last one. All of them must hold, and the key has what all
//! of them have. See [`Link`].

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

    /// Returns the lesser of two roles: each role grants what the ones below it grant.
    pub fn lesser(self, other: Self) -> Self {
        let rank = |role: Self| match role {
            Self::Reviewer => 0,
            Self::DataEngineer => 1,
            Self::Admin => 2,
        };
        if rank(other) < rank(self) {
            other
        } else {
            self
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

/// A key of the chain from a key to its first maker, with what it rests on.
struct Link {
    key: ApiKey,
    /// Role of the user who made it, when they were last here; none where no user who may come in did.
    user: Option<Role>,
    tenant_suspended: bool,
}

/// What the names of makers begin with in `created_by`.
const BY_KEY: &str = "key:";
const BY_USER: &str = "user:";

/// Longest chain of makers that is followed.
const MOST_MAKERS: usize = 64;

impl Link {
    fn read(row: &Record) -> Result<Self> {
        let user = row.opt_text("user_role")?;
        Ok(Self {
            key: read(row)?,
            user: user.map(|role| role.parse()).transpose()?,
            tenant_suspended: row.bool("tenant_suspended")?,
        })
    }

    /// Returns whether the key holds by itself.
    fn holds(&self, now: DateTime<Utc>) -> bool {
        let key = &self.key;
        let expired = key.expires_at.is_some_and(|at| at <= now);
        let orphaned = key.created_by.starts_with(BY_USER) && self.user.is_none();
        !expired && !orphaned && !self.tenant_suspended && key.revoked_at.is_none()
    }
}

/// The key that a chain, nearest first, admits: none where a maker does not hold or is not known, else with the rights
/// that all of them have.
fn admitted(chain: Vec<Link>, now: DateTime<Utc>) -> Option<ApiKey> {
    let whole = chain
        .last()
        .is_some_and(|last| !last.key.created_by.starts_with(BY_KEY));
    if !whole || !chain.iter().all(|link| link.holds(now)) {
        return None;
    }
    let mut links = chain.into_iter();
    let Link { mut key, user, .. } = links.next()?;
    key.role = user.map_or(key.role, |role| key.role.lesser(role));
    for maker in links {
        let role = maker
            .user
            .map_or(maker.key.role, |role| role.lesser(maker.key.role));
        key.role = key.role.lesser(role);
        key.operator &= maker.key.operator;
        key.actions = common(key.actions, maker.key.actions);
        key.datasets = common(key.datasets, maker.key.datasets);
        key.expires_at = match (key.expires_at, maker.key.expires_at) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
    }
    Some(key)
}

/// The names that two limits have in common; no limit has all.
fn common(one: Option<Vec<String>>, other: Option<Vec<String>>) -> Option<Vec<String>> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.retain(|name| other.contains(name));
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

/// A key and its makers, nearest first. The secret's hash is that of the first row.
const CHAIN: &str = "WITH RECURSIVE chain (id, tenant_id, name, secret_hash, role, operator, actions, datasets, created_by,
    created_at, expires_at, revoked_at, depth) AS (
  SELECT id, tenant_id, name, secret_hash, role, operator, actions, datasets, created_by,
    created_at, expires_at, revoked_at, 1 FROM api_keys WHERE id = $1
  UNION ALL
  SELECT m.id, m.tenant_id, m.name, m.secret_hash, m.role, m.operator, m.actions, m.datasets, m.created_by,
    m.created_at, m.expires_at, m.revoked_at, c.depth + 1
  FROM chain c JOIN api_keys m ON m.id = substr(c.created_by, 5)
  WHERE c.created_by LIKE 'key:%' AND c.depth < 64
)
SELECT c.*, {now} AS now, t.suspended AS tenant_suspended, u.role AS user_role
FROM chain c JOIN tenants t ON t.id = c.tenant_id
LEFT JOIN users u ON c.created_by LIKE 'user:%' AND u.tenant_id = c.tenant_id
  AND u.subject = substr(c.created_by, 6) AND NOT u.suspended
ORDER BY c.depth";

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
            details: json!({
                "name": new.name, "role": new.role, "operator": new.operator,
                "actions": new.actions, "datasets": new.datasets, "expires_at": new.expires_at,
            }),
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

    /// Returns the key that a caller sent, with the rights that it has now, if it is one and holds on the store's
    /// clock: neither it nor a key that made it is revoked or has expired, no user who made one of them and no tenant of
    /// any of them is suspended.
    pub async fn admit_key(&self, sent: &str) -> Result<Option<ApiKey>> {
        let parts = sent
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'));
        let Some((id, secret)) = parts else {
            return Ok(None);
        };
        let Some((hash, key)) = self.chain_of(id).await? else {
            return Ok(None);
        };
        Ok(key.filter(|_| same(&digest(secret), &hash)))
    }

    /// Returns a key by its public part, if it still holds. Not for admitting anybody: the secret is not looked at.
    ///
    /// # Errors
    /// The store does not answer, or holds what cannot be read.
    pub async fn current_key(&self, id: &str) -> Result<Option<ApiKey>> {
        Ok(self.chain_of(id).await?.and_then(|(_, key)| key))
    }

    /// The hash of a key's secret, and the key as its makers let it be, if all of them hold.
    async fn chain_of(&self, id: &str) -> Result<Option<(String, Option<ApiKey>)>> {
        let mut transaction = self.read(Scope::Service).await?;
        let rows = transaction.fetch(CHAIN, params![id]).await?;
        transaction.commit().await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let (hash, now) = (first.text("secret_hash")?, first.time("now")?);
        let chain = rows.iter().map(Link::read).collect::<Result<Vec<_>>>()?;
        debug_assert!(chain.len() <= MOST_MAKERS);
        Ok(Some((hash, admitted(chain, now))))
    }

    /// Returns the public parts of a key and of all its makers, nearest first.
    ///
    /// # Errors
    /// The store does not answer, or holds what cannot be read.
    pub async fn makers_of_key(&self, id: &str) -> Result<Vec<String>> {
        let mut transaction = self.read(Scope::Service).await?;
        let rows = transaction.fetch(CHAIN, params![id]).await?;
        transaction.commit().await?;
        rows.iter().map(|row| row.text("id")).collect()
    }

    /// Gives a key another secret; the one that it had admits nobody any more. What the key may do, when it ends and
    /// the keys that it made stay.
    ///
    /// # Errors
    /// [`MetadataError::NotFound`] where the tenant has no such key, or it was revoked.
    pub async fn rotate_key(&self, tenant: Uuid, id: &str, actor: &str) -> Result<NewSecret> {
        let secret = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "UPDATE api_keys SET secret_hash = $3
                 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING *",
                params![tenant, id, digest(&secret)],
            )
            .await?
            .ok_or_else(|| MetadataError::NotFound("there is no such key".to_owned()))?;
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "key_rotated",
            subject: id.to_owned(),
            job_id: None,
            details: json!({}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        transaction.commit().await?;
        Ok(NewSecret {
            key: read(&row)?,
            secret: format!("{PREFIX}{id}_{secret}"),
        })
    }

    /// Returns a key of a tenant as it was made.
    ///
    /// # Errors
    /// The store does not answer, or holds what cannot be read.
    pub async fn key(&self, tenant: Uuid, id: &str) -> Result<Option<ApiKey>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT * FROM api_keys WHERE tenant_id = $1 AND id = $2",
                params![tenant, id],
            )
            .await?;
        transaction.commit().await?;
        row.as_ref().map(read).transpose()
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
