//! The logins of Flight SQL: users with passwords, and keys for programs, with what each may do.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::grants::Grants;
use crate::identity::Identity;
use crate::password;

/// What every API key begins with.
pub const KEY_PREFIX: &str = "dsk_";

/// Most bytes of a user's name.
const NAME_BYTES: usize = 128;

/// The users of an engine's home.
#[derive(Debug, Clone)]
pub struct Users {
    pub(crate) store: SqlitePool,
}

/// A user, as lists show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name of the login.
    pub name: String,
    /// Tenant whose tables they see.
    pub tenant: String,
    /// Whether they have a password; otherwise they log in with keys only.
    pub has_password: bool,
    /// When they were added (RFC 3339).
    pub created_at: String,
    /// What they may do, and until when.
    pub grants: Grants,
    /// Whether neither they nor their keys may log in.
    pub suspended: bool,
}

/// What somebody logged in with, to see later whether it still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A password, by its hash as it was.
    Password { user: String, hash: String },
    /// A key, by its public part.
    Key { id: String },
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) identity: Identity,
    pub(crate) credential: Credential,
    pub(crate) grants: Grants,
}

impl Admitted {
    /// Returns the login as the audit log has it.
    pub(crate) fn actor(&self) -> String {
        match &self.credential {
            Credential::Password { user, .. } => format!("sql:{user}"),
            Credential::Key { id } => format!("sql-key:{id}"),
        }
    }
}

impl Engine {
    /// Returns the logins of the service.
    pub fn users(&self) -> Users {
        Users {
            store: self.shared.store.clone(),
        }
    }
}

impl Users {
    /// Adds a user of a tenant who may do everything in it. Without a password they need a key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for names and passwords that cannot be, [`Error::Conflict`] where the name is
    /// taken.
    pub async fn add(&self, name: &str, tenant: &str, password: Option<&str>) -> Result<()> {
        self.add_with(name, tenant, password, &Grants::default())
            .await
    }

    /// Adds a user of a tenant who may do what the grants say. Without a password they need a key.
    ///
    /// # Errors
    /// As [`Users::add`].
    pub async fn add_with(
        &self,
        name: &str,
        tenant: &str,
        password: Option<&str>,
        grants: &Grants,
    ) -> Result<()> {
        check_name(name)?;
        check_tenant(tenant)?;
        grants.validate()?;
        let hash = match password {
            Some(password) => Some(password::hash(password).await?),
            None => None,
        };
        let added = sqlx::query(
            "INSERT INTO users (name, tenant, password_hash, created_at, actions, datasets, expires_at)
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(tenant)
        .bind(hash)
        .bind(Utc::now().to_rfc3339())
        .bind(list(grants.actions.as_ref())?)
        .bind(list(grants.datasets.as_ref())?)
        .bind(moment(grants))
        .execute(&self.store)
        .await?;
        if added.rows_affected() == 0 {
            return Err(Error::Conflict(format!("there is a user {name:?} already")));
        }
        Ok(())
    }

    /// Removes a user and their keys, and ends their sessions. The tables of their tenant stay.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such user.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let removed = sqlx::query("DELETE FROM users WHERE name = ?").bind(name);
        found_user(removed.execute(&self.store).await?.rows_affected(), name)
    }

