//! Doors of the service that must be shut: settings of the operator, paths of the server, statements of
//! unknown kinds; and what is recorded of those who knock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow_flight::sql::CommandGetTables;
use tonic::Code;

use super::options;
use super::server::{ADA, BOB, Recorded, act, code, fetch, query, refused, serve, text, update};

/// Settings that are the operator's, of every kind that is not the client's.
const OPERATORS: [(&str, &str); 12] = [
    ("datafusion.runtime.memory_limit", "200G"),
    ("datafusion.runtime.temp_directory", "/tmp"),
    ("datafusion.runtime.max_temp_directory_size", "900G"),
    ("datafusion.runtime.metadata_cache_limit", "900G"),
    ("DataFusion.Runtime.Memory_Limit", "200G"),
    ("datafusion.catalog.location", "/etc"),
    ("datafusion.catalog.information_schema", "true"),
    (
        "datafusion.catalog.create_default_catalog_and_schema",
        "true",
    ),
    ("datafusion.execution.parquet.max_row_group_size", "1"),
    ("datafusion.execution.meta_fetch_concurrency", "100000"),
    ("datafusion.optimizer.max_passes", "100000"),
    ("ballista.job.name", "x"),
];

/// c5: settings of the operator are refused, by whatever way they are set, and nobody sees them.
#[tokio::test(flavor = "multi_thread")]
async fn c5_settings_are_the_operators() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    for (number, (name, value)) in OPERATORS.into_iter().enumerate() {
        let quoted: Vec<String> = name.split('.').map(|part| format!("\"{part}\"")).collect();
        let set = format!("SET {name} = '{value}'");
        for sql in [
            set.clone(),
            format!("SET {} = '{value}'", quoted.join(".")),
            format!("RESET {name}"),
        ] {
            let status = refused(update(&mut ada, &sql).await);
            assert_eq!(status.code(), Code::PermissionDenied, "{sql}: {status}");
            let status = refused(query(&mut ada, &sql).await);
            assert_eq!(status.code(), Code::PermissionDenied, "{sql}: {status}");
        }
        let prepared = ada.prepare(set.clone(), None).await;
        if let Ok(mut prepared) = prepared {
            assert!(prepared.execute_update().await.is_err(), "{set}");
        }
        let named = format!("PREPARE p{number} AS {set}");
        if update(&mut ada, &named).await.is_ok() {
            let run = update(&mut ada, &format!("EXECUTE p{number}")).await;
            assert_eq!(code(run), Code::PermissionDenied, "{named}");
        }
        let two = format!("SELECT 1; {set}");
        assert_eq!(code(query(&mut ada, &two).await), Code::InvalidArgument);
        for value in [Some(value), None] {
            assert_eq!(options::set(&mut ada, name, value).await, Some(1), "{name}");
        }
    }
    for (name, value) in [
        ("datafusion.execution.batch_size", "1"),
        ("datafusion.execution.batch_size", "10000000"),
        ("datafusion.execution.target_partitions", "3"),
        ("datafusion.catalog.default_catalog", "system"),
    ] {
        let sql = format!("SET {name} = '{value}'");
        assert_eq!(
            code(update(&mut ada, &sql).await),
            Code::InvalidArgument,
            "{sql}"
        );
    }
    update(&mut ada, "SET datafusion.execution.batch_size = 100")
        .await
        .unwrap();
    let shown = query(&mut ada, "SHOW datafusion.execution.batch_size").await;
    assert!(text(&shown.unwrap()).contains("| 100 "));

    let home = served.home.path().to_string_lossy().into_owned();
    let options = act(&mut ada, "GetSessionOptions", Vec::new())
        .await
        .unwrap();
    let mut seen = vec![String::from_utf8_lossy(&options).into_owned()];
    for sql in [
        "SHOW ALL",
        "SELECT * FROM information_schema.df_settings",
        "SELECT * FROM jobs.information_schema.df_settings",
        "SELECT * FROM sanitizer.INFORMATION_SCHEMA.DF_SETTINGS",
        "SHOW datafusion.runtime.temp_directory",
    ] {
        seen.push(text(&query(&mut ada, sql).await.unwrap_or_default()));
    }
    for seen in seen {
        let own = seen.contains(&home) || seen.contains("datafusion.runtime");
        assert!(!own, "{seen}");
    }
    served.stop().await;
}

