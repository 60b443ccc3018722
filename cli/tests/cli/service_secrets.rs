//! What the service keeps to itself: secrets, the keys of tokens, its audit log, and its files.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, Row, SqliteConnection};

use super::rest_service::{Caller, PATIENCE, PEOPLE, first_key, has};
use super::sandbox::Sandbox;

const OLD_KEY: &str = "the first key of the vault";
const NEW_KEY: &str = "the second key of the vault";
const PASSWORD: &str = "a password of hers";

/// `sanitizer serve` with both of its doors, until it is dropped.
struct Service {
    child: Child,
    flight: String,
    rest: String,
    key: String,
}

impl Service {
    fn start(sandbox: &Sandbox, more: &[&str]) -> Self {
        let mut child = sandbox
            .command(&["serve", "--home", "home", "--http", "127.0.0.1:0"])
            .args(["--flight-sql", "127.0.0.1:0", "--secret", "env:TEST_SALT"])
            .args(more)
            .envs([("SANITIZER_TOKEN_KEY", OLD_KEY), ("NEW_TOKEN_KEY", NEW_KEY)])
            .env(
                "DATABASE_URL",
                "postgres://somebody:whose-password@127.0.0.1/base",
            )
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let (mut flight, mut rest) = (None, None);
        while flight.is_none() || rest.is_none() {
            let mut line = String::new();
            assert!(
                lines.read_line(&mut line).unwrap() > 0,
                "the service did not start"
            );
            let after = |begins| line.trim().strip_prefix(begins).map(str::to_owned);
            flight = flight.or(after("Flight SQL listens on "));
            rest = rest.or(after("REST API listens on "));
        }
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let key = first_key(&sandbox.path("home"));
        Self {
            child,
            flight: flight.unwrap(),
            rest: rest.unwrap(),
            key,
        }
    }

    fn caller(&self) -> Caller {
        Caller::new(&self.rest, &self.key)
    }

    /// Runs a statement over Flight SQL; gives the rows, or the error.
    fn sql(&self, sandbox: &Sandbox, user: &str, statement: &str) -> Result<String, String> {
        let url = format!("grpc://{}", self.flight);
        let arguments = [
            "sql", "--format", "csv", "--server", &url, "--user", user, statement,
        ];
        let output = sandbox
            .command(&arguments)
            .env("SANITIZER_PASSWORD", PASSWORD)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text(output.stderr)),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn add_user(sandbox: &Sandbox, name: &str, tenant: &str) {
    let mut child = sandbox
        .command(&["users", "--home", "home", "add", name, "--tenant", tenant])
        .env_remove("SANITIZER_PASSWORD")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child
        .stdin
        .take()
        .unwrap()
        .write_all(format!("{PASSWORD}\n").as_bytes());
    assert!(child.wait().unwrap().success());
}

/// The hash of `ann@example.com` by the program itself.
fn local_hash(sandbox: &Sandbox, secret: &str) -> String {
    let statement = format!("SELECT pii_hash('ann@example.com', '{secret}') AS hash");
    let printed = sandbox.succeed(&["sql", "--format", "csv", &statement]);
    printed.lines().last().unwrap().to_owned()
}

/// A column of a job's rows.
fn column(caller: &Caller, job: &str, name: &str) -> Vec<String> {
    let rows = caller.call(
        Method::GET,
        &format!("/jobs/{job}/download?format=jsonl"),
        |request| request,
    );
    let rows = rows.text();
    let cells = rows.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        row[name].as_str().unwrap().to_owned()
    });
    cells.collect()
}

/// Runs a job on PEOPLE that hides the column email.
fn hidden(caller: &Caller, strategy: &str) -> Vec<String> {
    let config = json!({"columns": [{"name": "email", "pii": true, "pii_strategy": strategy}]});
    let fields = [("schema_config", config.to_string())];
    let fields = fields.each_ref().map(|(name, text)| (*name, text.as_str()));
    let tenant = caller.get("/me")["tenant"].as_str().unwrap().to_owned();
    let job = caller.ingest_for(&tenant, "people.csv", PEOPLE, &fields);
    let ended = caller.ended(&job);
    assert_eq!(ended["status"], "success", "{ended:#}");
    column(caller, &job, "email")
}

