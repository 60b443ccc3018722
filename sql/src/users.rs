//! Who may come in: users with passwords, and keys for programs.

use std::fmt::Write as _;
use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rand::Rng;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqlitePool};
use tokio::sync::Semaphore;

use crate::engine::{Engine, Identity};
use crate::error::{Error, Result};

/// What every API key begins with.
pub const KEY_PREFIX: &str = "dsk_";

/// Fewest and most bytes of a password.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=1024;

/// Most bytes of a user's name.
const NAME_BYTES: usize = 128;

/// Passwords that are hashed at the same time: each takes 19 MiB and a core.
static HASHERS: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Semaphore::new(cores.clamp(1, 8))
});

/// Stands in for the password of a user who is not there, so that both take the same time.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| {
    let hash = Argon2::default().hash_password(b"nobody's password").ok()?;
    Some(hash.to_string())
});

/// The users of an engine's home.
#[derive(Debug, Clone)]
pub struct Users {
    store: SqlitePool,
}

/// A user, as lists show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name to come in with.
    pub name: String,
    /// Whose tables they see.
    pub tenant: String,
    /// Whether they have a password; who has none comes in with keys only.
    pub has_password: bool,
    /// When they were added (RFC 3339).
    pub created_at: String,
}

/// A key, as lists show it: without its secret, which nobody keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part of the key.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it ends (RFC 3339); never when none.
    pub expires_at: Option<String>,
}

/// What somebody came in with, to see later whether it still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A password, by its hash as it was.
    Password { user: String, hash: String },
    /// A key, by its public part.
    Key { id: String },
}

/// Somebody who was let in.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(crate) identity: Identity,
    pub(crate) credential: Credential,
}

impl Engine {
    /// Who may come in.
    pub fn users(&self) -> Users {
        Users {
            store: self.shared.store.clone(),
        }
    }
}

impl Users {
    /// Adds a user, who sees the tables of `tenant`. Without a password they need a key.
    pub async fn add(&self, name: &str, tenant: &str, password: Option<&str>) -> Result<()> {
        check_name(name)?;
        check_tenant(tenant)?;
        let hash = match password {
            Some(password) => Some(hash(password).await?),
            None => None,
        };
        let added = sqlx::query(
            "INSERT INTO users (name, tenant, password_hash, created_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(tenant)
        .bind(hash)
        .bind(now())
        .execute(&self.store)
        .await?;
        if added.rows_affected() == 0 {
            return Err(Error::Conflict(format!("there is a user {name:?} already")));
        }
        Ok(())
    }

    /// Removes a user and their keys. The tables of their tenant stay.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let removed = sqlx::query("DELETE FROM users WHERE name = ?")
            .bind(name)
            .execute(&self.store)
            .await?;
        found(removed.rows_affected(), || {
            format!("there is no user {name:?}")
        })
    }