/// c1: plans and errors name no path of the server.
#[tokio::test(flavor = "multi_thread")]
async fn c1_plans_and_errors_name_no_paths() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    update(&mut ada, "CREATE TABLE t AS SELECT 1 AS x")
        .await
        .unwrap();
    let file = served.home.path().join("people.csv");
    std::fs::write(&file, "id,name\n1,Ada\n").unwrap();
    let home = served.home.path().to_string_lossy().into_owned();
    let real = served.home.path().canonicalize().unwrap();
    let bare = real.to_string_lossy().trim_start_matches('/').to_owned();
    for sql in [
        "EXPLAIN SELECT * FROM t WHERE x = 1",
        "EXPLAIN ANALYZE SELECT * FROM t",
        "EXPLAIN SELECT * FROM 'people.csv'",
        "EXPLAIN ANALYZE SELECT * FROM 'people.csv'",
        "EXPLAIN SELECT sanitize(*) FROM 'people.csv'",
    ] {
        let shown = text(&query(&mut ada, sql).await.unwrap());
        assert!(shown.contains("plan"), "{shown}");
        assert!(!shown.contains(&home) && !shown.contains(&bare), "{shown}");
    }
    // The files of a table go, and the error says so.
    let warehouse = real.join("home/warehouse");
    std::fs::remove_dir_all(&warehouse).unwrap();
    std::fs::write(served.home.path().join("broken.parquet"), "no Parquet").unwrap();
    for sql in [
        "SELECT * FROM t",
        "SELECT * FROM 'missing.csv'",
        "SELECT * FROM 'broken.parquet'",
        "COPY t TO 'nowhere/x.csv'",
    ] {
        let status = refused(query(&mut ada, sql).await);
        let message = status.message();
        assert!(
            !message.contains(&home) && !message.contains(&bare),
            "{message}"
        );
    }
    served.stop().await;
}

/// c5: a statement, or an action, of no known kind is refused with every credential.
#[tokio::test(flavor = "multi_thread")]
async fn c5_unknown_kinds_are_refused() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    update(&mut ada, "CREATE TABLE t AS SELECT 1 AS x")
        .await
        .unwrap();
    for sql in [
        "UPDATE t SET x = 2",
        "DELETE FROM t",
        "TRUNCATE TABLE t",
        "CREATE DATABASE d",
        "CREATE FUNCTION f(INT) RETURNS INT RETURN $1",
        "ALTER TABLE t ADD COLUMN y INT",
        "BEGIN",
        "GRANT SELECT ON t TO bob",
        "USE jobs",
        "EXPLAIN CREATE TABLE u AS SELECT 1 AS x",
        "WITH d AS (DELETE FROM t RETURNING x) SELECT * FROM d",
        "PREPARE p AS CREATE INDEX i ON t (x)",
    ] {
        for refusal in [
            update(&mut ada, sql).await.err(),
            query(&mut ada, sql).await.err(),
        ] {
            let status = refused::<()>(Err(refusal.unwrap()));
            assert_eq!(status.code(), Code::InvalidArgument, "{sql}: {status}");
        }
    }
    let action = act(&mut ada, "DropEverything", Vec::new()).await;
    assert_eq!(code(action), Code::InvalidArgument);
    assert!(text(&query(&mut ada, "SELECT x FROM t").await.unwrap()).contains("| 1 "));
    served.stop().await;
}