/// A tenant names the secrets of the service's list, literal or computed, and nothing else is read: the key of the
/// vault, a variable, a file, one that is not there and another tenant's are all answered alike. What a listed name
/// stands for is the tenant's own.
#[test]
fn c4_statements_and_specs_name_listed_secrets_only() {
    let sandbox = Sandbox::new();
    add_user(&sandbox, "ann", "default");
    add_user(&sandbox, "eve", "other");
    let service = Service::start(&sandbox, &[]);
    let hash = |user: &str, call: &str| {
        let printed = service
            .sql(&sandbox, user, &format!("SELECT {call} AS hash"))
            .unwrap();
        printed.lines().last().unwrap().to_owned()
    };
    let own = hash("ann", "pii_hash('ann@example.com', 'env:TEST_SALT')");
    assert_eq!(own, hash("ann", "pii_hash('ann@example.com')"));
    assert_eq!(
        own,
        hash(
            "ann",
            "pii_hash('ann@example.com', concat('env:', 'TEST_SALT'))"
        )
    );
    assert_eq!(own, local_hash(&sandbox, "tenant:default:env:TEST_SALT"));
    assert_ne!(own, local_hash(&sandbox, "env:TEST_SALT"));
    assert_ne!(own, hash("eve", "pii_hash('ann@example.com')"));

    let mut said = BTreeSet::new();
    for name in [
        "'env:SANITIZER_TOKEN_KEY'",
        "'env:DATABASE_URL'",
        "'env:NOT_SET_AT_ALL'",
        "'file:/etc/passwd'",
        "'file:/no/such/file'",
        "'tenant:other:env:TEST_SALT'",
        "concat('env:', 'SANITIZER_TOKEN_KEY')",
        "concat('file:', '/etc/shadow')",
        "concat('env:', 'NOT_SET_AT_ALL')",
        "(SELECT concat('env:', x) FROM (VALUES ('DATABASE_URL')) AS t (x))",
    ] {
        for statement in [
            format!("SELECT pii_hash('data-sanitizer token vault', {name})"),
            format!("SELECT pii_hash(y, {name}) FROM (VALUES ('a'), ('b')) AS u (y)"),
        ] {
            let Err(error) = service.sql(&sandbox, "ann", &statement) else {
                panic!("{statement} is answered");
            };
            let refused = error.contains("not among those that may be named");
            let computed_column = error.contains("as a constant text");
            assert!(
                refused || (name.starts_with('(') && computed_column),
                "{statement}: {error}"
            );
            if refused {
                said.insert(error);
            }
        }
    }
    assert_eq!(said.len(), 1, "the answers differ: {said:?}");
    for option in ["pii_salt", "pii_token_key"] {
        let statement = format!(
            "SELECT * FROM sanitize((SELECT 'ann' AS x), dataset => {{{option}: 'env:DATABASE_URL'}})"
        );
        let error = service.sql(&sandbox, "ann", &statement).unwrap_err();
        assert!(
            error.contains("not among those that may be named"),
            "{statement}: {error}"
        );
    }

    let caller = service.caller();
    for secret in [
        "env:SANITIZER_TOKEN_KEY",
        "env:DATABASE_URL",
        "file:/etc/passwd",
        "env:NOT_SET",
    ] {
        let config = json!({"pii_salt": secret, "columns": []}).to_string();
        let answer = caller.try_ingest("people.csv", PEOPLE, &[("schema_config", &config)]);
        assert_eq!(answer.status, 422, "{secret}: {}", answer.text());
    }
    // A condition of a rule is SQL too.
    let condition = "pii_hash(email, 'env:DATABASE_URL') <> email";
    let config =
        json!({"columns": [{"name": "email", "business_rules": [{"expression": condition}]}]});
    let job = caller.ingest(
        "people.csv",
        PEOPLE,
        &[("schema_config", &config.to_string())],
    );
    let ended = caller.ended(&job);
    assert_eq!(
        (&ended["status"], &ended["error"]["kind"]),
        (&json!("failed"), &json!("invalid")),
        "{ended:#}"
    );
    drop(service);

    let listed = sandbox.command(&[
        "serve",
        "--home",
        "home",
        "--http",
        "127.0.0.1:0",
        "--flight-sql",
        "127.0.0.1:0",
        "--secret",
        "env:SANITIZER_TOKEN_KEY",
    ]);
    let output = { listed }.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && error.contains("cannot be among those"),
        "{error}"
    );
}