    /// Gives a user another password. Sessions that the old one opened end soon.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<()> {
        let hash = hash(password).await?;
        let changed = sqlx::query("UPDATE users SET password_hash = ? WHERE name = ?")
            .bind(hash)
            .bind(name)
            .execute(&self.store)
            .await?;
        found(changed.rows_affected(), || {
            format!("there is no user {name:?}")
        })
    }

    /// All users, by name.
    pub async fn list(&self) -> Result<Vec<User>> {
        let rows = sqlx::query(
            "SELECT name, tenant, password_hash IS NOT NULL AS has_password, created_at
             FROM users ORDER BY name",
        )
        .fetch_all(&self.store)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(User {
                    name: row.try_get("name")?,
                    tenant: row.try_get("tenant")?,
                    has_password: row.try_get("has_password")?,
                    created_at: row.try_get("created_at")?,
                })
            })
            .collect()
    }

    /// Makes a key for a user and gives it, `dsk_<id>_<secret>`: the only time that it can be read.
    pub async fn add_key(&self, user: &str, expires_at: Option<DateTime<Utc>>) -> Result<String> {
        let id = hexadecimal(&rand::rng().random::<[u8; 8]>());
        let secret = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
        let added = sqlx::query(
            "INSERT INTO api_keys (id, user, key_hash, created_at, expires_at)
             SELECT ?, name, ?, ?, ? FROM users WHERE name = ?",
        )
        .bind(&id)
        .bind(digest(&secret))
        .bind(now())
        .bind(expires_at.map(|at| at.to_rfc3339()))
        .bind(user)
        .execute(&self.store)
        .await?;
        found(added.rows_affected(), || {
            format!("there is no user {user:?}")
        })?;
        Ok(format!("{KEY_PREFIX}{id}_{secret}"))
    }

    /// Removes a key by its public part.
    pub async fn remove_key(&self, id: &str) -> Result<()> {
        let removed = sqlx::query("DELETE FROM api_keys WHERE id = ?")
            .bind(id)
            .execute(&self.store)
            .await?;
        found(removed.rows_affected(), || {
            format!("there is no key {id:?}")
        })
    }

    /// The keys of a user, oldest first.
    pub async fn keys(&self, user: &str) -> Result<Vec<ApiKey>> {
        let rows = sqlx::query(
            "SELECT id, user, created_at, expires_at FROM api_keys
             WHERE user = ? ORDER BY created_at, id",
        )
        .bind(user)
        .fetch_all(&self.store)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ApiKey {
                    id: row.try_get("id")?,
                    user: row.try_get("user")?,
                    created_at: row.try_get("created_at")?,
                    expires_at: row.try_get("expires_at")?,
                })
            })
            .collect()
    }

    /// Who has this name and password. Whether the name or the password is wrong cannot be told
    /// from the answer, nor from the time that it takes.
    pub async fn authenticate(&self, user: &str, password: &str) -> Result<Identity> {
        Ok(self.admit(user, password).await?.identity)
    }

    /// Whose key this is.
    pub async fn authenticate_key(&self, key: &str) -> Result<Identity> {
        Ok(self.admit_key(key).await?.identity)
    }

    pub(crate) async fn admit(&self, user: &str, password: &str) -> Result<Admitted> {
        let row = sqlx::query("SELECT tenant, password_hash FROM users WHERE name = ?")
            .bind(user)
            .fetch_optional(&self.store)
            .await?;
        let known = match row {
            Some(row) => row
                .try_get::<Option<String>, _>("password_hash")?
                .zip(Some(row.try_get::<String, _>("tenant")?)),
            None => None,
        };
        let hash = known.as_ref().map(|(hash, _)| hash.clone());
        let holds = verify(password, hash).await?;
        match known {
            Some((hash, tenant)) if holds => Ok(Admitted {
                identity: Identity {
                    user: user.to_owned(),
                    tenant,
                },
                credential: Credential::Password {
                    user: user.to_owned(),
                    hash,
                },
            }),
            _ => Err(Error::Unauthenticated(
                "the user name or the password is wrong".to_owned(),
            )),
        }
    }

    pub(crate) async fn admit_key(&self, key: &str) -> Result<Admitted> {
        let wrong = || Error::Unauthenticated("the API key is not, or no longer, one".to_owned());
        let (id, secret) = key
            .strip_prefix(KEY_PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .ok_or_else(wrong)?;
        let row = sqlx::query(
            "SELECT u.name, u.tenant, k.key_hash, k.expires_at
             FROM api_keys k JOIN users u ON u.name = k.user WHERE k.id = ?",
        )
        .bind(id)
        .fetch_optional(&self.store)
        .await?
        .ok_or_else(wrong)?;
        let right: String = row.try_get("key_hash")?;
        let lasts = lasts(row.try_get::<Option<String>, _>("expires_at")?.as_deref());
        if !(same(digest(secret).as_bytes(), right.as_bytes()) && lasts) {
            return Err(wrong());
        }
        Ok(Admitted {
            identity: Identity {
                user: row.try_get("name")?,
                tenant: row.try_get("tenant")?,
            },
            credential: Credential::Key { id: id.to_owned() },
        })
    }

    /// Whether what somebody came in with still holds, and for the same tenant.
    pub(crate) async fn still_holds(&self, admitted: &Admitted) -> Result<bool> {
        let tenant: Option<String> = match &admitted.credential {
            Credential::Password { user, hash } => {
                sqlx::query_scalar("SELECT tenant FROM users WHERE name = ? AND password_hash = ?")
                    .bind(user)
                    .bind(hash)
                    .fetch_optional(&self.store)
                    .await?
            }
            Credential::Key { id } => {
                let row = sqlx::query(
                    "SELECT u.tenant, k.expires_at
                     FROM api_keys k JOIN users u ON u.name = k.user WHERE k.id = ?",
                )
                .bind(id)
                .fetch_optional(&self.store)
                .await?;
                match row {
                    Some(row)
                        if lasts(row.try_get::<Option<String>, _>("expires_at")?.as_deref()) =>
                    {
                        Some(row.try_get("tenant")?)
                    }
                    _ => None,
                }
            }
        };
        Ok(tenant.as_ref() == Some(&admitted.identity.tenant))
    }
}

/// Hashes a password, away from the threads that serve.
async fn hash(password: &str) -> Result<String> {
    if !PASSWORD_BYTES.contains(&password.len()) {
        return Err(Error::Invalid(format!(
            "a password has {} to {} bytes",
            PASSWORD_BYTES.start(),
            PASSWORD_BYTES.end()
        )));
    }
    let password = password.to_owned();
    apart(move || {
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|_| Error::Bug("a password cannot be hashed"))
    })
    .await?
}

/// Whether a password has this hash; never without one, but after the same work.
async fn verify(password: &str, hash: Option<String>) -> Result<bool> {
    if password.len() > *PASSWORD_BYTES.end() {
        return Ok(false);
    }
    let password = password.to_owned();
    apart(move || {
        let known = hash.is_some();
        let Some(hash) = hash.or_else(|| NOBODY.clone()) else {
            return false;
        };
        let holds = PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        });
        known && holds
    })
    .await
}

/// Runs work that takes a core for a while.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let _turn = HASHERS
        .acquire()
        .await
        .map_err(|_| Error::Bug("nobody hashes passwords"))?;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Bug("a password cannot be hashed"))
}

/// Compares in a time that depends on the lengths only.
fn same(left: &[u8], right: &[u8]) -> bool {
    let differing = left.iter().zip(right).fold(0, |bits, (left, right)| {
        std::hint::black_box(bits | (left ^ right))
    });
    left.len() == right.len() && differing == 0
}

fn digest(secret: &str) -> String {
    hexadecimal(&Sha256::digest(secret.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn now() -> String {
    Utc::now().to_rfc3339()
}

/// Whether a moment is yet to come; a moment that cannot be read is past.
fn lasts(expires_at: Option<&str>) -> bool {
    expires_at.is_none_or(|at| DateTime::parse_from_rfc3339(at).is_ok_and(|at| at > Utc::now()))
}

fn found(rows: u64, otherwise: impl FnOnce() -> String) -> Result<()> {
    match rows {
        0 => Err(Error::NotFound(otherwise())),
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
