//! What tokens stand for, sealed, in a store of its own: away from the data, the metadata and the keys.
//!
//! The store has one table and never sees a clear value: workers bring what a job has sealed
//! (`tokens/` of its output), and opening it takes the key, which this process looks up by name.

use std::str::FromStr;
use std::time::Duration;

use arrow::array::AsArray;
use planner::secret;
use planner::sink::Manifest;
use planner::spec::Secret;
use planner::storage::Place;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Row, SqlitePool};
use udfs::kernels::pii::token::TokenVault;
use uuid::Uuid;

use crate::lifecycle::open_table;
use crate::metadata::{MetadataError, Result};

/// Time for which a statement may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tokens that are added in one statement.
const AT_ONCE: usize = 500;

/// What tokens stand for.
#[derive(Clone)]
pub(crate) struct Vault {
    store: VaultStore,
    /// Name of the key.
    key: Secret,
}

#[derive(Clone)]
enum VaultStore {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// A token as it is kept.
struct Sealed {
    token: String,
    column: String,
    sealed: Vec<u8>,
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
    pub(crate) async fn open(url: &str, key: Secret) -> Result<Self> {
        let store = match url.strip_prefix("sqlite:") {
            Some(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .busy_timeout(PATIENCE);
                let pool = SqlitePoolOptions::new()
                    .max_connections(2)
                    .connect_with(options)
                    .await
                    .map_err(|error| MetadataError::from(error).of_file(path))?;
                sqlx::raw_sql(
                    "CREATE TABLE IF NOT EXISTS pii_tokens (
                       tenant_id TEXT NOT NULL, token TEXT NOT NULL, column_name TEXT NOT NULL, sealed BLOB NOT NULL,
                       job_id TEXT NOT NULL, PRIMARY KEY (tenant_id, token))",
                )
                .execute(&pool)
                .await?;
                VaultStore::Sqlite(pool)
            }
            None => {
                let options = PgConnectOptions::from_str(url).map_err(|_| {
                    MetadataError::Invalid("the URL of the token store cannot be read".to_owned())
                })?;
                let options = options.application_name("data-sanitizer-tokens");
                let pool = PgPoolOptions::new()
                    .max_connections(4)
                    .acquire_timeout(PATIENCE)
                    .connect_with(options)
                    .await?;
                sqlx::raw_sql(
                    "CREATE SCHEMA IF NOT EXISTS token_vault;
                     CREATE TABLE IF NOT EXISTS token_vault.pii_tokens (
                       tenant_id UUID NOT NULL, token TEXT NOT NULL, column_name TEXT NOT NULL, sealed BYTEA NOT NULL,
                       job_id UUID NOT NULL, PRIMARY KEY (tenant_id, token))",
                )
                .execute(&pool)
                .await?;
                VaultStore::Postgres(pool)
            }
        };
        Ok(Self { store, key })
    }

    /// Takes over what a job has sealed; what is there already stays.
    pub(crate) async fn take(&self, tenant: Uuid, job: Uuid, output: Place) -> planner::Result<()> {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
        let reading = tokio::task::spawn_blocking(move || read(&output, &sender));
        while let Some(some) = receiver.recv().await {
            let kept = self.keep(tenant, job, some).await;
            kept.map_err(|error| planner::Error::Elsewhere {
                kind: match error.is_transient() {
                    true => planner::ErrorKind::Unavailable,
                    false => planner::ErrorKind::Bug,
                },
                message: format!("the token store: {error}"),
            })?;
        }
        reading
            .await
            .map_err(|_| planner::Error::Bug("reading tokens panicked"))?
    }