    /// Gives a user another password. Sessions that the old one opened end.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such user.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<()> {
        let hash = password::hash(password).await?;
        let changed = sqlx::query("UPDATE users SET password_hash = ? WHERE name = ?")
            .bind(hash)
            .bind(name);
        found_user(changed.execute(&self.store).await?.rows_affected(), name)
    }

    /// Changes what a user may do, and until when. Their sessions end, and those of their keys.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such user.
    pub async fn set_grants(&self, name: &str, grants: &Grants) -> Result<()> {
        grants.validate()?;
        let changed = sqlx::query(
            "UPDATE users SET actions = ?, datasets = ?, expires_at = ? WHERE name = ?",
        )
        .bind(list(grants.actions.as_ref())?)
        .bind(list(grants.datasets.as_ref())?)
        .bind(moment(grants))
        .bind(name);
        found_user(changed.execute(&self.store).await?.rows_affected(), name)
    }

    /// Suspends a user with all keys, which ends their sessions, or lets them in again.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such user.
    pub async fn set_suspended(&self, name: &str, suspended: bool) -> Result<()> {
        let changed = sqlx::query("UPDATE users SET suspended = ? WHERE name = ?")
            .bind(suspended)
            .bind(name);
        found_user(changed.execute(&self.store).await?.rows_affected(), name)
    }

    /// Returns all users, by name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list(&self) -> Result<Vec<User>> {
        let rows = sqlx::query(
            "SELECT name, tenant, password_hash IS NOT NULL AS has_password, created_at,
                    actions, datasets, expires_at, suspended
             FROM users ORDER BY name",
        )
        .fetch_all(&self.store)
        .await?;
        rows.iter().map(read_user).collect()
    }

    /// Returns who has this name and password. Whether the name or the password is wrong cannot be
    /// told from the answer, nor from the time that it takes.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`].
    pub async fn authenticate(&self, user: &str, password: &str) -> Result<Identity> {
        Ok(self.admit(user, password).await?.identity)
    }

    /// Returns whose key this is.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`].
    pub async fn authenticate_key(&self, key: &str) -> Result<Identity> {
        Ok(self.admit_key(key).await?.identity)
    }

    pub(crate) async fn admit(&self, user: &str, password: &str) -> Result<Admitted> {
        let known = self.by_name(user).await?;
        let hash = known.as_ref().map(|(hash, _)| hash.clone());
        let holds = password::verify(password, hash).await?;
        match known {
            Some((_, Some(admitted))) if holds => Ok(admitted),
            _ => Err(Error::Unauthenticated(
                "the user name or the password is wrong".to_owned(),
            )),
        }
    }

    /// The password of a user, and what they are let in with while they are.
    async fn by_name(&self, user: &str) -> Result<Option<(String, Option<Admitted>)>> {
        let row = sqlx::query(
            "SELECT name, tenant, password_hash, actions, datasets, expires_at, suspended
             FROM users WHERE name = ? AND password_hash IS NOT NULL",
        )
        .bind(user)
        .fetch_optional(&self.store)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let hash: String = row.try_get("password_hash")?;
        let grants = grants(&row, "actions", "datasets", "expires_at")?;
        let suspended: bool = row.try_get("suspended")?;
        let lasts = !suspended && !grants.has_expired();
        let admitted = Admitted {
            identity: Identity {
                user: row.try_get("name")?,
                tenant: row.try_get("tenant")?,
            },
            credential: Credential::Password {
                user: user.to_owned(),
                hash: hash.clone(),
            },
            grants,
        };
        Ok(Some((hash, lasts.then_some(admitted))))
    }

    pub(crate) async fn admit_key(&self, key: &str) -> Result<Admitted> {
        let wrong = || Error::Unauthenticated("the API key is not, or no longer, one".to_owned());
        let (id, secret) = key
            .strip_prefix(KEY_PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .ok_or_else(wrong)?;
        let (right, admitted) = self.by_key(id).await?.ok_or_else(wrong)?;
        if !same(digest(secret).as_bytes(), right.as_bytes()) {
            return Err(wrong());
        }
        admitted.ok_or_else(wrong)
    }

    /// The hash of a key, and what it lets in while it does.
    async fn by_key(&self, id: &str) -> Result<Option<(String, Option<Admitted>)>> {
        let row = sqlx::query(
            "SELECT u.name, u.tenant, u.suspended, k.key_hash,
                    u.actions, u.datasets, u.expires_at,
                    k.actions AS key_actions, k.datasets AS key_datasets, k.expires_at AS key_expires_at
             FROM api_keys k JOIN users u ON u.name = k.user WHERE k.id = ?",
        )
        .bind(id)
        .fetch_optional(&self.store)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let of_user = grants(&row, "actions", "datasets", "expires_at")?;
        let of_key = grants(&row, "key_actions", "key_datasets", "key_expires_at")?;
        let grants = of_user.and(&of_key);
        let suspended: bool = row.try_get("suspended")?;
        let lasts = !suspended && !grants.has_expired();
        let admitted = Admitted {
            identity: Identity {
                user: row.try_get("name")?,
                tenant: row.try_get("tenant")?,
            },
            credential: Credential::Key { id: id.to_owned() },
            grants,
        };
        Ok(Some((row.try_get("key_hash")?, lasts.then_some(admitted))))
    }

    /// Whether what somebody logged in with still holds, for the same tenant and the same grants.
    pub(crate) async fn still_holds(&self, admitted: &Admitted) -> Result<bool> {
        let now = match &admitted.credential {
            Credential::Password { user, .. } => self.by_name(user).await?,
            Credential::Key { id } => self.by_key(id).await?,
        };
        Ok(now.and_then(|(_, now)| now).as_ref() == Some(admitted))
    }

    /// Returns a number that changes whenever a user or a key is changed or removed.
    pub(crate) async fn version(&self) -> Result<i64> {
        let version = sqlx::query_scalar("SELECT version FROM access_version");
        Ok(version.fetch_one(&self.store).await?)
    }

    /// Returns the tenant of a user, if there is such a user.
    pub(crate) async fn tenant_of(&self, user: &str) -> Result<Option<String>> {
        let tenant = sqlx::query_scalar("SELECT tenant FROM users WHERE name = ?").bind(user);
        Ok(tenant.fetch_optional(&self.store).await?)
    }
}

