//! SQLite: one file, for the service of one machine.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Sqlite};

use super::database::{Connections, Database, Scope, Transaction};
use super::dialect::{Dialect, translated};
use super::error::{MetadataError, Result};
use super::record::{Param, Record};
use super::sqlite_file::SqliteFile;

/// Time for which a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rows that one statement adds.
const ROWS_AT_ONCE: usize = 100;

/// Connections that read; SQLite has one writer.
const CONNECTIONS: u32 = 8;

/// A SQLite file.
#[derive(Debug)]
pub(super) struct SqliteDatabase {
    pool: SqlitePool,
    file: SqliteFile,
    /// Writers of this process wait here, in turn; in SQLite's own queue they would race.
    writing: std::sync::Arc<tokio::sync::Semaphore>,
}

impl SqliteDatabase {
    pub(super) async fn open(path: &Path) -> Result<Self> {
        planner::private::database(path)
            .map_err(|error| MetadataError::Failed(format!("{}: {error}", path.display())))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await
            .map_err(|error| MetadataError::from(error).of_file(path.display()))?;
        sqlx::migrate!("migrations/sqlite")
            .run(&pool)
            .await
            .map_err(|error| MetadataError::Failed(error.to_string()))?;
        Ok(Self {
            pool,
            file: SqliteFile::at(path),
            writing: std::sync::Arc::new(tokio::sync::Semaphore::new(1)),
        })
    }
}

#[async_trait]
impl Database for SqliteDatabase {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn connections(&self) -> Connections {
        Connections::of(&self.pool)
    }

    async fn probe(&self) -> Result<()> {
        self.file.probe().await
    }

    async fn begin(&self, _scope: Scope, writes: bool) -> Result<Box<dyn Transaction>> {
        let turn = if writes {
            let turn = std::sync::Arc::clone(&self.writing).acquire_owned().await;
            Some(turn.map_err(|_| MetadataError::Unavailable("the store is closed".to_owned()))?)
        } else {
            None
        };
        let mut connection = self.pool.acquire().await?;
        let begin = if writes { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let begun = sqlx::raw_sql(begin).execute(&mut *connection).await;
        let transaction = SqliteTransaction {
            connection: Some(connection),
            _turn: turn,
        };
        begun?;
        Ok(Box::new(transaction))
    }
}

struct SqliteTransaction {
    /// None once it has ended.
    connection: Option<PoolConnection<Sqlite>>,
    _turn: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl SqliteTransaction {
    fn connection(&mut self) -> Result<&mut PoolConnection<Sqlite>> {
        let ended = || MetadataError::Failed("the transaction has ended".to_owned());
        self.connection.as_mut().ok_or_else(ended)
    }
}

impl Drop for SqliteTransaction {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

fn bound(statement: &'static str, params: Vec<Param>) -> Query<'static, Sqlite, SqliteArguments> {
    let statement = translated(statement, Dialect::Sqlite);
    params.into_iter().fold(sqlx::query(statement), bind)
}

fn bind(
    query: Query<'static, Sqlite, SqliteArguments>,
    param: Param,
) -> Query<'static, Sqlite, SqliteArguments> {
    match param {
        Param::Uuid(value) => query.bind(value.map(|value| value.hyphenated().to_string())),
        Param::Text(value) => query.bind(value),
        Param::Int(value) => query.bind(value),
        Param::Float(value) => query.bind(value),
        Param::Bool(value) => query.bind(value),
        Param::Time(value) => query.bind(value.map(|value| value.timestamp_micros())),
        Param::Json(value) => query.bind(value.map(|value| value.to_string())),
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn fetch(&mut self, statement: &'static str, params: Vec<Param>) -> Result<Vec<Record>> {
        let connection = self.connection()?;
        let rows = bound(statement, params)
            .fetch_all(&mut **connection)
            .await?;
        Ok(rows.into_iter().map(Record::Sqlite).collect())
    }

    async fn execute(&mut self, statement: &'static str, params: Vec<Param>) -> Result<u64> {
        let connection = self.connection()?;
        let done = bound(statement, params).execute(&mut **connection).await?;
        Ok(done.rows_affected())
    }

    async fn copy_in(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: &mut (dyn Iterator<Item = Vec<Param>> + Send),
    ) -> Result<u64> {
        let statement = |rows: usize| {
            let row = vec!["?"; columns.len()].join(", ");
            let rows = vec![format!("({row})"); rows].join(", ");
            format!("INSERT INTO {table} ({}) VALUES {rows}", columns.join(", "))
        };
        let whole = statement(ROWS_AT_ONCE);
        let connection = self.connection()?;
        let mut added = 0;
        loop {
            let mut some: Vec<Vec<Param>> = Vec::with_capacity(ROWS_AT_ONCE);
            while some.len() < ROWS_AT_ONCE
                && let Some(row) = rows.next()
            {
                some.push(row);
            }
            let text = match some.len() {
                0 => return Ok(added),
                ROWS_AT_ONCE => whole.clone(),
                rows => statement(rows),
            };
            let query = sqlx::query(AssertSqlSafe(text));
            let query = some.into_iter().flatten().fold(query, bind);
            added += query.execute(&mut **connection).await?.rows_affected();
        }
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let connection = self.connection()?;
        sqlx::raw_sql("COMMIT").execute(&mut **connection).await?;
        drop(self.connection.take());
        Ok(())
    }
}
