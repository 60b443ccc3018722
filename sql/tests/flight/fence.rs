//! What statements of a server reach: the roots of their tenant, and nothing else.

use std::path::Path;

use planner::storage::TenantRoots;
use sql::Access;

use crate::server::{ADA, BOB, Client, Served, query, serve_engine, text, update};

/// A server whose tenant `north` may name files of a folder, and `south` those of another one.
async fn fenced() -> Served {
    let served = serve_engine(
        |options| {
            let top = options.base.clone();
            for name in ["north", "south"] {
                std::fs::create_dir_all(top.join(name)).unwrap();
                std::fs::write(top.join(name).join("a.csv"), format!("of\n{name}\n")).unwrap();
            }
            std::fs::write(top.join("secret.csv"), "of\nsecret\n").unwrap();
            std::os::unix::fs::symlink("../secret.csv", top.join("north/link.csv")).unwrap();
            std::os::unix::fs::symlink("../south", top.join("north/link")).unwrap();
            let root = |tenant: &str| format!("{tenant}={}", top.join(tenant).display());
            let roots = [root("north"), root("south")];
            options.access = Access::Tenants(TenantRoots::parse(roots.iter().map(String::as_str)));
        },
        |_| (),
    )
    .await;
    // What an attacker looks for.
    std::fs::write(served.home.path().join("home/key.csv"), "of\nsecret\n").unwrap();
    served
}

/// Every statement that names a location, with this one; what they say.
async fn try_all(client: &mut Client, location: &str) -> Vec<Result<String, String>> {
    let quoted = location.replace('\'', "''");
    let mut answers = Vec::new();
    for sql in [
        format!("SELECT * FROM '{quoted}'"),
        format!("SELECT sanitize(*) FROM '{quoted}'"),
        format!("SELECT * FROM dedupe('{quoted}')"),
        format!("EXPLAIN SELECT * FROM '{quoted}'"),
        format!("COPY (SELECT * FROM '{quoted}') TO 'north/out.csv'"),
    ] {
        let rows = query(client, &sql).await;
        answers.push(rows.map(|rows| text(&rows)).map_err(|e| e.to_string()));
    }
    for sql in [
        format!("CREATE OR REPLACE EXTERNAL TABLE t STORED AS CSV LOCATION '{quoted}'"),
        format!("COPY (SELECT 1 AS a) TO '{quoted}/part-0.csv'"),
        format!("COPY (SELECT 1 AS a) TO '{quoted}'"),
    ] {
        let done = update(client, &sql).await;
        answers.push(done.map(|rows| rows.to_string()).map_err(|e| e.to_string()));
    }
    answers
}