/// Equal values of two tenants have different hashes and tokens; the jobs and the statements of one tenant agree.
#[test]
fn h8_tenants_have_keys_of_their_own() {
    let sandbox = Sandbox::new();
    add_user(&sandbox, "ann", "default");
    let service = Service::start(&sandbox, &[]);
    let caller = service.caller();
    let made = caller.post("/tenants", &json!({"name": "other"}));
    assert_eq!(made.status, 201, "{}", made.text());
    let key = caller.post(
        "/keys",
        &json!({"name": "k", "role": "admin", "tenant": "other"}),
    );
    assert_eq!(key.status, 201, "{}", key.text());
    let other = caller.with_key(key.json()["secret"].as_str().unwrap());

    let (ours, theirs) = (hidden(&caller, "hash"), hidden(&other, "hash"));
    let statement = "SELECT pii_hash('ann@example.com') AS hash";
    let printed = service.sql(&sandbox, "ann", statement).unwrap();
    assert_eq!(printed.lines().last().unwrap(), ours[0]);
    assert_eq!(
        ours[0],
        local_hash(&sandbox, "tenant:default:env:TEST_SALT")
    );
    assert!(
        ours.iter().all(|hash| !theirs.contains(hash)),
        "{ours:?} {theirs:?}"
    );

    let (ours, theirs) = (hidden(&caller, "tokenize"), hidden(&other, "tokenize"));
    assert!(
        ours.iter().all(|token| !theirs.contains(token)),
        "{ours:?} {theirs:?}"
    );
    let reveal = |caller: &Caller| {
        let request = json!({"tokens": [ours[0]], "reason": "a test"});
        caller.post("/tokens/reveal", &request).json()["tokens"][0]["value"].clone()
    };
    assert_eq!(
        (reveal(&caller), reveal(&other)),
        (json!("ann@example.com"), Value::Null)
    );
}

/// The vault is re-sealed under another key, through a kill in the middle; tokens of both keys are revealed, a key
/// that is missing is an error and no value, and outputs hold no sealed values.
#[test]
fn h9_tokens_outlive_their_key() {
    const ROWS: usize = 20_000;
    let sandbox = Sandbox::new();
    let mut table = String::from("id,email\n");
    for number in 0..ROWS {
        table.push_str(&format!("{number},person{number}@example.com\n"));
    }
    let config = r#"{"columns": [{"name": "email", "pii": true, "pii_strategy": "tokenize"}]}"#;
    let tokenized = |caller: &Caller| {
        let job = caller.ingest("people.csv", &table, &[("schema_config", config)]);
        let ended = caller.ended(&job);
        assert_eq!(ended["status"], "success", "{ended:#}");
        column(caller, &job, "email")
    };
    let reveal = |caller: &Caller, token: &str| {
        caller.post(
            "/tokens/reveal",
            &json!({"tokens": [token], "reason": "a test"}),
        )
    };
    let value = |caller: &Caller, token: &str| {
        let answer = reveal(caller, token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["tokens"][0]["value"].clone()
    };
    let service = Service::start(&sandbox, &[]);
    let old = tokenized(&service.caller());
    assert!(
        !has(&sandbox.path("home/store"), "tokens"),
        "sealed values are in the output"
    );
    assert_eq!(value(&service.caller(), &old[7]), "person7@example.com");
    drop(service);

    let rotate = |sandbox: &Sandbox| {
        let database = format!("sqlite:{}", sandbox.path("home/service.sqlite").display());
        let mut command = sandbox.command(&["rotate-tokens", "--database", &database]);
        command
            .args([
                "--token-key",
                "env:NEW_TOKEN_KEY",
                "--old-token-key",
                "env:SANITIZER_TOKEN_KEY",
            ])
            .envs([("SANITIZER_TOKEN_KEY", OLD_KEY), ("NEW_TOKEN_KEY", NEW_KEY)])
            .stdout(Stdio::piped());
        command
    };
    let mut killed = rotate(&sandbox).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(killed.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(line.contains("500 tokens re-sealed"), "{line}");
    let keys = sealed_by(&sandbox.path("home/tokens.sqlite"));
    assert_eq!(keys.len(), 2, "it was killed in the middle: {keys:?}");

    // Meanwhile the service has both keys, and whatever was re-sealed or was not is revealed.
    let both = [
        "--token-key",
        "env:NEW_TOKEN_KEY",
        "--old-token-key",
        "env:SANITIZER_TOKEN_KEY",
    ];
    let service = Service::start(&sandbox, &both);
    let caller = service.caller();
    for number in [0, 7, ROWS / 2, ROWS - 1] {
        let want = format!("person{number}@example.com");
        assert_eq!(value(&caller, &old[number]), want.as_str());
    }
    let output = rotate(&sandbox).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && printed.contains("done: "),
        "{printed}"
    );
    assert!(
        !printed.contains(&format!("done: {ROWS}")),
        "it went on where it was: {printed}"
    );
    drop(service);
    assert_eq!(sealed_by(&sandbox.path("home/tokens.sqlite")).len(), 1);

    let service = Service::start(&sandbox, &["--token-key", "env:NEW_TOKEN_KEY"]);
    let caller = service.caller();
    assert_eq!(value(&caller, &old[7]), "person7@example.com");
    let new = tokenized(&caller);
    assert_ne!(new[7], old[7]);
    assert_eq!(value(&caller, &new[7]), "person7@example.com");
    assert_eq!(value(&caller, &old[7]), "person7@example.com");
    assert_eq!(value(&caller, "tok_unknown"), Value::Null);
    drop(service);

    let service = Service::start(&sandbox, &[]);
    let answer = reveal(&service.caller(), &old[7]);
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(
        answer.text().contains("which the service does not have"),
        "{}",
        answer.text()
    );
}

/// The ids of the keys that have sealed something.
fn sealed_by(vault: &Path) -> BTreeSet<String> {
    let rows = on_sqlite(vault, async |connection| {
        connection
            .fetch_all("SELECT DISTINCT key_id FROM pii_tokens")
            .await
            .unwrap()
    });
    rows.iter().map(|row| row.get(0)).collect()
}

fn on_sqlite<T>(path: &Path, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let url = format!("sqlite:{}", path.display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let done = work(&mut connection).await;
        connection.close().await.unwrap();
        done
    })
}

