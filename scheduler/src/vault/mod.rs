//! What tokens stand for, sealed, in a store of its own: away from the data, the metadata and the keys.
//!
//! The store has one table and never sees a clear value: workers bring what a job has sealed
//! (`tokens/` of its output, which is taken off the output before anybody sees it), and opening it takes the key,
//! which this process looks up by name and derives for the tenant. Each row has the id of the key that sealed it, so
//! a key can be replaced while the old one is still read, and the rows re-sealed one after the other.

mod keys;
mod store;

use arrow::array::AsArray;
use planner::sink::Manifest;
use planner::storage::Place;
use udfs::kernels::pii::token::TokenVault;
use uuid::Uuid;

use self::keys::KeyRing;
pub use self::keys::TokenKeys;
use self::store::{Sealed, VaultStore};
use crate::metadata::Result;
use crate::output::open_table;

/// Tokens that are added or re-sealed in one transaction.
const AT_ONCE: usize = 500;

/// What tokens stand for.
#[derive(Clone)]
pub(crate) struct Vault {
    store: VaultStore,
    /// Names of the keys.
    keys: TokenKeys,
}

/// A tenant, by identifier and name: rows have the one, keys are derived with the other.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) id: Uuid,
    pub(crate) name: String,
}

/// What a token stands for, or that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revealed {
    pub(crate) token: String,
    pub(crate) value: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) job_id: Option<Uuid>,
}

impl Vault {
    /// Opens the store at a URL, `postgres://…` or `sqlite:PATH`, making its table where there is none. In
    /// Postgres the table lies in a schema of its own, `token_vault`.
    ///
    /// # Errors
    /// When the store cannot be opened, or its login would see the rows of all tenants.
    pub(crate) async fn open(url: &str, keys: TokenKeys) -> Result<Self> {
        let store = VaultStore::open(url).await?;
        Ok(Self { store, keys })
    }

    /// Names of the keys.
    pub(crate) fn keys(&self) -> &TokenKeys {
        &self.keys
    }

    /// Takes over what a job has sealed; what is there already stays. What a replaced key has sealed, because the job
    /// began before the key was replaced, is re-sealed.
    ///
    /// # Errors
    /// When the output cannot be read, the store does not answer, or a key is not known here.
    pub(crate) async fn take(
        &self,
        owner: &Owner,
        job: Uuid,
        output: Place,
    ) -> planner::Result<()> {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
        let reading = tokio::task::spawn_blocking(move || read(&output, &sender));
        let mut ring = None;
        while let Some(some) = receiver.recv().await {
            let kept = self.keep(owner, &mut ring, job, some).await;
            kept.map_err(|error| planner::Error::Remote {
                kind: match error.is_transient() {
                    true => planner::ErrorKind::Unavailable,
                    false => planner::ErrorKind::Invalid,
                },
                message: format!("the token store: {error}"),
            })?;
        }
        reading
            .await
            .map_err(|_| planner::Error::Bug("reading tokens panicked"))?
    }

    async fn keep(
        &self,
        owner: &Owner,
        ring: &mut Option<KeyRing>,
        job: Uuid,
        mut some: Vec<Sealed>,
    ) -> Result<()> {
        let ring = match ring {
            Some(ring) => ring,
            None => ring.insert(KeyRing::of(&self.keys, &owner.name)?),
        };
        for one in &mut some {
            if one.key_id != ring.writing_id() {
                reseal(ring, one)?;
            }
        }
        self.store.add(owner.id, job, some).await
    }

    /// Adds one token, as a job would bring it.
    #[cfg(test)]
    pub(crate) async fn add_sealed(
        &self,
        owner: &Owner,
        job: Uuid,
        (token, sealed): (&str, Vec<u8>),
    ) -> Result<()> {
        let one = Sealed {
            key_id: TokenVault::key_id_of(token).unwrap_or_default().to_owned(),
            token: token.to_owned(),
            column: "email".to_owned(),
            sealed,
        };
        self.keep(owner, &mut None, job, vec![one]).await
    }

    /// What tokens of a tenant stand for, in the order in which they are asked for; a token that the vault does not
    /// know stands for nothing.
    ///
    /// # Errors
    /// [`MetadataError::Conflict`](crate::metadata::MetadataError::Conflict) when a value is sealed under a key that
    /// the service does not have, or was changed.
    pub(crate) async fn reveal(&self, owner: &Owner, tokens: &[String]) -> Result<Vec<Revealed>> {
        let ring = KeyRing::of(&self.keys, &owner.name)?;
        let known = self.store.find(owner.id, tokens).await?;
        let revealed = tokens.iter().map(|token| {
            let found = known.iter().find(|(sealed, _)| sealed.token == *token);
            let Some((sealed, job)) = found else {
                return Ok(Revealed {
                    token: token.clone(),
                    value: None,
                    column: None,
                    job_id: None,
                });
            };
            let opened = ring.open(token, &sealed.key_id, &sealed.sealed)?;
            Ok(Revealed {
                token: token.clone(),
                value: Some(opened.value),
                column: Some(sealed.column.clone()),
                job_id: Some(*job),
            })
        });
        revealed.collect()
    }