/// m4: statements, their ends, refusals, logins and reads of personal data are recorded, without
/// values; what cannot be recorded does not run.
#[tokio::test(flavor = "multi_thread")]
async fn m4_statements_are_recorded() {
    let log = Arc::new(Recorded::default());
    let served = serve(|options| options.audit = Some(Arc::clone(&log) as _)).await;
    let mut ada = served.client(ADA).await;
    update(
        &mut ada,
        "CREATE TABLE people AS SELECT 'ada@example.org' AS email, 4711 AS code",
    )
    .await
    .unwrap();
    let select = "SELECT email, code FROM people WHERE code = 4711 OR email = 'secret@example.org'";
    query(&mut ada, select).await.unwrap();
    update(&mut ada, "COPY (SELECT code FROM people) TO 'out.csv'")
        .await
        .unwrap();
    assert!(query(&mut ada, "SELECT * FROM nowhere").await.is_err());
    assert!(
        update(&mut ada, "SET datafusion.runtime.memory_limit = '9G'")
            .await
            .is_err()
    );
    assert!(
        query(&mut ada, "SELECT 1 / (code - 4711) FROM people")
            .await
            .is_err()
    );
    let mut stranger = served.stranger().await;
    assert!(stranger.handshake(ADA.0, "a guess").await.is_err());
    assert!(stranger.handshake("4711-no-user", "a guess").await.is_err());

    let begun = log.of("sql_statement");
    let kinds: Vec<&str> = begun.iter().map(|event| event.subject.as_str()).collect();
    assert_eq!(kinds, ["create_table_as", "query", "copy", "set", "query"]);
    assert!(
        begun
            .iter()
            .all(|event| { event.actor == "sql:ada" && event.tenant.as_deref() == Some("north") })
    );
    assert_eq!(begun[1].details["tables"], serde_json::json!(["people"]));
    assert!(begun[2].details["tables"].to_string().contains("out.csv"));
    let ends: Vec<String> = log
        .of("sql_statement_ended")
        .iter()
        .map(|event| {
            format!(
                "{} {} {}",
                event.subject, event.details["outcome"], event.details["rows"]
            )
        })
        .collect();
    assert_eq!(
        ends,
        [
            "create_table_as \"success\" 1",
            "query \"success\" 1",
            "copy \"success\" 1",
            "set \"failed\" 0",
            "query \"failed\" 0",
        ]
    );
    let read = log.of("sql_pii_read");
    assert_eq!(read.len(), 1, "{read:?}");
    assert!(
        read[0].details["columns"].to_string().contains("email"),
        "{read:?}"
    );
    assert_eq!(log.of("sql_refused").len(), 1);
    assert_eq!(log.of("sql_login").len(), 1);
    let begun = Instant::now();
    while log.of("sql_login_failed").len() < 2 {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "failed logins are recorded"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let failed = log.of("sql_login_failed");
    let north = failed.iter().find(|event| event.tenant.is_some()).unwrap();
    assert_eq!(
        (north.tenant.as_deref(), north.subject.as_str()),
        (Some("north"), "ada")
    );
    let all = format!("{:?}", log.events.lock().unwrap());
    for value in ["4711", "example.org", "a guess", "9G"] {
        assert!(!all.contains(value), "{value}: {all}");
    }

    log.broken.store(true, Ordering::SeqCst);
    for sql in [
        "CREATE TABLE unseen AS SELECT 1 AS x",
        "DROP TABLE people",
        "SELECT 1",
    ] {
        let run = query(&mut ada, sql).await;
        assert_eq!(code(run), Code::Unavailable, "{sql}");
    }
    assert!(
        served
            .stranger()
            .await
            .handshake(BOB.0, BOB.1)
            .await
            .is_err()
    );
    log.broken.store(false, Ordering::SeqCst);
    let tables = ada.get_tables(CommandGetTables::default()).await.unwrap();
    let tables = text(&fetch(&mut ada, &tables).await.unwrap());
    assert!(
        tables.contains("people") && !tables.contains("unseen"),
        "{tables}"
    );
    served.stop().await;
}

/// m4: wrong passwords are slowed, and cost nobody but the one who sends them: another user's login
/// takes less than a second meanwhile, whether the name is one of a user or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m4_wrong_passwords_cost_the_attacker() {
    let log = Arc::new(Recorded::default());
    let served = serve(|options| options.audit = Some(Arc::clone(&log) as _)).await;
    let mut attackers = Vec::new();
    for attacker in 0..16 {
        let mut client = served.stranger().await;
        let user = if attacker % 2 == 0 { ADA.0 } else { "nobody" };
        attackers.push(tokio::spawn(async move {
            let (mut hashed, mut refused) = (0, 0);
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(2) {
                let error = client
                    .handshake(user, "a guess")
                    .await
                    .unwrap_err()
                    .to_string();
                match error.contains("too many wrong logins") {
                    true => refused += 1,
                    false => hashed += 1,
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (hashed, refused)
        }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let begun = Instant::now();
        served.client(BOB).await;
        slowest = slowest.max(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let (mut hashed, mut refused) = (0, 0);
    for attacker in attackers {
        let (one, other) = attacker.await.unwrap();
        hashed += one;
        refused += other;
    }
    // Five of each name are free; the next ones wait for half a second, one, two.
    assert!(hashed <= 20, "{hashed} passwords were checked");
    assert!(refused > 50, "{refused} were refused unseen");
    let failed = log.of("sql_login_failed");
    let blocked = failed
        .iter()
        .filter(|event| event.details["blocked"] == true);
    assert!(blocked.count() >= 1, "{failed:?}");
    served.stop().await;
}
