//! Postgres.

use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, Postgres};
use tracing::warn;

use super::database::{Connections, Database, Scope, Transaction};
use super::dialect::{Dialect, translated};
use super::error::{MetadataError, Result};
use super::login::close_login;
use super::record::{Param, Record};

/// Bytes of rows that are handed to COPY at a time.
const COPY_BYTES: usize = 256 << 10;

/// The roles that transactions take on: of a tenant, and of the service itself.
const ROLES: [&str; 2] = ["data_sanitizer_tenant", "data_sanitizer_service"];

/// Time after which an idle connection is asked whether it lives, and for its answer.
const TRUSTED: Duration = Duration::from_secs(2);
const PING: Duration = Duration::from_secs(1);

/// A database of a Postgres server.
#[derive(Debug)]
pub(super) struct PostgresDatabase {
    pool: PgPool,
    patience: Duration,
}

impl PostgresDatabase {
    pub(super) async fn open(url: &str, connections: u32, patience: Duration) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            // The URL may hold a password, so it is not repeated.
            .map_err(|_| MetadataError::Invalid("the URL of Postgres cannot be read".to_owned()))?
            .application_name("data-sanitizer")
            // A server whose client has vanished must not keep its locks.
            .options([
                ("idle_in_transaction_session_timeout", "30s"),
                ("lock_timeout", "8s"),
                ("tcp_keepalives_idle", "10"),
                ("tcp_keepalives_interval", "5"),
                ("tcp_keepalives_count", "3"),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(patience)
            .idle_timeout(Duration::from_secs(300))
            // A connection that has been idle may be dead on the other side, and would say nothing for long.
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for < TRUSTED {
                        return Ok(true);
                    }
                    let answer = tokio::time::timeout(PING, connection.ping()).await;
                    Ok(matches!(answer, Ok(Ok(()))))
                })
            })
            .connect_with(options)
            .await?;
        sqlx::migrate!("migrations/postgres")
            .run(&pool)
            .await
            .map_err(|error| MetadataError::Failed(error.to_string()))?;
        close_login(&pool, &ROLES).await?;
        Ok(Self { pool, patience })
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn connections(&self) -> Connections {
        Connections::of(&self.pool)
    }

    async fn probe(&self) -> Result<()> {
        // Nothing lies on this machine: the statement of the caller tells all.
        Ok(())
    }

    async fn begin(&self, scope: Scope, writes: bool) -> Result<Box<dyn Transaction>> {
        let mut connection = self.pool.acquire().await?;
        let mode = if writes { "READ WRITE" } else { "READ ONLY" };
        let role = match scope {
            // A UUID is nothing but digits and dashes.
            Scope::Tenant(id) => format!(
                "SET LOCAL ROLE data_sanitizer_tenant; SET LOCAL app.tenant = '{}'",
                id.hyphenated()
            ),
            Scope::Service => "SET LOCAL ROLE data_sanitizer_service".to_owned(),
        };
        let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED {mode}; {role}");
        let begun = sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *connection);
        let begun = match tokio::time::timeout(self.patience, begun).await {
            Ok(begun) => begun.map(drop).map_err(MetadataError::from),
            Err(_) => Err(silent()),
        };
        let transaction = PostgresTransaction {
            connection: Some(connection),
            patience: self.patience,
        };
        begun.map(|()| Box::new(transaction) as Box<dyn Transaction>)
    }
}

fn silent() -> MetadataError {
    MetadataError::Unavailable("no answer in time".to_owned())
}

struct PostgresTransaction {
    /// None once it has ended.
    connection: Option<PoolConnection<Postgres>>,
    patience: Duration,
}

impl PostgresTransaction {
    fn connection(&mut self) -> Result<&mut PoolConnection<Postgres>> {
        let ended = || MetadataError::Failed("the transaction has ended".to_owned());
        self.connection.as_mut().ok_or_else(ended)
    }
}