    /// Re-seals under the key that writes whatever another key has sealed, some tokens at a time; gives how many. May
    /// be stopped at any moment and run again, and while the service runs. `done` hears of each transaction.
    ///
    /// # Errors
    /// As those of [`Vault::reveal`]; what was re-sealed before stays so.
    pub(crate) async fn rotate(&self, owner: &Owner, mut done: impl FnMut(u64)) -> Result<u64> {
        let ring = KeyRing::of(&self.keys, &owner.name)?;
        let (mut after, mut count) = (String::new(), 0);
        loop {
            let page = (after.as_str(), i64::try_from(AT_ONCE).unwrap_or(i64::MAX));
            let found = self
                .store
                .sealed_otherwise(owner.id, ring.writing_id(), page)
                .await?;
            let Some(last) = found.last() else {
                return Ok(count);
            };
            after.clone_from(&last.token);
            let resealed = found.into_iter().map(|mut one| {
                let before = one.key_id.clone();
                reseal(&ring, &mut one)?;
                Ok((one, before))
            });
            let resealed = resealed.collect::<Result<Vec<_>>>()?;
            count += resealed.len() as u64;
            self.store.replace(owner.id, resealed).await?;
            done(count);
        }
    }
}

/// Seals a value anew under the key that writes.
fn reseal(ring: &KeyRing, one: &mut Sealed) -> Result<()> {
    let opened = ring.open(&one.token, &one.key_id, &one.sealed)?;
    if !opened.is_current {
        one.sealed = ring.seal(&one.token, &opened.value)?;
        ring.writing_id().clone_into(&mut one.key_id);
    }
    Ok(())
}

/// Reads what an output has sealed, some at a time. Blocks its thread.
fn read(output: &Place, sender: &tokio::sync::mpsc::Sender<Vec<Sealed>>) -> planner::Result<()> {
    let manifest = Manifest::read(output)?;
    let parts = manifest.files.iter();
    for part in parts.filter(|entry| entry.path.starts_with("tokens/")) {
        for batch in open_table(&output.join(&part.path))? {
            let batch = batch?;
            let missing = || planner::Error::Bug("a column of the tokens is missing");
            let text = |name: &str| {
                let column = batch.column_by_name(name);
                column
                    .and_then(|column| column.as_string_opt::<i32>())
                    .ok_or_else(missing)
            };
            let (columns, tokens) = (text("column_name")?, text("token")?);
            let sealed = batch.column_by_name("sealed");
            let sealed = sealed.and_then(|column| column.as_binary_opt::<i32>());
            let sealed = sealed.ok_or_else(missing)?;
            let rows: Vec<usize> = (0..batch.num_rows()).collect();
            for rows in rows.chunks(AT_ONCE) {
                let some = rows.iter().map(|row| {
                    let token = tokens.value(*row).to_owned();
                    Sealed {
                        key_id: TokenVault::key_id_of(&token).unwrap_or_default().to_owned(),
                        token,
                        column: columns.value(*row).to_owned(),
                        sealed: sealed.value(*row).to_vec(),
                    }
                });
                if sender.blocking_send(some.collect()).is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use planner::spec::Secret;
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{Connection, SqliteConnection};

    use super::*;
    use crate::metadata::MetadataError;

    /// What an earlier release sealed for all tenants under one key is revealed, and re-sealed under the tenant's.
    #[tokio::test]
    async fn h9_a_vault_of_an_earlier_release() {
        const TOKEN: &str = "tok_1f3bf2e055e87354ab3f604389f7d4e0";
        const SEALED: &str = "000000000000000000000000de9728e4dd1d8bf591e8659307ec9892fc7a3dc393e2ac9eac76d2603eb6ce";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.sqlite");
        let owner = Owner {
            id: Uuid::now_v7(),
            name: "acme".to_owned(),
        };
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true);
        let mut earlier = SqliteConnection::connect_with(&options).await.unwrap();
        let table = "CREATE TABLE pii_tokens (
            tenant_id TEXT NOT NULL, token TEXT NOT NULL, column_name TEXT NOT NULL, sealed BLOB NOT NULL,
            job_id TEXT NOT NULL, PRIMARY KEY (tenant_id, token))";
        sqlx::query(table).execute(&mut earlier).await.unwrap();
        let digits = SEALED.as_bytes().chunks(2);
        let sealed =
            digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        sqlx::query("INSERT INTO pii_tokens VALUES (?, ?, 'email', ?, ?)")
            .bind(owner.id.to_string())
            .bind(TOKEN)
            .bind(sealed.collect::<Vec<u8>>())
            .bind(Uuid::now_v7().to_string())
            .execute(&mut earlier)
            .await
            .unwrap();
        earlier.close().await.unwrap();

        let key = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Secret::File(path)
        };
        let (old, new) = (
            key("old", "0123456789abcdef"),
            key("new", "another key of the vault"),
        );
        let url = format!("sqlite:{}", path.display());
        let with = async |writing: &Secret, reading: &[&Secret]| {
            let keys = TokenKeys {
                writing: writing.clone(),
                reading: reading.iter().map(|key| (*key).clone()).collect(),
            };
            Vault::open(&url, keys).await.unwrap()
        };
        let asked = [TOKEN.to_owned()];
        let value = |revealed: Vec<Revealed>| revealed[0].value.clone().unwrap();
        let revealed = with(&old, &[]).await.reveal(&owner, &asked).await.unwrap();
        assert_eq!(value(revealed), "ann@example.com");
        let missing = with(&new, &[]).await.reveal(&owner, &asked).await;
        assert!(
            matches!(missing, Err(MetadataError::Conflict(_))),
            "{missing:?}"
        );
        let both = with(&new, &[&old]).await;
        assert_eq!(both.rotate(&owner, |_| {}).await.unwrap(), 1);
        assert_eq!(both.rotate(&owner, |_| {}).await.unwrap(), 0);
        let revealed = with(&new, &[]).await.reveal(&owner, &asked).await.unwrap();
        assert_eq!(value(revealed), "ann@example.com");
    }
}
