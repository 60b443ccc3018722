//! The embedded store: one SQLite file in the engine's home, shared by the processes of a machine.

use std::path::Path;
use std::time::Duration;

use planner::private;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::error::{Error, Result};

/// Time for which a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the store in a folder, making or migrating it.
pub(crate) async fn open(home: &Path) -> Result<SqlitePool> {
    let path = home.join("catalog.sqlite");
    let made = private::folder(home).and_then(|()| private::database(&path));
    made.map_err(|error| Error::io(home, error))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE);
    let pool = SqlitePoolOptions::new()
        .max_connections(8)
        .connect_with(options)
        .await?;
    sqlx::migrate!()
        .run(&pool)
        .await
        .map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
    Ok(pool)
}
