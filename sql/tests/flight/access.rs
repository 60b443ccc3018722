//! What logins may do: statements by kinds of logins, what a limited one sees, and how logins end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::FlightInfo;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use chrono::{TimeDelta, Utc};
use futures::TryStreamExt;
use planner::storage::Place;
use sql::{Action, Error, Grants};
use tonic::Code;

use super::ingest::{CREATE, ingest, numbers};
use super::server::{
    ADA, BOB, Client, Recorded, Served, code, fetch, query, refused, serve, text, update,
};

const PASSWORD: &str = "a long password";

fn grants(actions: Option<&[Action]>, datasets: Option<&[&str]>) -> Grants {
    Grants {
        actions: actions.map(|actions| actions.iter().copied().collect()),
        datasets: datasets.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        expires_at: None,
    }
}

/// A tenant with two tables, two views, two specs, a schema, and two jobs: `people` and `secret`.
async fn furnish(served: &Served) {
    let mut ada = served.client(ADA).await;
    for sql in [
        "CREATE SCHEMA lab",
        "CREATE TABLE people AS SELECT 1 AS id, 'Ada' AS name",
        "CREATE TABLE secret AS SELECT 7 AS id, 'Eve' AS name",
        "CREATE TABLE lab.secret AS SELECT 7 AS id",
        "CREATE VIEW people_view AS SELECT * FROM secret",
        "CREATE SPEC people AS '{\"steps\": [{\"type\": \"dedupe\"}]}'",
        "CREATE SPEC secret AS '{\"steps\": [{\"type\": \"dedupe\"}]}'",
        "COPY people TO 'file.csv'",
        "COPY people TO 'people_out/data/part.parquet'",
        "COPY people TO 'people_out/provenance/part.parquet'",
        "COPY secret TO 'secret_out/data/part.parquet'",
    ] {
        update(&mut ada, sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    for (job, files) in [
        (
            "people",
            vec!["data/part.parquet", "provenance/part.parquet"],
        ),
        ("secret", vec!["data/part.parquet"]),
    ] {
        let place = Place::own(served.home.path().join(format!("{job}_out")));
        let files = files.into_iter().map(str::to_owned);
        let engine = &served.engine;
        engine
            .remember_job("north", job, &place, None, files)
            .await
            .unwrap();
    }
}

async fn login(served: &Served, name: &str, grants: &Grants) -> Client {
    let users = served.engine.users();
    users
        .add_with(name, "north", Some(PASSWORD), grants)
        .await
        .unwrap();
    served.client((name, PASSWORD)).await
}

/// A statement, and the actions of which each is needed.
fn statements() -> Vec<(&'static str, Vec<Action>)> {
    use Action::{
        ReadData, ReadFiles, ReadProvenance, SubmitJobs, WriteContracts, WriteFiles, WriteTables,
    };
    vec![
        ("SELECT * FROM people", vec![ReadData]),
        ("SELECT * FROM jobs.people.data", vec![ReadData]),
        ("SELECT * FROM jobs.people.provenance", vec![ReadProvenance]),
        ("SELECT * FROM 'file.csv'", vec![ReadData, ReadFiles]),
        ("SELECT sanitize(*) FROM people", vec![ReadData, SubmitJobs]),
        ("SELECT * FROM dedupe(people)", vec![ReadData, SubmitJobs]),
        ("EXPLAIN SELECT * FROM people", vec![ReadData]),
        ("DESCRIBE people", vec![ReadData]),
        ("SHOW TABLES", vec![]),
        ("SHOW SPECS", vec![SubmitJobs]),
        ("SHOW ALL", vec![]),
        ("SET datafusion.execution.batch_size = 100", vec![]),
        ("COPY people TO 'copied.csv'", vec![ReadData, WriteFiles]),
        (
            "CREATE EXTERNAL TABLE IF NOT EXISTS people STORED AS CSV LOCATION 'file.csv'",
            vec![WriteTables, ReadFiles],
        ),
        (
            "CREATE TABLE IF NOT EXISTS people (id INT)",
            vec![WriteTables],
        ),
        (
            "CREATE OR REPLACE TABLE people AS SELECT * FROM people",
            vec![ReadData, WriteTables],
        ),
        (
            "CREATE OR REPLACE VIEW people_view AS SELECT id FROM people",
            vec![ReadData, WriteTables],
        ),
        ("INSERT INTO people VALUES (2, 'Bob')", vec![WriteTables]),
        ("DROP TABLE IF EXISTS people2", vec![WriteTables]),
        ("CREATE SCHEMA IF NOT EXISTS lab", vec![WriteTables]),
        ("DROP SCHEMA IF EXISTS lab2", vec![WriteTables]),
        (
            "CREATE OR REPLACE SPEC people AS '{\"steps\": []}'",
            vec![WriteContracts],
        ),
        ("DROP SPEC IF EXISTS people2", vec![WriteContracts]),
        ("PREPARE p1 AS SELECT 1", vec![]),
    ]
}

/// c5: every kind of statement with logins that have all actions but one, one alone, and none: a
/// statement runs where its actions are there, and nowhere else. The same by calls for changes.
#[tokio::test(flavor = "multi_thread")]
async fn c5_statements_need_their_actions() {
    let served = serve(|_| {}).await;
    furnish(&served).await;
    let mut sets: Vec<Vec<Action>> = vec![Vec::new(), Action::ALL.to_vec()];
    for action in Action::ALL {
        sets.push(vec![action]);
        sets.push(
            Action::ALL
                .into_iter()
                .filter(|other| *other != action)
                .collect(),
        );
    }
    // One of two actions is enough for these.
    let either = [("SHOW SPECS", Action::WriteContracts)];
    for (number, set) in sets.iter().enumerate() {
        let name = format!("user{number}");
        let mut client = login(&served, &name, &grants(Some(set), None)).await;
        for (sql, needs) in statements() {
            let mut may = needs.iter().all(|action| set.contains(action));
            may |= either
                .iter()
                .any(|(other, action)| *other == sql && set.contains(action));
            let ran = query(&mut client, sql).await;
            match ran {
                Ok(_) => assert!(may, "{sql} ran with {set:?}"),
                Err(error) => {
                    let status = refused::<()>(Err(error));
                    assert!(!may, "{sql} did not run with {set:?}: {status}");
                    let codes = [
                        Code::PermissionDenied,
                        Code::InvalidArgument,
                        Code::NotFound,
                    ];
                    assert!(codes.contains(&status.code()), "{sql}: {status}");
                }
            }
        }
        let sent = ingest(
            &mut client,
            &format!("sent{number}"),
            CREATE,
            vec![numbers(0..2)],
        )
        .await;
        assert_eq!(
            sent.is_ok(),
            set.contains(&Action::WriteTables),
            "ingest with {set:?}"
        );
    }
    served.stop().await;
}

/// c5: a login that is limited to some datasets sees nothing else: in no list, no question about the
/// catalog, no view and no error; and touches nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn c5_limited_logins_see_their_datasets() {
    let served = serve(|_| {}).await;
    furnish(&served).await;
    let limited = grants(None, Some(&["people", "people_view", "lab.mine"]));
    let mut client = login(&served, "limited", &limited).await;
    query(&mut client, "SELECT * FROM people").await.unwrap();
    query(&mut client, "SELECT * FROM jobs.people.data")
        .await
        .unwrap();
    query(&mut client, "SELECT sanitize(*, 'people') FROM people")
        .await
        .unwrap();
    update(&mut client, "INSERT INTO people VALUES (2, 'Bob')")
        .await
        .unwrap();
    update(
        &mut client,
        "CREATE TABLE lab.mine AS SELECT id FROM people",
    )
    .await
    .unwrap();

    for sql in [
        "SHOW TABLES",
        "SHOW SPECS",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM information_schema.schemata",
        "SELECT * FROM jobs.information_schema.tables",
    ] {
        let shown = text(&query(&mut client, sql).await.unwrap());
        assert!(
            shown.contains("people") || shown.contains("public"),
            "{sql}: {shown}"
        );
        assert!(!shown.contains("secret"), "{sql}: {shown}");
    }
    let mut metadata: Vec<FlightInfo> = Vec::new();
    let tables = CommandGetTables {
        include_schema: true,
        ..Default::default()
    };
    metadata.push(client.get_tables(tables).await.unwrap());
    let schemas = CommandGetDbSchemas::default();
    metadata.push(client.get_db_schemas(schemas).await.unwrap());
    for info in metadata {
        let shown = text(&fetch(&mut client, &info).await.unwrap());
        assert!(
            shown.contains("people") && !shown.contains("secret"),
            "{shown}"
        );
    }

    // What is hidden and what is not there give the same answer, but for the name.
    for sql in [
        "SELECT * FROM secret",
        "SELECT * FROM lab.secret",
        "SELECT * FROM jobs.secret.data",
        "DESCRIBE secret",
        "EXPLAIN SELECT * FROM secret",
        "SELECT sanitize(*, 'secret') FROM people",
        "DROP TABLE secret",
        "DROP VIEW IF EXISTS secret",
        "DROP SPEC secret",
        "INSERT INTO secret VALUES (1, 'x')",
        "CREATE TABLE secret (id INT)",
        "CREATE OR REPLACE TABLE secret AS SELECT 1 AS id",
        "CREATE OR REPLACE SPEC secret AS '{}'",
        "COPY secret TO 'stolen.csv'",
        "CREATE TABLE lab.mine2 AS SELECT * FROM secret",
    ] {
        let hidden = refused(query(&mut client, sql).await);
        let absent = refused(query(&mut client, &sql.replace("secret", "absent")).await);
        assert_eq!(hidden.code(), absent.code(), "{sql}: {hidden} {absent}");
        let told = hidden.message().replace("secret", "absent");
        assert_eq!(told, absent.message(), "{sql}");
    }
    for sql in [
        "SELECT * FROM people_view",
        "SELECT * FROM 'file.csv'",
        "SELECT * FROM 'secret_out/data/part.parquet'",
        "CREATE SCHEMA other",
        "DROP SCHEMA lab CASCADE",
        "CREATE EXTERNAL TABLE people STORED AS PARQUET LOCATION 'secret_out/data/part.parquet'",
    ] {
        let ran = query(&mut client, sql).await;
        let status = refused(ran);
        assert!(!status.message().contains("Eve"), "{sql}: {status}");
    }
    for table in ["secret", "absent"] {
        let sent = ingest(&mut client, table, CREATE, vec![numbers(0..2)]).await;
        assert_eq!(code(sent), Code::PermissionDenied, "{table}");
    }
    let mut bob = served.client(BOB).await;
    assert!(
        query(&mut bob, "SELECT * FROM people").await.is_err(),
        "another tenant"
    );
    served.stop().await;
}

/// c5: a key has no more than its user and ends with the user; what is asked for beyond that is refused.
#[tokio::test(flavor = "multi_thread")]
async fn c5_keys_have_no_more_than_their_user() {
    let served = serve(|_| {}).await;
    furnish(&served).await;
    let users = served.engine.users();
    let mut of_user = grants(Some(&[Action::ReadData]), Some(&["people"]));
    of_user.expires_at = Some(Utc::now() + TimeDelta::hours(1));
    users
        .add_with("eve", "north", Some(PASSWORD), &of_user)
        .await
        .unwrap();
    let mut later = of_user.clone();
    later.expires_at = Some(Utc::now() + TimeDelta::hours(2));
    for asked in [
        grants(Some(&[Action::WriteTables]), None),
        grants(None, Some(&["secret"])),
        later,
    ] {
        let made = users.add_key_with("eve", &asked).await;
        assert!(matches!(made, Err(Error::Forbidden(_))), "{asked:?}");
    }
    let key = users.add_key_with("eve", &Grants::default()).await.unwrap();
    let mut client = served.stranger().await;
    client.set_header("authorization", format!("Bearer {key}"));
    query(&mut client, "SELECT * FROM people").await.unwrap();
    assert!(query(&mut client, "SELECT * FROM secret").await.is_err());
    assert_eq!(
        code(update(&mut client, "DROP TABLE people").await),
        Code::PermissionDenied
    );
    // What the user loses, the key loses.
    users
        .set_grants("eve", &grants(Some(&[]), None))
        .await
        .unwrap();
    assert_eq!(
        code(query(&mut client, "SELECT 1").await),
        Code::Unauthenticated
    );
    assert_eq!(
        code(query(&mut client, "SELECT * FROM people").await),
        Code::PermissionDenied
    );
    // Whoever has expired, or is suspended, is let in by neither.
    let past = Grants {
        expires_at: Some(Utc::now() - TimeDelta::seconds(1)),
        ..Grants::default()
    };
    users.set_grants("eve", &past).await.unwrap();
    assert!(users.authenticate("eve", PASSWORD).await.is_err());
    assert!(users.authenticate_key(&key).await.is_err());
    users.set_grants("eve", &Grants::default()).await.unwrap();
    users.set_suspended("eve", true).await.unwrap();
    assert!(users.authenticate("eve", PASSWORD).await.is_err());
    assert!(users.authenticate_key(&key).await.is_err());
    users.set_suspended("eve", false).await.unwrap();
    assert!(users.authenticate_key(&key).await.is_ok());
    served.stop().await;
}

/// c5: a login that ends, for whatever reason, ends at once: the rows that are being read, the tokens,
/// the tickets and the prepared statements.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn c5_logins_end_at_once() {
    let log = Arc::new(Recorded::default());
    let served = serve(|options| options.audit = Some(Arc::clone(&log) as _)).await;
    let users = served.engine.users();
    let soon = Utc::now() + TimeDelta::seconds(6);
    let mut clients: BTreeMap<&str, Client> = BTreeMap::new();
    for name in [
        "suspended",
        "removed",
        "changed",
        "limited",
        "expired",
        "keyed",
        "stays",
    ] {
        let own = Grants {
            expires_at: (name == "expired").then_some(soon),
            ..Grants::default()
        };
        let client = login(&served, name, &own).await;
        clients.insert(name, client);
    }
    let key = users.add_key("keyed", None).await.unwrap();
    let mut keyed = served.stranger().await;
    keyed.set_header("authorization", format!("Bearer {key}"));
    clients.insert("keyed", keyed);
    clients.insert("tenant", served.client(BOB).await);

    let mut readers = Vec::new();
    let mut later = Vec::new();
    for (name, mut client) in clients {
        let prepared = client
            .prepare("SELECT 1 AS x".to_owned(), None)
            .await
            .unwrap();
        let waiting = client
            .execute("SELECT 1 AS x".to_owned(), None)
            .await
            .unwrap();
        let endless = "SELECT x FROM generate_series(1, 1000000000000) AS s (x)".to_owned();
        let info = client.execute(endless, None).await.unwrap();
        let mut rows = client
            .do_get(info.endpoint[0].ticket.clone().unwrap())
            .await
            .unwrap();
        assert!(rows.try_next().await.unwrap().is_some());
        readers.push(tokio::spawn(async move {
            let ended = loop {
                match rows.try_next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break (name, "whole".to_owned()),
                    Err(error) => break (name, error.to_string()),
                }
            };
            (ended, Instant::now())
        }));
        later.push((name, client, prepared, waiting));
    }
    let mut stays = readers.remove(
        later
            .iter()
            .position(|(name, ..)| *name == "stays")
            .unwrap(),
    );
    users.set_suspended("suspended", true).await.unwrap();
    users.remove("removed").await.unwrap();
    users
        .set_password("changed", "another password")
        .await
        .unwrap();
    let fewer = grants(Some(&[Action::ReadData]), None);
    users.set_grants("limited", &fewer).await.unwrap();
    let id = users.keys("keyed").await.unwrap()[0].id.clone();
    users.remove_key(&id).await.unwrap();
    log.suspended.lock().unwrap().insert("south".to_owned());
    let changed = Instant::now();
    for reader in readers {
        let ((name, error), at) = tokio::time::timeout(Duration::from_secs(20), reader)
            .await
            .unwrap_or_else(|_| panic!("rows go on"))
            .unwrap();
        let why = match name {
            "tenant" => "cancelled: the tenant is suspended",
            _ => "cancelled: the user, the password or the key is no longer valid",
        };
        assert!(error.contains(why), "{name}: {error}");
        let grace = Duration::from_secs(if name == "expired" { 9 } else { 3 });
        assert!(at - changed < grace, "{name}: {:?}", at - changed);
    }
    for (name, mut client, mut prepared, waiting) in later {
        if name == "stays" {
            assert!(
                tokio::time::timeout(Duration::from_millis(100), &mut stays)
                    .await
                    .is_err()
            );
            query(&mut client, "SELECT 1").await.unwrap();
            continue;
        }
        assert_eq!(
            code(query(&mut client, "SELECT 1").await),
            Code::Unauthenticated,
            "{name}"
        );
        assert_eq!(
            code(fetch(&mut client, &waiting).await),
            Code::Unauthenticated,
            "{name}"
        );
        assert!(prepared.execute().await.is_err(), "{name}");
        if matches!(name, "suspended" | "removed" | "expired" | "tenant") {
            let password = if name == "tenant" {
                BOB
            } else {
                (name, PASSWORD)
            };
            let again = served
                .stranger()
                .await
                .handshake(password.0, password.1)
                .await;
            assert!(again.is_err(), "{name}");
        }
    }
    stays.abort();
    users.set_suspended("suspended", false).await.unwrap();
    let mut again = served.client(("suspended", PASSWORD)).await;
    query(&mut again, "SELECT 1").await.unwrap();
    served.stop().await;
}