impl Drop for PostgresTransaction {
    fn drop(&mut self) {
        // Whatever state the connection is in, nobody else gets it; the server rolls back when it is closed.
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// Waits for a statement, but not for ever: a connection may be dead on the other side.
async fn in_time<T>(
    patience: Duration,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T> {
    match tokio::time::timeout(patience, statement).await {
        Ok(done) => Ok(done?),
        Err(_) => {
            warn!("a statement got no answer in time; its connection is given up");
            Err(silent())
        }
    }
}

fn bound(statement: &'static str, params: Vec<Param>) -> Query<'static, Postgres, PgArguments> {
    let mut query = sqlx::query(translated(statement, Dialect::Postgres));
    for param in params {
        query = match param {
            Param::Uuid(value) => query.bind(value),
            Param::Text(value) => query.bind(value),
            Param::Int(value) => query.bind(value),
            Param::Float(value) => query.bind(value),
            Param::Bool(value) => query.bind(value),
            Param::Time(value) => query.bind(value),
            Param::Json(value) => query.bind(value),
        };
    }
    query
}

#[async_trait]
impl Transaction for PostgresTransaction {
    async fn fetch(&mut self, statement: &'static str, params: Vec<Param>) -> Result<Vec<Record>> {
        let patience = self.patience;
        let connection = self.connection()?;
        let rows = bound(statement, params).fetch_all(&mut **connection);
        let rows = in_time(patience, rows).await?;
        Ok(rows.into_iter().map(Record::Postgres).collect())
    }

    async fn execute(&mut self, statement: &'static str, params: Vec<Param>) -> Result<u64> {
        let patience = self.patience;
        let connection = self.connection()?;
        let done = bound(statement, params).execute(&mut **connection);
        Ok(in_time(patience, done).await?.rows_affected())
    }

    async fn copy_in(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: &mut (dyn Iterator<Item = Vec<Param>> + Send),
    ) -> Result<u64> {
        let patience = self.patience;
        // COPY does not go through row-level security, so the rows take a step in between.
        let columns = columns.join(", ");
        let stage = format!(
            "CREATE TEMPORARY TABLE staged ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA"
        );
        let statement = format!("COPY staged ({columns}) FROM STDIN");
        let connection = self.connection()?;
        let stage = sqlx::raw_sql(AssertSqlSafe(stage)).execute(&mut **connection);
        in_time(patience, stage).await?;
        let mut copy = in_time(patience, connection.copy_in_raw(&statement)).await?;
        let mut text = String::with_capacity(COPY_BYTES + 4096);
        for row in rows {
            copy_line(&mut text, &row);
            if text.len() >= COPY_BYTES {
                in_time(patience, copy.send(text.as_bytes())).await?;
                text.clear();
            }
        }
        in_time(patience, copy.send(text.as_bytes())).await?;
        in_time(patience, copy.finish()).await?;
        let add = format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM staged");
        let add = sqlx::raw_sql(AssertSqlSafe(add)).execute(&mut **connection);
        Ok(in_time(patience * 6, add).await?.rows_affected())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let patience = self.patience;
        let connection = self.connection()?;
        let done = sqlx::raw_sql("COMMIT").execute(&mut **connection);
        in_time(patience, done).await?;
        // Only now is it as good as new.
        drop(self.connection.take());
        Ok(())
    }
}

/// A row in the text format of COPY.
fn copy_line(to: &mut String, row: &[Param]) {
    for (number, value) in row.iter().enumerate() {
        if number > 0 {
            to.push('\t');
        }
        let text = match value {
            Param::Uuid(value) => value.map(|value| value.hyphenated().to_string()),
            Param::Text(value) => value.clone(),
            Param::Int(value) => value.map(|value| value.to_string()),
            Param::Float(value) => value.map(|value| value.to_string()),
            Param::Bool(value) => Some(value.to_string()),
            Param::Time(value) => value.map(|value| value.to_rfc3339()),
            Param::Json(value) => value.as_ref().map(Value::to_string),
        };
        let Some(text) = text else {
            to.push_str("\\N");
            continue;
        };
        for character in text.chars() {
            match character {
                '\\' => to.push_str("\\\\"),
                '\t' => to.push_str("\\t"),
                '\n' => to.push_str("\\n"),
                '\r' => to.push_str("\\r"),
                // Postgres keeps no text with it.
                '\0' => to.push('\u{fffd}'),
                other => to.push(other),
            }
        }
    }
    to.push('\n');
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers what a client asks first, whether TLS may be spoken, and gives what the client says then.
    async fn server(answer: u8) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 8];
            stream.read_exact(&mut asked).await.unwrap();
            // The length, and the number that asks for TLS (1234, 5679).
            assert_eq!(asked, [0, 0, 0, 8, 4, 210, 22, 47]);
            stream.write_all(&[answer]).await.unwrap();
            let mut said = vec![0; 6];
            let read = stream.read(&mut said).await.unwrap_or(0);
            said.truncate(read);
            said
        });
        (address, heard)
    }

    async fn open(address: SocketAddr) -> MetadataError {
        let url = format!("postgres://someone:secret@{address}/base?sslmode=require");
        let opened = PostgresDatabase::open(&url, 1, Duration::from_secs(2)).await;
        opened.unwrap_err()
    }

    /// A server that speaks TLS hears TLS: the handshake (22) of version 3 with the client's first message (1).
    #[tokio::test]
    async fn tls() {
        let (address, heard) = server(b'S').await;
        open(address).await;
        let said = heard.await.unwrap();
        assert_eq!((said[0], said[1], said[5]), (22, 3, 1), "{said:?}");
    }

    /// One that does not hears nothing more, not even who asked, and the error says why.
    #[tokio::test]
    async fn no_tls() {
        let (address, heard) = server(b'N').await;
        let error = open(address).await.to_string();
        assert!(error.contains("TLS"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(heard.await.unwrap().is_empty());
    }
}
