//! Databases for tests: a SQLite file, and a database of a Postgres server — the one that
//! `SANITIZER_TEST_POSTGRES` names, or one that answers on this machine.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::metadata::MetadataStore;

/// A server of this process, or of this machine.
static SERVER: OnceCell<String> = OnceCell::const_new();

/// A database for one test.
pub(super) struct Databases {
    store: MetadataStore,
    _folder: Option<TempDir>,
    postgres: Option<(String, String)>,
}

impl Databases {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("service.sqlite").display());
        Self {
            store: MetadataStore::open(&url).await.unwrap(),
            _folder: Some(folder),
            postgres: None,
        }
    }

    pub(super) async fn postgres() -> Self {
        let server = SERVER.get_or_init(server).await.clone();
        let name = format!("ds_test_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&format!("{server}/postgres"))
            .await
            .unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        admin.execute(create).await.unwrap();
        let url = format!("{server}/{name}");
        Self {
            store: MetadataStore::open(&url).await.unwrap(),
            _folder: None,
            postgres: Some((server, name)),
        }
    }

    pub(super) fn store(&self) -> &MetadataStore {
        &self.store
    }

    /// Where the Postgres database is.
    pub(super) fn url(&self) -> String {
        let (server, name) = self.postgres.clone().unwrap();
        format!("{server}/{name}")
    }

    /// Drops a database of Postgres.
    pub(super) async fn remove(self) {
        let Some((server, name)) = self.postgres else {
            return;
        };
        drop(self.store);
        let mut admin = PgConnection::connect(&format!("{server}/postgres"))
            .await
            .unwrap();
        let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        admin.execute(drop).await.unwrap();
    }
}

/// The URL of a server, without a database. `test.sh` starts one where none answers.
async fn server() -> String {
    if let Ok(url) = std::env::var("SANITIZER_TEST_POSTGRES") {
        return url.trim_end_matches('/').to_owned();
    }
    for user in ["postgres", "root"] {
        let url = format!("postgres://{user}@127.0.0.1:5432");
        if PgConnection::connect(&format!("{url}/postgres"))
            .await
            .is_ok()
        {
            return url;
        }
    }
    panic!("no Postgres server answers; ./test.sh starts one, SANITIZER_TEST_POSTGRES names one")
}