/// Nothing outside of the roots of a tenant is read or written, however it is named; the requests are those that once
/// did it.
#[tokio::test(flavor = "multi_thread")]
async fn c1_c2_c3_statements_stay_in_their_roots() {
    let served = fenced().await;
    let top = served.home.path().canonicalize().unwrap();
    let mut ada = served.client(ADA).await;
    let mut bob = served.client(BOB).await;
    update(&mut bob, "CREATE TABLE mine AS SELECT 'secret' AS of")
        .await
        .unwrap();
    let warehouse = top.join("home/warehouse/south");
    let table = std::fs::read_dir(&warehouse)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let part = std::fs::read(table.join("part-00000.parquet")).unwrap();

    let (shown, table) = (top.display(), table.display());
    for location in [
        format!("{shown}/home/warehouse/x://../../../../secret.csv"),
        format!("{shown}/home/warehouse/x:/../../../secret.csv"),
        "x://../secret.csv".to_owned(),
        "home/warehouse/south".to_owned(),
        "home/warehouse/south/".to_owned(),
        format!("{table}"),
        format!("{table}/part-00000.parquet"),
        format!("file://{table}/part-00000.parquet"),
        "home/key.csv".to_owned(),
        "home/*.csv".to_owned(),
        "home/catalog.sqlite".to_owned(),
        "south/a.csv".to_owned(),
        "*/a.csv".to_owned(),
        "north/../south/a.csv".to_owned(),
        "north/link.csv".to_owned(),
        "north/link/a.csv".to_owned(),
        format!("file://{shown}/north/%2e%2e/secret.csv"),
        format!("file://{shown}/north/..%2fsecret.csv"),
        "secret.csv".to_owned(),
        "/etc/passwd".to_owned(),
        "/proc/self/environ".to_owned(),
        "rooted://2f/etc/passwd".to_owned(),
        "s3://bucket/x.csv".to_owned(),
        "http://127.0.0.1:9/x.csv".to_owned(),
    ] {
        for answer in try_all(&mut ada, &location).await {
            let error = answer.expect_err(&location);
            assert!(!error.contains("secret\n"), "{location}: {error}");
        }
    }
    assert_eq!(
        std::fs::read(Path::new(&format!("{table}/part-00000.parquet"))).unwrap(),
        part
    );
    assert_eq!(
        std::fs::read_to_string(top.join("secret.csv")).unwrap(),
        "of\nsecret\n"
    );
    let north: Vec<_> = std::fs::read_dir(top.join("north")).unwrap().collect();
    assert_eq!(north.len(), 3, "{north:?}");
    let of = text(&query(&mut bob, "SELECT of FROM mine").await.unwrap());
    assert!(of.contains("secret"));

    // What is allowed works: for each tenant its own.
    for (client, tenant) in [(&mut ada, "north"), (&mut bob, "south")] {
        let rows = query(client, &format!("SELECT * FROM '{tenant}/*.csv'"))
            .await
            .unwrap();
        assert!(text(&rows).contains(tenant));
        let out = format!("COPY (SELECT 7 AS a) TO '{tenant}/new/out.parquet'");
        update(client, &out).await.unwrap();
        let back = format!("SELECT a FROM '{tenant}/new/'");
        assert!(text(&query(client, &back).await.unwrap()).contains('7'));
        let table =
            format!("CREATE EXTERNAL TABLE files STORED AS PARQUET LOCATION '{tenant}/new'");
        update(client, &table).await.unwrap();
        assert_eq!(
            update(client, "INSERT INTO files VALUES (8)")
                .await
                .unwrap(),
            1
        );
        let sum = query(client, "SELECT sum(a) AS s FROM files")
            .await
            .unwrap();
        assert!(text(&sum).contains("15"));
    }
    served.stop().await;
}

/// Links are followed by no way of naming them, and neither are folders listed through them.
#[tokio::test(flavor = "multi_thread")]
async fn m8_links_are_left_alone() {
    let served = fenced().await;
    let mut ada = served.client(ADA).await;
    for sql in [
        "SELECT * FROM 'north/l*.csv'",
        "SELECT * FROM 'north/link*'",
        "SELECT * FROM 'north/l*/*'",
    ] {
        assert!(query(&mut ada, sql).await.is_err(), "{sql}");
    }
    let rows = query(&mut ada, "SELECT * FROM 'north/'").await.unwrap();
    assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    assert!(!text(&rows).contains("secret"));
    served.stop().await;
}

/// Plans and errors name tables and locations, and no folder of the server.
#[tokio::test(flavor = "multi_thread")]
async fn c1_plans_name_no_server_path() {
    let served = fenced().await;
    let mut ada = served.client(ADA).await;
    let top = served
        .home
        .path()
        .canonicalize()
        .unwrap()
        .display()
        .to_string();
    update(&mut ada, "CREATE TABLE own AS SELECT 1 AS a, 'x' AS b")
        .await
        .unwrap();
    update(&mut ada, "COPY own TO 'north/own.parquet'")
        .await
        .unwrap();
    for table in ["own", "'north/own.parquet'", "'north/a.csv'"] {
        for explain in [
            "EXPLAIN",
            "EXPLAIN VERBOSE",
            "EXPLAIN ANALYZE",
            "EXPLAIN FORMAT INDENT",
        ] {
            for what in [
                format!("SELECT * FROM {table}"),
                format!("SELECT sanitize(*) FROM {table}"),
            ] {
                let sql = format!("{explain} {what}");
                let Ok(plan) = query(&mut ada, &sql).await else {
                    continue;
                };
                assert!(!text(&plan).contains(&top), "{sql}: {}", text(&plan));
            }
        }
    }
    std::fs::write(served.home.path().join("north/bad.parquet"), "no parquet").unwrap();
    for sql in [
        "SELECT * FROM 'north/missing.csv'",
        "SELECT * FROM 'north/bad.parquet'",
        "SELECT * FROM '/etc/passwd'",
        "COPY own TO 'north/'",
        "INSERT INTO nothing VALUES (1)",
    ] {
        let error = query(&mut ada, sql).await.unwrap_err().to_string();
        assert!(!error.contains(&top), "{sql}: {error}");
    }
    served.stop().await;
}
