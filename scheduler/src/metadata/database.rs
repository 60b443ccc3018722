//! What a database must offer.

use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use super::error::{MetadataError, Result};
use super::record::{Param, Record};

/// Whose rows a transaction sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of one tenant.
    Tenant(Uuid),
    /// All: the queue, and whoever finds out who asks.
    Service,
}

/// Connections of this process to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Those that somebody uses.
    pub busy: usize,
    /// Those that nobody uses.
    pub idle: usize,
    /// Maximum pool size.
    pub most: u32,
}

impl Connections {
    pub(super) fn of<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Self {
        let idle = pool.num_idle();
        Self {
            busy: (pool.size() as usize).saturating_sub(idle),
            idle,
            most: pool.options().get_max_connections(),
        }
    }
}

/// A database with the tables of the service.
#[async_trait]
pub trait Database: fmt::Debug + Send + Sync {
    /// Its name in logs.
    fn kind(&self) -> &'static str;

    /// Its connections.
    fn connections(&self) -> Connections;

    /// Checks that what the connections rest on is there and whole, as far as a statement on them does not show it.
    ///
    /// # Errors
    /// What is missing or broken.
    async fn probe(&self) -> Result<()>;

    /// Begins a transaction, which may change something only where it `writes`.
    async fn begin(&self, scope: Scope, writes: bool) -> Result<Box<dyn Transaction>>;
}

/// A transaction. One that is dropped before it was committed has changed nothing.
#[async_trait]
pub trait Transaction: Send {
    /// Runs a statement; gives its rows.
    async fn fetch(&mut self, statement: &'static str, params: Vec<Param>) -> Result<Vec<Record>>;

    /// Runs a statement; gives how many rows it changed.
    async fn execute(&mut self, statement: &'static str, params: Vec<Param>) -> Result<u64>;

    /// Adds many rows to a table, by the fastest way that the database has.
    async fn copy_in(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: &mut (dyn Iterator<Item = Vec<Param>> + Send),
    ) -> Result<u64>;

    /// Commits the transaction. After an error it may or may not be committed.
    async fn commit(self: Box<Self>) -> Result<()>;
}

impl dyn Transaction + '_ {
    /// Returns the first row, if any.
    pub(super) async fn optional(
        &mut self,
        statement: &'static str,
        params: Vec<Param>,
    ) -> Result<Option<Record>> {
        Ok(self.fetch(statement, params).await?.into_iter().next())
    }

    /// The row that there must be.
    pub(super) async fn one(
        &mut self,
        statement: &'static str,
        params: Vec<Param>,
    ) -> Result<Record> {
        let row = self.optional(statement, params).await?;
        row.ok_or_else(|| MetadataError::Failed("a row is missing".to_owned()))
    }
}
