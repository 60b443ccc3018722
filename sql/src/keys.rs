//! Keys for programs: each has what its user has, or less, and ends with its user.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rand::Rng;
use sqlx::Row;

use crate::error::{Error, Result};
use crate::grants::Grants;
use crate::users::{
    KEY_PREFIX, Users, digest, found_user, grants as read_grants, hexadecimal, list, moment,
    no_user,
};

/// A key, as lists show it: without its secret, which is stored nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part of the key.
    pub id: String,
    /// User whose key it is.
    pub user: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it ends (RFC 3339); never when none.
    pub expires_at: Option<String>,
    /// What it may do of what its user may.
    pub grants: Grants,
}

impl Users {
    /// Makes a key that may do what its user may, and returns it, `dsk_<id>_<secret>`: the only time
    /// that it can be read.
    ///
    /// # Errors
    /// As [`Users::add_key_with`].
    pub async fn add_key(&self, user: &str, expires_at: Option<DateTime<Utc>>) -> Result<String> {
        let grants = Grants {
            expires_at,
            ..Grants::default()
        };
        self.add_key_with(user, &grants).await
    }

    /// Makes a key with grants of its own, and returns it. What they leave open is the user's.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such user, [`Error::Forbidden`] where the key would have
    /// more than its user, or last longer.
    pub async fn add_key_with(&self, user: &str, grants: &Grants) -> Result<String> {
        grants.validate()?;
        let users = self.list().await?;
        let of = users.into_iter().find(|known| known.name == user);
        let of = of.ok_or_else(|| no_user(user))?;
        // What the key leaves open is the user's, now and later.
        let asked = Grants {
            actions: grants.actions.clone().or_else(|| of.grants.actions.clone()),
            datasets: grants
                .datasets
                .clone()
                .or_else(|| of.grants.datasets.clone()),
            expires_at: grants.expires_at,
        };
        if !of.grants.covers(&asked) {
            return Err(Error::Forbidden(format!(
                "a key has no more than its user, and lasts no longer: {user:?} lacks an action or a dataset of the key, or ends before it"
            )));
        }
        let id = hexadecimal(&rand::rng().random::<[u8; 8]>());
        let secret = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
        let added = sqlx::query(
            "INSERT INTO api_keys (id, user, key_hash, created_at, expires_at, actions, datasets)
             SELECT ?, name, ?, ?, ?, ?, ? FROM users WHERE name = ?",
        )
        .bind(&id)
        .bind(digest(&secret))
        .bind(Utc::now().to_rfc3339())
        .bind(moment(grants))
        .bind(list(grants.actions.as_ref())?)
        .bind(list(grants.datasets.as_ref())?)
        .bind(user)
        .execute(&self.store)
        .await?;
        found_user(added.rows_affected(), user)?;
        Ok(format!("{KEY_PREFIX}{id}_{secret}"))
    }

    /// Removes a key by its public part, and ends its sessions.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such key.
    pub async fn remove_key(&self, id: &str) -> Result<()> {
        let removed = sqlx::query("DELETE FROM api_keys WHERE id = ?").bind(id);
        match removed.execute(&self.store).await?.rows_affected() {
            0 => Err(Error::NotFound(format!("there is no key {id:?}"))),
            _ => Ok(()),
        }
    }

    /// Returns the keys of a user, oldest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn keys(&self, user: &str) -> Result<Vec<ApiKey>> {
        let rows = sqlx::query(
            "SELECT id, user, created_at, expires_at, actions, datasets FROM api_keys
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
                    grants: read_grants(row, "actions", "datasets", "expires_at")?,
                })
            })
            .collect()
    }
}
