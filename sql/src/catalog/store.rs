//! Where names last: the embedded store.

use std::collections::BTreeMap;

use sqlx::SqlitePool;

use super::Definition;
use crate::error::{Error, Result};
use crate::identifiers::PUBLIC;

/// All that a tenant has named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// Tables and views by schema and name.
    pub(crate) schemas: BTreeMap<String, BTreeMap<String, Definition>>,
    /// Job specs, as JSON.
    pub(crate) specs: BTreeMap<String, String>,
    /// Output locations of the jobs that have finished, the latest of each name.
    pub(crate) jobs: BTreeMap<String, String>,
}

/// The names of one tenant.
#[derive(Debug, Clone)]
pub(crate) struct CatalogStore {
    pool: SqlitePool,
    tenant: String,
}

/// A table by schema and name.
pub(crate) type TableName<'a> = (&'a str, &'a str);

impl CatalogStore {
    pub(crate) fn new(pool: SqlitePool, tenant: &str) -> Self {
        Self {
            pool,
            tenant: tenant.to_owned(),
        }
    }

    /// All names, as they are now.
    pub(crate) async fn load(&self) -> Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        snapshot.schemas.insert(PUBLIC.to_owned(), BTreeMap::new());
        let mut transaction = self.pool.begin().await?;
        let schemas: Vec<(String,)> = sqlx::query_as("SELECT name FROM schemas WHERE tenant = ?")
            .bind(self.tenant.clone())
            .fetch_all(&mut *transaction)
            .await?;
        for (schema,) in schemas {
            snapshot.schemas.entry(schema).or_default();
        }
        let tables: Vec<(String, String, String)> =
            sqlx::query_as("SELECT schema, name, definition FROM tables WHERE tenant = ?")
                .bind(self.tenant.clone())
                .fetch_all(&mut *transaction)
                .await?;
        for (schema, name, definition) in tables {
            let definition = serde_json::from_str(&definition)?;
            snapshot
                .schemas
                .entry(schema)
                .or_default()
                .insert(name, definition);
        }
        let specs: Vec<(String, String)> =
            sqlx::query_as("SELECT name, spec FROM specs WHERE tenant = ?")
                .bind(self.tenant.clone())
                .fetch_all(&mut *transaction)
                .await?;
        snapshot.specs = specs.into_iter().collect();
        let jobs: Vec<(String, String)> =
            sqlx::query_as("SELECT name, output FROM finished_jobs WHERE tenant = ?")
                .bind(self.tenant.clone())
                .fetch_all(&mut *transaction)
                .await?;
        snapshot.jobs = jobs.into_iter().collect();
        Ok(snapshot)
    }

    /// Makes a schema; tells whether it was not there.
    pub(crate) async fn create_schema(&self, name: &str) -> Result<bool> {
        let done =
            sqlx::query("INSERT INTO schemas (tenant, name) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(self.tenant.clone())
                .bind(name.to_owned())
                .execute(&self.pool)
                .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Drops a schema, with its tables where they may go too; tells whether it was there.
    pub(crate) async fn drop_schema(&self, name: &str, cascade: bool) -> Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let held: (i64,) =
            sqlx::query_as("SELECT count(*) FROM tables WHERE tenant = ? AND schema = ?")
                .bind(self.tenant.clone())
                .bind(name.to_owned())
                .fetch_one(&mut *transaction)
                .await?;
        if held.0 > 0 && !cascade {
            return Err(Error::Conflict(format!(
                "the schema {name} holds {} tables; drop them first, or write CASCADE",
                held.0
            )));
        }
        sqlx::query("DELETE FROM tables WHERE tenant = ? AND schema = ?")
            .bind(self.tenant.clone())
            .bind(name.to_owned())
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query("DELETE FROM schemas WHERE tenant = ? AND name = ?")
            .bind(self.tenant.clone())
            .bind(name.to_owned())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Names a table; tells whether the name was free, or its holder was replaced.
    pub(crate) async fn create_table(
        &self,
        (schema, name): TableName<'_>,
        definition: &Definition,
        or_replace: bool,
    ) -> Result<bool> {
        let text = serde_json::to_string(definition)?;
        let mut transaction = self.pool.begin().await?;
        if schema == PUBLIC {
            // The schema that is always there is stored with its first table.
            sqlx::query("INSERT INTO schemas (tenant, name) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(self.tenant.clone())
                .bind(schema.to_owned())
                .execute(&mut *transaction)
                .await?;
        }
        let on_conflict = if or_replace {
            "DO UPDATE SET definition = excluded.definition, version = tables.version + 1"
        } else {
            "DO NOTHING"
        };
        let insert = format!(
            "INSERT INTO tables (tenant, schema, name, definition, version) VALUES (?, ?, ?, ?, 1)
             ON CONFLICT (tenant, schema, name) {on_conflict}"
        );
        let done = sqlx::query(sqlx::AssertSqlSafe(insert))
            .bind(self.tenant.clone())
            .bind(schema.to_owned())
            .bind(name.to_owned())
            .bind(text)
            .execute(&mut *transaction)
            .await;
        let done = match done {
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                return Err(Error::NotFound(format!("there is no schema {schema}")));
            }
            other => other?,
        };
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Takes the name from a table; gives its definition, if there was one.
    pub(crate) async fn drop_table(
        &self,
        (schema, name): TableName<'_>,
    ) -> Result<Option<Definition>> {
        let dropped: Option<(String,)> = sqlx::query_as(
            "DELETE FROM tables WHERE tenant = ? AND schema = ? AND name = ? RETURNING definition",
        )
        .bind(self.tenant.clone())
        .bind(schema.to_owned())
        .bind(name.to_owned())
        .fetch_optional(&self.pool)
        .await?;
        let definition = dropped.map(|(text,)| serde_json::from_str(&text));
        Ok(definition.transpose()?)
    }

    /// Stores a spec; tells whether the name was free, or its holder was replaced.
    pub(crate) async fn create_spec(
        &self,
        name: &str,
        spec: &str,
        or_replace: bool,
    ) -> Result<bool> {
        let insert = if or_replace {
            "INSERT INTO specs (tenant, name, spec) VALUES (?, ?, ?)
             ON CONFLICT (tenant, name) DO UPDATE SET spec = excluded.spec"
        } else {
            "INSERT INTO specs (tenant, name, spec) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        };
        let done = sqlx::query(insert)
            .bind(self.tenant.clone())
            .bind(name.to_owned())
            .bind(spec.to_owned())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Forgets a spec; tells whether it was there.
    pub(crate) async fn drop_spec(&self, name: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM specs WHERE tenant = ? AND name = ?")
            .bind(self.tenant.clone())
            .bind(name.to_owned())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Names the output of a job that has finished; an earlier one of the same name is forgotten.
    pub(crate) async fn finish_job(&self, name: &str, output: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO finished_jobs (tenant, name, output, finished_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (tenant, name) DO UPDATE SET output = excluded.output, finished_at = excluded.finished_at",
        )
        .bind(self.tenant.clone())
        .bind(name.to_owned())
        .bind(output.to_owned())
        .bind(chrono::Utc::now().to_rfc3339())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
