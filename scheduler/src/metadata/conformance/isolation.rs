//! Tenants do not see each other, whatever a statement forgets to say.

use sqlx::{Connection, Executor, PgConnection, Row};

use super::*;
use crate::metadata::{NewKey, Role};

on_both! {
    /// What belongs to one tenant is not there for another one.
    async fn others_are_not_there(store: &MetadataStore) {
        let (one, other) = (tenant(store, Limits::default()).await, tenant(store, Limits::default()).await);
        let job = submit(store, &one).await;
        assert!(store.job(one.id, job.id).await.unwrap().is_some());
        assert!(store.job(other.id, job.id).await.unwrap().is_none());
        assert!(store.cancel(other.id, job.id, "eve").await.is_err());
        assert!(store.dataset(other.id, "people").await.unwrap().is_none());
        assert!(store.dataset(other.id, &job.dataset_id.to_string()).await.unwrap().is_none());
        assert!(store.events(other.id, job.id, 0).await.unwrap().is_empty());
        let key = NewKey { name: "k".to_owned(), role: Role::Admin, operator: false, actions: None, datasets: None, expires_at: None };
        let made = store.create_key(one.id, &key, "test").await.unwrap();
        assert!(store.keys(other.id).await.unwrap().is_empty());
        assert!(store.revoke_key(other.id, &made.key.id, "eve").await.is_err());
        assert!(store.admit_key(&made.secret).await.unwrap().is_some());
        store.put_rule(one.id, "r", &json!({"steps": []}), "test").await.unwrap();
        assert!(store.rule(other.id, "r").await.unwrap().is_none());
        assert!(store.delete_rule(other.id, "r", "eve").await.is_err());
    }
}

/// Row-level security holds for every table, for the owner of the tables too, and nobody changes the audit log.
#[tokio::test(flavor = "multi_thread")]
async fn row_level_security() {
    let databases = Databases::postgres().await;
    let store = databases.store();
    let (one, other) = (
        tenant(store, Limits::default()).await,
        tenant(store, Limits::default()).await,
    );
    submit(store, &one).await;
    let mut connection = PgConnection::connect(&databases.url()).await.unwrap();
    let open = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
                AND relname <> '_sqlx_migrations' AND NOT (relrowsecurity AND relforcerowsecurity)";
    let open = connection.fetch_all(open).await.unwrap();
    assert!(
        open.is_empty(),
        "{:?}",
        open.first().map(|row| row.get::<String, _>(0))
    );

    let seen = |tenant: Option<Uuid>| {
        let url = databases.url();
        async move {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            connection
                .execute("SET ROLE data_sanitizer_tenant")
                .await
                .unwrap();
            if let Some(tenant) = tenant {
                let set = format!("SET app.tenant = '{tenant}'");
                connection.execute(sqlx::AssertSqlSafe(set)).await.unwrap();
            }
            let mut counts = Vec::new();
            for table in ["jobs", "datasets", "job_events", "audit_logs", "tenants"] {
                let count = format!("SELECT count(*) FROM {table}");
                let row = connection
                    .fetch_one(sqlx::AssertSqlSafe(count))
                    .await
                    .unwrap();
                counts.push(row.get::<i64, _>(0));
            }
            counts
        }
    };
    assert_eq!(seen(Some(one.id)).await, [1, 1, 1, 2, 1]);
    assert_eq!(seen(Some(other.id)).await, [0, 0, 0, 1, 1]);
    assert_eq!(seen(None).await, [0, 0, 0, 0, 0]);

    for role in ["data_sanitizer_tenant", "data_sanitizer_service"] {
        for statement in [
            "UPDATE audit_logs SET actor = 'x'",
            "DELETE FROM audit_logs",
            "TRUNCATE audit_logs",
            "DROP TABLE jobs",
            "ALTER TABLE jobs DISABLE ROW LEVEL SECURITY",
        ] {
            let mut connection = PgConnection::connect(&databases.url()).await.unwrap();
            let role = format!("SET ROLE {role}; SET app.tenant = '{}'", one.id);
            connection.execute(sqlx::AssertSqlSafe(role)).await.unwrap();
            let refused = connection.execute(statement).await.unwrap_err();
            let code = refused
                .as_database_error()
                .unwrap()
                .code()
                .unwrap()
                .into_owned();
            assert_eq!(code, "42501", "{statement}");
        }
    }
    // A row of somebody else cannot be written either.
    let mut connection = PgConnection::connect(&databases.url()).await.unwrap();
    let role = format!(
        "SET ROLE data_sanitizer_tenant; SET app.tenant = '{}'",
        one.id
    );
    connection.execute(sqlx::AssertSqlSafe(role)).await.unwrap();
    let insert = format!(
        "INSERT INTO datasets (id, tenant_id, name, created_at) VALUES ('{}', '{}', 'x', now())",
        Uuid::now_v7(),
        other.id
    );
    assert!(
        connection
            .execute(sqlx::AssertSqlSafe(insert))
            .await
            .is_err()
    );
    databases.remove().await;
}

/// The migrations of both databases make the same tables with the same columns.
#[tokio::test(flavor = "multi_thread")]
async fn both_schemas_agree() {
    let databases = Databases::postgres().await;
    let mut connection = PgConnection::connect(&databases.url()).await.unwrap();
    let columns = "SELECT table_name || '.' || column_name FROM information_schema.columns
                   WHERE table_schema = 'public' AND table_name NOT LIKE 'cell\\_provenance\\__%' AND table_name <> '_sqlx_migrations'";
    let mut postgres: Vec<String> = connection
        .fetch_all(columns)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    databases.remove().await;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.sqlite");
    MetadataStore::open(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    let mut connection = sqlx::SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    let columns = "SELECT t.name || '.' || c.name FROM sqlite_master t, pragma_table_info(t.name) c
                   WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> '_sqlx_migrations'";
    let mut sqlite: Vec<String> = connection
        .fetch_all(columns)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    postgres.sort();
    sqlite.sort();
    assert_eq!(postgres, sqlite);
    assert!(postgres.len() > 100, "{}", postgres.len());
}
