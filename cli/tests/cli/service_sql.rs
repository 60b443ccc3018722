//! Flight SQL beside the service: it is started where it is asked for, its logins and statements are in
//! the audit log that REST shows, and a tenant that the service suspends has no SQL either.

use std::io::BufReader;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::postgres::Database;
use super::rest_service::{Caller, PATIENCE, RestService, Setup, address};
use super::sandbox::Sandbox;
use super::sql::with_people;

const PASSWORD: &str = "a password of hers";

/// A service with Flight SQL, until it is dropped.
struct SqlService {
    child: Child,
    sql: String,
    rest: String,
    key: String,
}

impl SqlService {
    fn start(sandbox: &Sandbox, more: &[&str]) -> Self {
        let flight = ["--flight-sql", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let mut child = sandbox
            .command(&[&["serve", "--home", "home"], &flight[..], more].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let sql = address(&mut reader, "Flight SQL listens on ");
        let rest = address(&mut reader, "REST API listens on ");
        let file = address(&mut reader, "first API key: ");
        let key = std::fs::read_to_string(sandbox.path(&file)).unwrap();
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        Self {
            child,
            sql: format!("grpc://{sql}"),
            rest,
            key: key.trim().to_owned(),
        }
    }
}

impl Drop for SqlService {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn add_user(sandbox: &Sandbox, arguments: &[&str]) {
    let output = sandbox
        .command(&[&["users", "--home", "home", "add"], arguments].concat())
        .env("SANITIZER_PASSWORD", PASSWORD)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a statement; gives whether it ran, and the error.
fn ask(sandbox: &Sandbox, service: &SqlService, login: (&str, &str), sql: &str) -> (bool, String) {
    let (user, password) = login;
    let output = sandbox
        .command(&["sql", "--server", &service.sql, "--user", user, sql])
        .env("SANITIZER_PASSWORD", password)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), error)
}

/// The records of SQL in the log of a tenant, oldest first.
fn records(caller: &Caller) -> Vec<Value> {
    let log = caller.get("/audit?limit=200");
    let records = log["records"]
        .as_array()
        .or_else(|| log["items"].as_array());
    let mut records = records.unwrap_or_else(|| panic!("{log}")).clone();
    records.retain(|record| record["action"].as_str().unwrap().starts_with("sql_"));
    records.reverse();
    records
}

fn statements_are_recorded(database: &[&str]) {
    let sandbox = with_people();
    add_user(&sandbox, &["ann", "--tenant", "default"]);
    add_user(&sandbox, &["eve", "--tenant", "other"]);
    let service = SqlService::start(&sandbox, database);
    let caller = Caller::new(&service.rest, &service.key);
    let ann = ("ann", PASSWORD);
    let (ran, error) = ask(
        &sandbox,
        &service,
        ann,
        "CREATE TABLE t AS SELECT 4711 AS email",
    );
    assert!(ran, "{error}");
    let (ran, error) = ask(
        &sandbox,
        &service,
        ann,
        "SELECT email FROM t WHERE email = 4711",
    );
    assert!(ran, "{error}");
    let (ran, error) = ask(
        &sandbox,
        &service,
        ("eve", PASSWORD),
        "CREATE TABLE u AS SELECT 1 AS x",
    );
    assert!(ran, "{error}");
    let (ran, error) = ask(&sandbox, &service, ("ann", "a wrong guess"), "SELECT 1");
    assert!(!ran && error.contains("password is wrong"), "{error}");

    let begun = Instant::now();
    let seen = loop {
        let seen = records(&caller);
        if seen
            .iter()
            .any(|record| record["action"] == "sql_login_failed")
        {
            break seen;
        }
        assert!(begun.elapsed() < PATIENCE, "{seen:#?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    for action in [
        "sql_login",
        "sql_statement",
        "sql_pii_read",
        "sql_statement_ended",
    ] {
        let of = seen.iter().filter(|record| record["action"] == action);
        assert!(of.clone().count() >= 1, "{action}: {seen:#?}");
        assert!(
            of.clone().all(|record| record["actor"] == "sql:ann"),
            "{seen:#?}"
        );
    }
    let all = Value::from(seen).to_string();
    assert!(!all.contains("4711") && !all.contains("eve"), "{all}");
    assert_eq!(caller.get("/audit/verify")["ok"], true);

    // The other tenant was made for its log; suspending it ends its SQL.
    let suspend = |suspended: bool| {
        let answer = caller.call(Method::PATCH, "/tenants/other", |request| {
            request.json(&json!({"suspended": suspended}))
        });
        assert!(answer.status.is_success(), "{}", answer.text());
    };
    suspend(true);
    let begun = Instant::now();
    loop {
        let (ran, error) = ask(&sandbox, &service, ("eve", PASSWORD), "SELECT x FROM u");
        if !ran {
            // Also where a statement had begun, which is cancelled for that reason.
            assert!(error.contains("the tenant is suspended"), "{error}");
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the tenant is suspended"
        );
    }
    suspend(false);
}

/// m4: logins and statements are in the audit log that REST shows, whose chain holds; on SQLite.
#[test]
fn m4_statements_are_in_the_audit_log() {
    statements_are_recorded(&[]);
}

/// m4: the same on Postgres.
#[test]
fn m4_statements_are_in_the_audit_log_on_postgres() {
    let database = Database::new();
    statements_are_recorded(&["--database", &database.url()]);
}

/// c5: the service starts no Flight SQL unless it is asked to, and its settings are the operator's.
#[test]
fn c5_flight_sql_is_started_when_asked() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(&["serve", "--home", "home", "--http", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    std::io::BufRead::read_line(&mut reader, &mut first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(first.starts_with("REST API listens on "), "{first}");
    let service = RestService::start(&sandbox, &Setup::default());
    assert!(service.stop(), "with Flight SQL it ends as well");
}