fn read_user(row: &SqliteRow) -> Result<User> {
    Ok(User {
        name: row.try_get("name")?,
        tenant: row.try_get("tenant")?,
        has_password: row.try_get("has_password")?,
        created_at: row.try_get("created_at")?,
        grants: grants(row, "actions", "datasets", "expires_at")?,
        suspended: row.try_get("suspended")?,
    })
}

/// Reads grants. A moment that cannot be read is past, and a list that cannot be read is an error: a
/// login never gets more because of it.
pub(crate) fn grants(
    row: &SqliteRow,
    actions: &str,
    datasets: &str,
    expires_at: &str,
) -> Result<Grants> {
    let expires_at: Option<String> = row.try_get(expires_at)?;
    let expires_at = expires_at.map(|at| {
        DateTime::parse_from_rfc3339(&at).map_or(DateTime::UNIX_EPOCH, |at| at.with_timezone(&Utc))
    });
    Ok(Grants {
        actions: read_list(row.try_get(actions)?)?,
        datasets: read_list(row.try_get(datasets)?)?,
        expires_at,
    })
}

fn read_list<T: DeserializeOwned + Ord>(text: Option<String>) -> Result<Option<BTreeSet<T>>> {
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

pub(crate) fn list<T: Serialize>(items: Option<&BTreeSet<T>>) -> Result<Option<String>> {
    Ok(items.map(serde_json::to_string).transpose()?)
}

pub(crate) fn moment(grants: &Grants) -> Option<String> {
    grants.expires_at.map(|at| at.to_rfc3339())
}

/// Compares in a time that depends on the lengths only.
fn same(left: &[u8], right: &[u8]) -> bool {
    let differing = left.iter().zip(right).fold(0, |bits, (left, right)| {
        std::hint::black_box(bits | (left ^ right))
    });
    left.len() == right.len() && differing == 0
}

pub(crate) fn digest(secret: &str) -> String {
    hexadecimal(&Sha256::digest(secret.as_bytes()))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn no_user(name: &str) -> Error {
    Error::NotFound(format!("there is no user {name:?}"))
}

pub(crate) fn found_user(rows: u64, name: &str) -> Result<()> {
    match rows {
        0 => Err(no_user(name)),
        _ => Ok(()),
    }
}

/// A colon would end the name in an HTTP header.
fn check_name(name: &str) -> Result<()> {
    let fits = (1..=NAME_BYTES).contains(&name.len())
        && !name.contains(':')
        && !name.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "a user's name has 1 to {NAME_BYTES} bytes, no colon and no control characters"
    )))
}

/// Tenants are names of folders.
fn check_tenant(tenant: &str) -> Result<()> {
    let fits = (1..=64).contains(&tenant.len())
        && tenant
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if fits {
        return Ok(());
    }
    Err(Error::Invalid(
        "a tenant's name has 1 to 64 letters, digits, _ and -".to_owned(),
    ))
}