/// Whoever has all rights in the database and recomputes the whole chain with another actor, or cuts its tail and sets
/// its head back, is found out by the signed checkpoints: by the service, and by whoever has the export, the
/// checkpoints and the public key.
#[test]
fn m5_the_audit_log_is_signed() {
    let sandbox = Sandbox::new();
    let service = Service::start(&sandbox, &[]);
    let caller = service.caller();
    hidden(&caller, "hash");
    let begun = Instant::now();
    let signed = loop {
        let verified = caller.get("/audit/verify");
        assert_eq!(verified["ok"], true, "{verified:#}");
        let published = caller.get("/audit?action=dataset_published")["records"][0]["seq"].as_i64();
        if verified["signed_up_to"].as_i64() >= published {
            break verified["signed_up_to"].as_i64().unwrap();
        }
        assert!(begun.elapsed() < PATIENCE, "{verified:#}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    let tenant = std::fs::read_dir(sandbox.path("home/store/audit"))
        .unwrap()
        .flatten();
    let tenant = tenant
        .map(|entry| entry.path())
        .find(|path| !path.ends_with("keys"))
        .unwrap();
    let public = std::fs::read_dir(sandbox.path("home/store/audit/keys")).unwrap();
    let public = public.flatten().next().unwrap().path();
    let verify = |log: &str| {
        let export = sandbox
            .command(&["audit", "export", "--output", log, "--api", &service.rest])
            .env("SANITIZER_API_KEY", &service.key)
            .output()
            .unwrap();
        assert!(
            export.status.success(),
            "{}",
            String::from_utf8_lossy(&export.stderr)
        );
        let output = sandbox
            .command(&[
                "audit",
                "verify",
                log,
                "--checkpoints",
                tenant.to_str().unwrap(),
            ])
            .args(["--public-key", public.to_str().unwrap()])
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (good, said) = verify("good.jsonl");
    assert!(
        good && said.contains(&format!("signed up to record {signed}")),
        "{said}"
    );

    let database = sandbox.path("home/service.sqlite");
    let kept = sandbox.path("kept.sqlite");
    on_sqlite(&database, async |connection| {
        let copy = format!("VACUUM INTO '{}'", kept.display());
        connection.execute(AssertSqlSafe(copy)).await.unwrap();
        for trigger in ["audit_logs_stay", "audit_logs_last"] {
            let drop = format!("DROP TRIGGER {trigger}");
            connection.execute(AssertSqlSafe(drop)).await.unwrap();
        }
        recompute(connection).await;
    });
    let verified = caller.get("/audit/verify");
    assert_eq!(verified["ok"], false, "{verified:#}");
    let (good, said) = verify("recomputed.jsonl");
    assert!(
        !good && said.contains("not the one that was signed"),
        "{said}"
    );

    on_sqlite(&database, async |connection| {
        restore(connection, &kept).await;
        let cut = format!(
            "DELETE FROM audit_logs WHERE seq >= {signed};
             UPDATE audit_heads SET seq = {signed} - 1,
               hash = (SELECT hash FROM audit_logs l WHERE l.tenant_id = audit_heads.tenant_id AND l.seq = {signed} - 1)
             WHERE seq >= {signed};
             DELETE FROM audit_checkpoints"
        );
        connection.execute(AssertSqlSafe(cut)).await.unwrap();
    });
    let verified = caller.get("/audit/verify");
    assert_eq!(verified["ok"], false, "{verified:#}");

    // What somebody else has signed vouches for nothing.
    let name = std::fs::read_dir(&tenant)
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    let mut forged: Value = serde_json::from_slice(&std::fs::read(&name).unwrap()).unwrap();
    forged["seq"] = json!(1);
    std::fs::remove_file(&name).unwrap();
    std::fs::write(&name, forged.to_string()).unwrap();
    let (good, said) = verify("forged.jsonl");
    assert!(!good && said.contains("signature"), "{said}");
}

/// Puts another actor into every record and makes the chain fit again, as somebody could who has the database.
async fn recompute(connection: &mut SqliteConnection) {
    use sha2::{Digest, Sha256};
    let rows = "SELECT tenant_id, seq, record FROM audit_logs ORDER BY tenant_id, seq";
    let rows = connection.fetch_all(rows).await.unwrap();
    let (mut tenant, mut hash) = (String::new(), String::new());
    for row in rows {
        let of: String = row.get("tenant_id");
        if of != tenant {
            (tenant, hash) = (of, "0".repeat(64));
        }
        let mut record: Value = serde_json::from_str(row.get("record")).unwrap();
        record["actor"] = json!("somebody else");
        record["previous"] = json!(hash);
        let record = record.to_string();
        hash = Sha256::digest(record.as_bytes())
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let change = "UPDATE audit_logs SET actor = 'somebody else', record = ?, hash = ? WHERE tenant_id = ? AND seq = ?";
        let change = sqlx::query(change).bind(&record).bind(&hash).bind(&tenant);
        change
            .bind(row.get::<i64, _>("seq"))
            .execute(&mut *connection)
            .await
            .unwrap();
        let head = sqlx::query("UPDATE audit_heads SET hash = ? WHERE tenant_id = ?");
        head.bind(&hash)
            .bind(&tenant)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

/// Puts the log back as it was.
async fn restore(connection: &mut SqliteConnection, kept: &Path) {
    let attach = format!("ATTACH '{}' AS kept", kept.display());
    connection.execute(AssertSqlSafe(attach)).await.unwrap();
    for table in ["audit_logs", "audit_heads"] {
        let put = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept.{table}");
        connection.execute(AssertSqlSafe(put)).await.unwrap();
    }
    connection.execute("DETACH kept").await.unwrap();
}

/// Nobody but the user of the service reads what it keeps: databases with what stands beside them, keys, uploads,
/// outputs, tables of statements. What `sanitizer run` writes follows the umask.
#[test]
fn m9_files_of_the_service_are_its_own() {
    let sandbox = Sandbox::new();
    // As an earlier release has left it.
    std::fs::create_dir(sandbox.path("home")).unwrap();
    std::fs::set_permissions(sandbox.path("home"), PermissionsExt::from_mode(0o755)).unwrap();
    add_user(&sandbox, "ann", "default");
    let service = Service::start(&sandbox, &[]);
    hidden(&service.caller(), "tokenize");
    service
        .sql(&sandbox, "ann", "CREATE TABLE t AS SELECT 1 AS x")
        .unwrap();
    service.caller().post("/uploads", &json!({"name": "a.csv"}));
    let mut seen = BTreeSet::new();
    let mut folders = vec![sandbox.path("home")];
    while let Some(folder) = folders.pop() {
        assert_eq!(
            std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o700,
            "{}",
            folder.display()
        );
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            // A file that is renamed meanwhile is seen under its new name.
            let Ok(found) = entry.metadata() else {
                continue;
            };
            if found.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let mode = found.permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", entry.path().display());
            seen.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    for name in [
        "service.sqlite",
        "service.sqlite-wal",
        "service.sqlite-shm",
        "tokens.sqlite",
        "catalog.sqlite",
        "first-api-key",
        "audit-key.pem",
        "metadata.json",
    ] {
        assert!(seen.contains(name), "{name} is not there: {seen:?}");
    }
    sandbox.write("people.csv", PEOPLE);
    let run = "umask 022; exec \"$0\" run people.csv -o out";
    let run = std::process::Command::new("sh")
        .args(["-c", run, env!("CARGO_BIN_EXE_sanitizer")])
        .current_dir(sandbox.path("."))
        .env("SANITIZER_HOME", sandbox.path(".home"))
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let mode = std::fs::metadata(sandbox.path("out/report.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
}
