//! Where sealed values lie: one table in Postgres or SQLite.
//!
//! In Postgres the table is closed by row-level security, for its owner too: every statement runs under a role that
//! sees the rows of one tenant.

use std::str::FromStr;
use std::time::Duration;

use planner::private;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row, SqlitePool};
use uuid::Uuid;

use crate::metadata::{MetadataError, Result, close_login, ensure_role};

/// Time for which a statement may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The role under which the vault is read and written in Postgres; it sees the rows of one tenant at a time.
const ROLE: &str = "data_sanitizer_vault";

/// Makes the vault of SQLite.
const SQLITE: &str = "CREATE TABLE IF NOT EXISTS pii_tokens (
    tenant_id TEXT NOT NULL, token TEXT NOT NULL, column_name TEXT NOT NULL, sealed BLOB NOT NULL,
    job_id TEXT NOT NULL, key_id TEXT NOT NULL DEFAULT '', PRIMARY KEY (tenant_id, token))";

/// Makes the vault of Postgres, or closes that of an earlier release. Whoever comes second finds it done.
const POSTGRES: &str = "
DO $$
BEGIN
  PERFORM pg_advisory_xact_lock(4820397511);
  IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'token_vault') THEN
    CREATE SCHEMA token_vault;
  END IF;
  CREATE TABLE IF NOT EXISTS token_vault.pii_tokens (
    tenant_id UUID NOT NULL, token TEXT NOT NULL, column_name TEXT NOT NULL, sealed BYTEA NOT NULL,
    job_id UUID NOT NULL, PRIMARY KEY (tenant_id, token));
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'token_vault.pii_tokens'::regclass AND attname = 'key_id') THEN
    ALTER TABLE token_vault.pii_tokens ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = 'token_vault.pii_tokens'::regclass AND polname = 'of_tenant') THEN
    ALTER TABLE token_vault.pii_tokens ENABLE ROW LEVEL SECURITY;
    ALTER TABLE token_vault.pii_tokens FORCE ROW LEVEL SECURITY;
    CREATE POLICY of_tenant ON token_vault.pii_tokens TO data_sanitizer_vault
      USING (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
      WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
    GRANT USAGE ON SCHEMA token_vault TO data_sanitizer_vault;
    GRANT SELECT, INSERT, UPDATE ON token_vault.pii_tokens TO data_sanitizer_vault;
  END IF;
END $$";

/// Where sealed values lie.
#[derive(Clone)]
pub(super) enum VaultStore {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// A token as it is kept.
pub(super) struct Sealed {
    pub(super) token: String,
    pub(super) column: String,
    pub(super) sealed: Vec<u8>,
    /// The id of the key that sealed it; empty for one of an earlier release.
    pub(super) key_id: String,
}

impl VaultStore {
    /// Opens the store at a URL, `postgres://…` or `sqlite:PATH`, making its table where there is none.
    pub(super) async fn open(url: &str) -> Result<Self> {
        match url.strip_prefix("sqlite:") {
            Some(path) => Self::open_sqlite(path).await,
            None => Self::open_postgres(url).await,
        }
    }

    async fn open_sqlite(path: &str) -> Result<Self> {
        private::database(path.as_ref())
            .map_err(|error| MetadataError::Failed(format!("{path}: {error}")))?;
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
        sqlx::raw_sql(SQLITE).execute(&pool).await?;
        let known = "SELECT count(*) FROM pragma_table_info('pii_tokens') WHERE name = 'key_id'";
        let known: i64 = sqlx::query_scalar(known).fetch_one(&pool).await?;
        if known == 0 {
            let add = "ALTER TABLE pii_tokens ADD COLUMN key_id TEXT NOT NULL DEFAULT ''";
            sqlx::raw_sql(add).execute(&pool).await?;
        }
        Ok(Self::Sqlite(pool))
    }

    async fn open_postgres(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            MetadataError::Invalid("the URL of the token store cannot be read".to_owned())
        })?;
        let options = options.application_name("data-sanitizer-tokens");
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await?;
        ensure_role(&pool, ROLE).await?;
        sqlx::raw_sql(POSTGRES).execute(&pool).await?;
        close_login(&pool, &[ROLE]).await?;
        Ok(Self::Postgres(pool))
    }

    /// Adds tokens of a tenant; those that are there stay.
    pub(super) async fn add(&self, tenant: Uuid, job: Uuid, some: Vec<Sealed>) -> Result<()> {
        match self {
            Self::Postgres(pool) => {
                let (mut tokens, mut columns) = (Vec::new(), Vec::new());
                let (mut sealed, mut keys) = (Vec::new(), Vec::new());
                for one in some {
                    tokens.push(one.token);
                    columns.push(one.column);
                    sealed.push(one.sealed);
                    keys.push(one.key_id);
                }
                let mut transaction = begin(pool, tenant).await?;
                sqlx::query(
                    "INSERT INTO token_vault.pii_tokens (tenant_id, token, column_name, sealed, job_id, key_id)
                     SELECT $1, t.token, t.column_name, t.sealed, $2, t.key_id
                     FROM unnest($3::text[], $4::text[], $5::bytea[], $6::text[]) AS t (token, column_name, sealed, key_id)
                     ON CONFLICT DO NOTHING",
                )
                .bind(tenant)
                .bind(job)
                .bind(tokens)
                .bind(columns)
                .bind(sealed)
                .bind(keys)
                .execute(&mut *transaction)
                .await?;
                transaction.commit().await?;
            }
            Self::Sqlite(pool) => {
                let rows = vec!["(?, ?, ?, ?, ?, ?)"; some.len()].join(", ");
                let statement = format!(
                    "INSERT INTO pii_tokens (tenant_id, token, column_name, sealed, job_id, key_id) VALUES {rows}
                     ON CONFLICT DO NOTHING"
                );
                let mut query = sqlx::query(AssertSqlSafe(statement));
                for one in some {
                    query = query
                        .bind(tenant.to_string())
                        .bind(one.token)
                        .bind(one.column)
                        .bind(one.sealed)
                        .bind(job.to_string())
                        .bind(one.key_id);
                }
                query.execute(pool).await?;
            }
        }
        Ok(())
    }

    /// What is kept of those tokens of a tenant that are known, each with the job that brought it.
    pub(super) async fn find(
        &self,
        tenant: Uuid,
        tokens: &[String],
    ) -> Result<Vec<(Sealed, Uuid)>> {
        match self {
            Self::Postgres(pool) => {
                let mut transaction = begin(pool, tenant).await?;
                let rows = sqlx::query(
                    "SELECT token, column_name, sealed, key_id, job_id FROM token_vault.pii_tokens
                     WHERE tenant_id = $1 AND token = ANY($2)",
                );
                let rows = rows.bind(tenant).bind(tokens);
                let rows = rows.fetch_all(&mut *transaction).await?;
                transaction.commit().await?;
                let read = rows
                    .iter()
                    .map(|row| Ok((sealed(row)?, row.try_get("job_id")?)));
                read.collect()
            }
            Self::Sqlite(pool) => {
                let places = vec!["?"; tokens.len()].join(", ");
                let statement = format!(
                    "SELECT token, column_name, sealed, key_id, job_id FROM pii_tokens
                     WHERE tenant_id = ? AND token IN ({places})"
                );
                let mut query = sqlx::query(AssertSqlSafe(statement)).bind(tenant.to_string());
                for token in tokens {
                    query = query.bind(token);
                }
                let rows = query.fetch_all(pool).await?;
                let read = rows.iter().map(|row| {
                    let job: String = row.try_get("job_id")?;
                    let job = job.parse().map_err(|_| {
                        MetadataError::Failed("the name of a job cannot be read".to_owned())
                    })?;
                    Ok((sealed(row)?, job))
                });
                read.collect()
            }
        }
    }

    /// Up to `most` tokens of a tenant behind `after`, in order, that another key than this one has sealed.
    pub(super) async fn sealed_otherwise(
        &self,
        tenant: Uuid,
        key_id: &str,
        (after, most): (&str, i64),
    ) -> Result<Vec<Sealed>> {
        match self {
            Self::Postgres(pool) => {
                let mut transaction = begin(pool, tenant).await?;
                let rows = sqlx::query(
                    "SELECT token, column_name, sealed, key_id FROM token_vault.pii_tokens
                     WHERE tenant_id = $1 AND key_id <> $2 AND token > $3 ORDER BY token LIMIT $4",
                );
                let rows = rows.bind(tenant).bind(key_id).bind(after).bind(most);
                let rows = rows.fetch_all(&mut *transaction).await?;
                transaction.commit().await?;
                rows.iter().map(sealed).collect()
            }
            Self::Sqlite(pool) => {
                let rows = sqlx::query(
                    "SELECT token, column_name, sealed, key_id FROM pii_tokens
                     WHERE tenant_id = ? AND key_id <> ? AND token > ? ORDER BY token LIMIT ?",
                );
                let rows = rows
                    .bind(tenant.to_string())
                    .bind(key_id)
                    .bind(after)
                    .bind(most);
                rows.fetch_all(pool).await?.iter().map(sealed).collect()
            }
        }
    }

    /// Puts re-sealed values in the place of those that `from` has sealed, in one transaction: `some` are the new
    /// ones, each with the id of the key that sealed it before.
    pub(super) async fn replace(&self, tenant: Uuid, some: Vec<(Sealed, String)>) -> Result<()> {
        match self {
            Self::Postgres(pool) => {
                let mut transaction = begin(pool, tenant).await?;
                for (one, before) in some {
                    sqlx::query(
                        "UPDATE token_vault.pii_tokens SET sealed = $3, key_id = $4
                         WHERE tenant_id = $1 AND token = $2 AND key_id = $5",
                    )
                    .bind(tenant)
                    .bind(one.token)
                    .bind(one.sealed)
                    .bind(one.key_id)
                    .bind(before)
                    .execute(&mut *transaction)
                    .await?;
                }
                transaction.commit().await?;
            }
            Self::Sqlite(pool) => {
                let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                for (one, before) in some {
                    sqlx::query(
                        "UPDATE pii_tokens SET sealed = ?, key_id = ?
                         WHERE tenant_id = ? AND token = ? AND key_id = ?",
                    )
                    .bind(one.sealed)
                    .bind(one.key_id)
                    .bind(tenant.to_string())
                    .bind(one.token)
                    .bind(before)
                    .execute(&mut *transaction)
                    .await?;
                }
                transaction.commit().await?;
            }
        }
        Ok(())
    }
}

/// Begins a transaction that sees the rows of one tenant.
async fn begin(pool: &PgPool, tenant: Uuid) -> Result<sqlx::Transaction<'static, Postgres>> {
    // A UUID is nothing but digits and dashes.
    let scope = format!(
        "SET LOCAL ROLE {ROLE}; SET LOCAL app.tenant = '{}'",
        tenant.hyphenated()
    );
    let mut transaction = pool.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(scope))
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

fn sealed<'r, R: Row>(row: &'r R) -> Result<Sealed>
where
    &'static str: sqlx::ColumnIndex<R>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    Vec<u8>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    Ok(Sealed {
        token: row.try_get("token")?,
        column: row.try_get("column_name")?,
        sealed: row.try_get("sealed")?,
        key_id: row.try_get("key_id")?,
    })
}
