//! Limits of what a client, and a stranger, can ask for.

use std::time::{Duration, Instant};

use arrow_flight::sql::CommandStatementIngest;
use arrow_flight::{FlightData, FlightDescriptor};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Code;

use super::ingest::{CREATE, ingest, numbers};
use super::server::{ADA, BOB, act, code, query, refused, serve, update};

const ENDLESS: &str =
    "SELECT count(*) AS n FROM generate_series(1, 1000000000000) AS s (x) WHERE x % 7 = 8";

/// m4: sessions are limited for a user, a tenant and the server; others are let in meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn m4_sessions_are_limited_per_user_and_tenant() {
    let served = serve(|options| {
        options.max_sessions_per_user = 3;
        options.max_sessions_per_tenant = 4;
    })
    .await;
    let users = served.engine.users();
    users
        .add("amy", "north", Some("amy's password"))
        .await
        .unwrap();
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(served.client(ADA).await);
    }
    let enter = async |user: &str, password: &str| {
        let mut client = served.stranger().await;
        let entered = client.handshake(user, password).await;
        entered.map(|_| client).map_err(|error| error.to_string())
    };
    let refused = enter(ADA.0, ADA.1).await.err().unwrap();
    assert!(refused.contains("the user has 3 sessions"), "{refused}");
    kept.push(enter("amy", "amy's password").await.unwrap());
    let refused = enter("amy", "amy's password").await.err().unwrap();
    assert!(refused.contains("the tenant has 4 sessions"), "{refused}");
    kept.push(enter(BOB.0, BOB.1).await.unwrap());
    act(&mut kept[0], "CloseSession", Vec::new()).await.unwrap();
    enter(ADA.0, ADA.1).await.unwrap();
    served.stop().await;
}

/// m4: connections over which nobody logs in end, half-sent handshakes of HTTP/2 too, and there are few
/// of an address; whoever has logged in may stay.
#[tokio::test(flavor = "multi_thread")]
async fn m4_connections_without_a_login_end() {
    let served = serve(|options| {
        options.max_connections_without_login = 3;
        options.login_timeout = Duration::from_millis(1500);
    })
    .await;
    let mut ada = served.client(ADA).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let stream = TcpStream::connect(served.address).await.unwrap();
        stream.writable().await.unwrap();
        stream.try_write(b"PRI * HTT").unwrap();
        idle.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ends = async |mut stream: TcpStream| {
        let begun = Instant::now();
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest))
            .await
            .expect("the connection stays open");
        begun.elapsed()
    };
    let fourth = TcpStream::connect(served.address).await.unwrap();
    assert!(
        ends(fourth).await < Duration::from_millis(300),
        "one too many"
    );
    for stream in idle {
        assert!(ends(stream).await < Duration::from_secs(5));
    }
    tokio::time::sleep(Duration::from_millis(1600)).await;
    query(&mut ada, "SELECT 1").await.unwrap();
    served.client(BOB).await;
    served.stop().await;
}

/// m4: what a user runs, prepares and sends is limited, also over several sessions; others are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m4_users_are_limited() {
    let served = serve(|options| {
        options.max_statements_per_user = 2;
        options.max_prepared_per_user = 3;
        options.max_ingest_bytes = 200_000;
        options.ingest_idle = Duration::from_millis(500);
    })
    .await;
    let mut running = Vec::new();
    for _ in 0..2 {
        let mut client = served.client(ADA).await;
        running.push(tokio::spawn(async move {
            query(&mut client, ENDLESS).await.map(drop)
        }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut ada = served.client(ADA).await;
    assert_eq!(
        code(query(&mut ada, "SELECT 1").await),
        Code::ResourceExhausted
    );
    let mut bob = served.client(BOB).await;
    query(&mut bob, "SELECT 1").await.unwrap();
    for task in running {
        task.abort();
        let _ = task.await;
    }
    let begun = Instant::now();
    while query(&mut ada, "SELECT 1").await.is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the statements have ended"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let mut kept = Vec::new();
    for client in [&mut ada, &mut served.client(ADA).await] {
        kept.push(client.prepare("SELECT 1".to_owned(), None).await.unwrap());
    }
    update(&mut ada, "PREPARE a AS SELECT 1").await.unwrap();
    assert_eq!(
        code(update(&mut ada, "PREPARE b AS SELECT 1").await),
        Code::ResourceExhausted
    );
    assert_eq!(
        code(ada.prepare("SELECT 1".to_owned(), None).await),
        Code::ResourceExhausted
    );
    update(&mut ada, "DEALLOCATE a").await.unwrap();
    ada.prepare("SELECT 1".to_owned(), None).await.unwrap();

    let many = vec![numbers(0..5_000); 4];
    assert_eq!(
        code(ingest(&mut ada, "many", CREATE, many).await),
        Code::ResourceExhausted
    );
    ingest(&mut ada, "few", CREATE, vec![numbers(0..500)])
        .await
        .unwrap();
    let long = format!("SELECT '{}'", "x".repeat(2 << 20));
    assert_eq!(code(query(&mut ada, &long).await), Code::InvalidArgument);

    // A client that begins to send rows and then sends nothing.
    use arrow_flight::sql::ProstMessageExt;
    use prost::Message;
    let command = CommandStatementIngest {
        table: "silent".to_owned(),
        ..Default::default()
    };
    let first = FlightData::new()
        .with_descriptor(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
    let silent =
        futures::StreamExt::chain(futures::stream::iter([first]), futures::stream::pending());
    let begun = Instant::now();
    let put = match ada.do_put(silent).await {
        Ok(mut results) => results.message().await.map(drop),
        Err(error) => Err(refused::<()>(Err(error))),
    };
    assert_eq!(put.unwrap_err().code(), Code::DeadlineExceeded);
    assert!(begun.elapsed() < Duration::from_secs(5));
    served.stop().await;
}

/// m4: a statement ends when it has taken as long as it may, planned or not, and so do its rows.
#[tokio::test(flavor = "multi_thread")]
async fn m4_statements_end_in_time() {
    let served = serve(|options| options.statement_timeout = Duration::from_secs(1)).await;
    let mut ada = served.client(ADA).await;
    let rows = "SELECT x FROM generate_series(1, 1000000000000) AS s (x)";
    for sql in [
        ENDLESS.to_owned(),
        rows.to_owned(),
        format!("CREATE TABLE t AS {ENDLESS}"),
    ] {
        let begun = Instant::now();
        let status = refused(query(&mut ada, &sql).await);
        assert_eq!(status.code(), Code::DeadlineExceeded, "{sql}: {status}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{sql}");
    }
    query(&mut ada, "SELECT 1").await.unwrap();
    served.stop().await;
}