    async fn keep(&self, tenant: Uuid, job: Uuid, some: Vec<Sealed>) -> Result<()> {
        match &self.store {
            VaultStore::Postgres(pool) => {
                let mut query = sqlx::query(
                    "INSERT INTO token_vault.pii_tokens (tenant_id, token, column_name, sealed, job_id)
                     SELECT $1, t.token, t.column_name, t.sealed, $2
                     FROM unnest($3::text[], $4::text[], $5::bytea[]) AS t (token, column_name, sealed)
                     ON CONFLICT DO NOTHING",
                );
                let (mut tokens, mut columns, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
                for one in some {
                    tokens.push(one.token);
                    columns.push(one.column);
                    sealed.push(one.sealed);
                }
                query = query
                    .bind(tenant)
                    .bind(job)
                    .bind(tokens)
                    .bind(columns)
                    .bind(sealed);
                query.execute(pool).await?;
            }
            VaultStore::Sqlite(pool) => {
                let rows = vec!["(?, ?, ?, ?, ?)"; some.len()].join(", ");
                let statement = format!(
                    "INSERT INTO pii_tokens (tenant_id, token, column_name, sealed, job_id) VALUES {rows}
                     ON CONFLICT DO NOTHING"
                );
                let mut query = sqlx::query(AssertSqlSafe(statement));
                for one in some {
                    query = query
                        .bind(tenant.to_string())
                        .bind(one.token)
                        .bind(one.column)
                        .bind(one.sealed)
                        .bind(job.to_string());
                }
                query.execute(pool).await?;
            }
        }
        Ok(())
    }

    /// What tokens of a tenant stand for, in the order in which they are asked for.
    pub(crate) async fn reveal(&self, tenant: Uuid, tokens: &[String]) -> Result<Vec<Revealed>> {
        let unusable = |error: String| {
            tracing::error!(error, "tokens cannot be turned back");
            MetadataError::Conflict("the service has no key for tokens".to_owned())
        };
        let key = secret::resolve(&self.key).map_err(|error| unusable(error.to_string()))?;
        let opener = TokenVault::new(&key).map_err(|error| unusable(error.to_string()))?;
        let mut revealed = Vec::with_capacity(tokens.len());
        for token in tokens {
            let kept = self.find(tenant, token).await?;
            // What another key has sealed is as good as unknown.
            revealed.push(match kept {
                Some((sealed, job)) => Revealed {
                    token: token.clone(),
                    value: opener.open(token, &sealed.sealed).ok(),
                    column: Some(sealed.column),
                    job_id: Some(job),
                },
                None => Revealed {
                    token: token.clone(),
                    value: None,
                    column: None,
                    job_id: None,
                },
            });
        }
        Ok(revealed)
    }

    async fn find(&self, tenant: Uuid, token: &str) -> Result<Option<(Sealed, Uuid)>> {
        match &self.store {
            VaultStore::Postgres(pool) => {
                let row = sqlx::query(
                    "SELECT column_name, sealed, job_id FROM token_vault.pii_tokens
                     WHERE tenant_id = $1 AND token = $2",
                );
                let row = row.bind(tenant).bind(token).fetch_optional(pool).await?;
                row.map(|row| {
                    let sealed = Sealed {
                        token: token.to_owned(),
                        column: row.try_get("column_name")?,
                        sealed: row.try_get("sealed")?,
                    };
                    Ok((sealed, row.try_get("job_id")?))
                })
                .transpose()
            }
            VaultStore::Sqlite(pool) => {
                let row = sqlx::query(
                    "SELECT column_name, sealed, job_id FROM pii_tokens WHERE tenant_id = ? AND token = ?",
                );
                let row = row.bind(tenant.to_string()).bind(token);
                let row = row.fetch_optional(pool).await?;
                row.map(|row| {
                    let sealed = Sealed {
                        token: token.to_owned(),
                        column: row.try_get("column_name")?,
                        sealed: row.try_get("sealed")?,
                    };
                    let job: String = row.try_get("job_id")?;
                    let job = job.parse().map_err(|_| {
                        MetadataError::Failed("the name of a job cannot be read".to_owned())
                    })?;
                    Ok((sealed, job))
                })
                .transpose()
            }
        }
    }
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
                let some = rows.iter().map(|row| Sealed {
                    token: tokens.value(*row).to_owned(),
                    column: columns.value(*row).to_owned(),
                    sealed: sealed.value(*row).to_vec(),
                });
                if sender.blocking_send(some.collect()).is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
