//! The login of the service on Postgres sees no tenant's rows until it takes a role on.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use udfs::kernels::pii::token::TokenVault;

use super::*;
use crate::metadata::MetadataError;
use crate::vault::{Owner, TokenKeys, Vault};

/// A login, and a database that it owns.
struct Login {
    databases: Databases,
    name: String,
    url: String,
}

impl Login {
    async fn new(options: &str) -> Self {
        let databases = Databases::postgres().await;
        let name = format!("ds_login_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&databases.url()).await.unwrap();
        let base = databases.url().rsplit('/').next().unwrap().to_owned();
        let create = format!(
            "CREATE ROLE {name} LOGIN INHERIT {options}; CREATE DATABASE {base}_of OWNER {name}"
        );
        for statement in create.split("; ") {
            admin
                .execute(AssertSqlSafe(statement.to_owned()))
                .await
                .unwrap();
        }
        let mut url = url::Url::parse(&format!("{}_of", databases.url())).unwrap();
        url.set_username(&name).unwrap();
        Self {
            databases,
            name,
            url: url.into(),
        }
    }

    async fn admin(&self, statement: &str) {
        let mut admin = PgConnection::connect(&self.databases.url()).await.unwrap();
        let statement = AssertSqlSafe(statement.to_owned());
        admin.execute(statement).await.unwrap();
    }

    /// The same, in the login's database.
    async fn admin_inside(&self, statement: &str) {
        let url = format!("{}_of", self.databases.url());
        let mut admin = PgConnection::connect(&url).await.unwrap();
        let statement = AssertSqlSafe(statement.to_owned());
        admin.execute(statement).await.unwrap();
    }

    /// How many rows of a table there are for the login, under a role or under none.
    async fn seen(&self, before: &str, table: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        connection
            .execute(AssertSqlSafe(before.to_owned()))
            .await
            .unwrap();
        let count = format!("SELECT count(*) FROM {table}");
        let row = connection.fetch_one(AssertSqlSafe(count)).await.unwrap();
        row.get(0)
    }

    async fn remove(self) {
        let base = self.url.rsplit('/').next().unwrap();
        self.admin(&format!("DROP DATABASE {base} WITH (FORCE)"))
            .await;
        let revoke =
            "REVOKE data_sanitizer_tenant, data_sanitizer_service, data_sanitizer_vault FROM";
        self.admin(&format!("{revoke} {}", self.name)).await;
        self.admin(&format!("DROP ROLE {}", self.name)).await;
        self.databases.remove().await;
    }
}

/// A login that may change itself is closed when the service opens its database; without a role it sees nothing, of the
/// metadata and of the vault, and a tenant's role sees that tenant's tokens alone.
#[tokio::test(flavor = "multi_thread")]
async fn m6_the_login_sees_nothing_by_itself() {
    let login = Login::new("CREATEROLE").await;
    let store = MetadataStore::open(&login.url).await.unwrap();
    let one = tenant(&store, Limits::default()).await;
    submit(&store, &one).await;
    for table in [
        "tenants",
        "jobs",
        "datasets",
        "audit_logs",
        "audit_heads",
        "audit_checkpoints",
    ] {
        assert_eq!(login.seen("SELECT 1", table).await, 0, "{table}");
        if table != "audit_checkpoints" {
            let as_service = login.seen("SET ROLE data_sanitizer_service", table).await;
            assert!(as_service > 0, "{table}");
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "a key of the vault").unwrap();
    let keys = TokenKeys {
        writing: planner::spec::Secret::File(key),
        reading: Vec::new(),
    };
    let owner = Owner {
        id: one.id,
        name: one.name.clone(),
    };
    let vault = Vault::open(&login.url, keys.clone()).await.unwrap();
    let secret = planner::secret::resolve(&keys.writing.of_tenant(&one.name)).unwrap();
    let sealer = TokenVault::new(&secret).unwrap();
    let token = sealer.token("ann@example.com");
    let sealed = sealer.seal(&token, "ann@example.com").unwrap();
    vault
        .add_sealed(&owner, Uuid::now_v7(), (&token, sealed))
        .await
        .unwrap();
    let revealed = vault
        .reveal(&owner, std::slice::from_ref(&token))
        .await
        .unwrap();
    assert_eq!(revealed[0].value.as_deref(), Some("ann@example.com"));
    let other = Owner {
        id: Uuid::now_v7(),
        ..owner.clone()
    };
    let revealed = vault
        .reveal(&other, std::slice::from_ref(&token))
        .await
        .unwrap();
    assert_eq!(revealed[0].value, None);
    let tokens = "token_vault.pii_tokens";
    let role = |tenant: Uuid| format!("SET ROLE data_sanitizer_vault; SET app.tenant = '{tenant}'");
    assert_eq!(login.seen("SELECT 1", tokens).await, 0);
    assert_eq!(login.seen("SET ROLE data_sanitizer_vault", tokens).await, 0);
    assert_eq!(login.seen(&role(other.id), tokens).await, 0);
    assert_eq!(login.seen(&role(one.id), tokens).await, 1);
    drop((store, vault));
    login.remove().await;
}

/// One that may not change itself is refused, and the message says what makes it good.
#[tokio::test(flavor = "multi_thread")]
async fn m6_an_open_login_is_refused() {
    let login = Login::new("NOCREATEROLE").await;
    let name = login.name.clone();
    login
        .admin(&format!(
            "GRANT data_sanitizer_tenant, data_sanitizer_service TO {name}"
        ))
        .await;
    let refused = MetadataStore::open(&login.url).await.unwrap_err();
    let MetadataError::Invalid(message) = &refused else {
        panic!("{refused:?}");
    };
    let (_, remedy) = message.split_once("run as an administrator: ").unwrap();
    for statement in remedy.split("; ") {
        login.admin_inside(statement).await;
    }
    let store = MetadataStore::open(&login.url).await.unwrap();
    tenant(&store, Limits::default()).await;
    assert_eq!(login.seen("SELECT 1", "tenants").await, 0);
    drop(store);
    // The vault was not opened here, so nobody has made its role.
    login.admin(
        "DO $$ BEGIN CREATE ROLE data_sanitizer_vault NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    )
    .await;
    login.remove().await;
}
