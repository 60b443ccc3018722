//! Statements, their parameters and their results.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery, CommandStatementQuery,
    ProstMessageExt,
};
use arrow_flight::{
    CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, FlightInfo,
    IpcMessage, PollInfo,
};
use futures::TryStreamExt;
use prost::Message;
use sql::Endpoints;
use tonic::{Code, Request, Status};

use super::ingest::{CREATE, ingest, numbers};
use super::server::{ADA, BOB, Client, act, code, fetch, query, refused, serve, text, update};

/// A statement that takes hours.
const ENDLESS: &str =
    "SELECT count(*) AS n FROM generate_series(1, 1000000000000) AS s (x) WHERE x % 7 = 8";

async fn poll(client: &mut Client, descriptor: FlightDescriptor) -> Result<PollInfo, Status> {
    let mut request = Request::new(descriptor);
    let token = format!("Bearer {}", client.token().unwrap());
    request
        .metadata_mut()
        .insert("authorization", token.parse().unwrap());
    let response = client.inner_mut().poll_flight_info(request).await?;
    Ok(response.into_inner())
}

fn command(sql: &str) -> FlightDescriptor {
    let query = CommandStatementQuery {
        query: sql.to_owned(),
        transaction_id: None,
    };
    FlightDescriptor::new_cmd(query.as_any().encode_to_vec())
}

/// Asks until a statement is done.
async fn polled(client: &mut Client, sql: &str) -> Result<FlightInfo, Status> {
    let mut answer = poll(client, command(sql)).await?;
    while let Some(again) = answer.flight_descriptor {
        assert!((0.0..=1.0).contains(&answer.progress.unwrap()));
        answer = poll(client, again).await?;
    }
    Ok(answer.info.unwrap())
}

/// Tables are made, filled and read, by calls for rows and by calls for changes; another tenant sees
/// none of it.
#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_and_read() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    assert_eq!(
        update(&mut ada, "CREATE TABLE t (x BIGINT, word VARCHAR)")
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        update(&mut ada, "INSERT INTO t VALUES (1, 'a'), (2, NULL)")
            .await
            .unwrap(),
        2
    );
    // The same through a call that asks for rows: it runs at once and tells how many.
    let info = ada
        .execute("INSERT INTO t VALUES (3, 'c')".to_owned(), None)
        .await
        .unwrap();
    assert_eq!((info.total_records, info.endpoint.len()), (1, 1));
    assert_eq!(fetch(&mut ada, &info).await.unwrap(), []);
    assert_eq!(
        update(&mut ada, "CREATE TABLE u AS SELECT * FROM t")
            .await
            .unwrap(),
        3
    );
    let rows = query(&mut ada, "SELECT * FROM u ORDER BY x").await.unwrap();
    let expected = "+---+------+\n| x | word |\n+---+------+\n| 1 | a    |\n| 2 |      |\n| 3 | c    |\n+---+------+";
    assert_eq!(text(&rows), expected);
    assert_eq!(rows[0].schema().field(1).data_type(), &DataType::Utf8);

    let mut bob = served.client(BOB).await;
    assert_eq!(
        code(query(&mut bob, "SELECT * FROM t").await),
        Code::InvalidArgument
    );
    update(&mut bob, "CREATE TABLE t AS SELECT 'of bob' AS y")
        .await
        .unwrap();
    assert!(text(&query(&mut ada, "SELECT * FROM t").await.unwrap()).contains("| 3 | c"));
    served.stop().await;
}

/// A wrong statement is its author's mistake: never an internal error.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_statements_are_invalid() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let wrong = [
        "SELEC 1",
        "SELECT nothing",
        "SELECT * FROM nowhere",
        "SELECT CAST('x' AS BIGINT)",
        "SELECT 1 + 'x'",
        "SELECT 1; SELECT 2",
        "",
        "BEGIN",
        "SELECT abs()",
        "SELECT 1 / 0",
        "UPDATE t SET x = 1",
        "INSERT INTO nowhere VALUES (1)",
        "SELECT $1",
    ];
    for sql in wrong {
        let refused_with = code(query(&mut ada, sql).await);
        assert!(
            matches!(refused_with, Code::InvalidArgument | Code::NotFound),
            "{sql}: {refused_with:?}"
        );
        let changed = code(update(&mut ada, sql).await);
        assert!(
            matches!(changed, Code::InvalidArgument | Code::NotFound),
            "{sql}: {changed:?}"
        );
    }
    update(&mut ada, "CREATE TABLE t (x BIGINT)").await.unwrap();
    assert_eq!(
        code(update(&mut ada, "CREATE TABLE t (x BIGINT)").await),
        Code::AlreadyExists
    );
    assert_eq!(
        code(update(&mut ada, "DROP TABLE nowhere").await),
        Code::NotFound
    );
    assert_eq!(
        code(update(&mut ada, "CREATE SCHEMA public").await),
        Code::AlreadyExists
    );
    served.stop().await;
}

/// Parameters are bound by position, once or for many rows; wrong values are refused.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_bound() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    ingest(&mut ada, "t", CREATE, vec![numbers(0..100)])
        .await
        .unwrap();

    let sql = "SELECT x, $2 AS tag FROM t WHERE x >= $1 AND x < 5 ORDER BY x";
    let mut prepared = ada.prepare(sql.to_owned(), None).await.unwrap();
    assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 2);
    let unbound = refused(prepared.execute().await);
    assert_eq!(unbound.code(), Code::InvalidArgument);
    for from in [3, 1] {
        let values = RecordBatch::try_from_iter([
            ("1", Arc::new(Int64Array::from(vec![from])) as _),
            ("2", Arc::new(StringArray::from(vec!["it's"])) as _),
        ]);
        prepared.set_parameters(values.unwrap()).unwrap();
        let info = prepared.execute().await.unwrap();
        let rows = fetch(&mut ada, &info).await.unwrap();
        let xs: Vec<i64> = rows
            .iter()
            .flat_map(|batch| {
                batch
                    .column(0)
                    .as_primitive::<Int64Type>()
                    .values()
                    .to_vec()
            })
            .collect();
        assert_eq!(xs, (from..5).collect::<Vec<_>>());
        assert_eq!(rows[0].column(1).as_string::<i32>().value(0), "it's");
    }
    let two: RecordBatch = RecordBatch::try_from_iter([
        ("1", Arc::new(Int64Array::from(vec![4, 3])) as _),
        ("2", Arc::new(StringArray::from(vec!["a", "b"])) as _),
    ])
    .unwrap();
    prepared.set_parameters(two).unwrap();
    let info = prepared.execute().await.unwrap();
    let rows = fetch(&mut ada, &info).await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    let one =
        RecordBatch::try_from_iter([("1", Arc::new(Int64Array::from(vec![1])) as Arc<dyn Array>)]);
    prepared.set_parameters(one.unwrap()).unwrap();
    let few = refused(prepared.execute().await);
    assert_eq!(few.code(), Code::InvalidArgument);

    let mut insert = ada
        .prepare("INSERT INTO t VALUES ($1, $2)".to_owned(), None)
        .await
        .unwrap();
    assert!(insert.dataset_schema().unwrap().fields().is_empty());
    insert.set_parameters(numbers(100..103)).unwrap();
    assert_eq!(insert.execute_update().await.unwrap(), 3);
    let counted = query(&mut ada, "SELECT count(*) AS n, max(word) AS w FROM t")
        .await
        .unwrap();
    assert!(
        text(&counted).contains("| 103 | word 99 |"),
        "{}",
        text(&counted)
    );

    // The client sends no token along when it closes a statement, so this is done by hand.
    let handle = refused_handle(&mut ada, "SELECT 1").await;
    assert_eq!(handle, Code::NotFound);
    served.stop().await;
}

/// Prepares a statement, closes it, and asks for its rows.
async fn refused_handle(client: &mut Client, sql: &str) -> Code {
    let create = ActionCreatePreparedStatementRequest {
        query: sql.to_owned(),
        transaction_id: None,
    };
    let made = act(
        client,
        "CreatePreparedStatement",
        create.as_any().encode_to_vec(),
    )
    .await;
    let made = Any::decode(&*made.unwrap()).unwrap();
    let made: ActionCreatePreparedStatementResult = made.unpack().unwrap().unwrap();
    let close = ActionClosePreparedStatementRequest {
        prepared_statement_handle: made.prepared_statement_handle.clone(),
    };
    act(
        client,
        "ClosePreparedStatement",
        close.as_any().encode_to_vec(),
    )
    .await
    .unwrap();
    let query = CommandPreparedStatementQuery {
        prepared_statement_handle: made.prepared_statement_handle,
    };
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    poll(client, descriptor).await.unwrap_err().code()
}

/// Rows are made as they are read: the first of very many are there at once.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_streamed() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let sql = "SELECT x FROM generate_series(1, 1000000000000) AS s (x)";
    let info = ada.execute(sql.to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut rows = ada.do_get(ticket).await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(10), rows.try_next());
    assert!(first.await.unwrap().unwrap().unwrap().num_rows() > 0);
    drop(rows);
    served.stop().await;
}

/// Cancelling ends a statement that runs; so does the end of its session.
#[tokio::test(flavor = "multi_thread")]
async fn statements_are_cancelled() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let info = ada.execute(ENDLESS.to_owned(), None).await.unwrap();
    let mut reader = ada.clone();
    let wanted = info.clone();
    let started = Instant::now();
    let reading = tokio::spawn(async move { code(fetch(&mut reader, &wanted).await) });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!reading.is_finished());
    let cancel = CancelFlightInfoRequest::new(info).encode_to_vec();
    let result = act(&mut ada, "CancelFlightInfo", cancel).await.unwrap();
    let result = CancelFlightInfoResult::decode(&*result).unwrap();
    assert_eq!(result.status(), CancelStatus::Cancelled);
    assert_eq!(reading.await.unwrap(), Code::Cancelled);

    // A client that goes away, and a session that is closed, end their statements too.
    let info = ada.execute(ENDLESS.to_owned(), None).await.unwrap();
    let mut reader = ada.clone();
    let wanted = info.clone();
    let reading = tokio::spawn(async move { fetch(&mut reader, &wanted).await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    reading.abort();
    let mut reader = ada.clone();
    let reading = tokio::spawn(async move { code(fetch(&mut reader, &info).await) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    act(&mut ada, "CloseSession", Vec::new()).await.unwrap();
    assert_eq!(reading.await.unwrap(), Code::Cancelled);

    // So does the end of the server, whatever runs.
    let mut ada = served.client(ADA).await;
    let endless = format!("CREATE TABLE never AS {ENDLESS}");
    let writing = tokio::spawn(async move { code(update(&mut ada, &endless).await) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!writing.is_finished());
    let stopping = tokio::spawn(served.stop());
    assert_eq!(writing.await.unwrap(), Code::Cancelled);
    stopping.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(20));
}

/// A statement may be polled for: it runs by itself, and its rows are there when it is done.
#[tokio::test(flavor = "multi_thread")]
async fn statements_are_polled() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let info = polled(
        &mut ada,
        "SELECT count(*) AS n FROM generate_series(1, 3000000) AS s (x)",
    )
    .await
    .unwrap();
    assert!(text(&fetch(&mut ada, &info).await.unwrap()).contains("3000000"));
    assert_eq!(code(fetch(&mut ada, &info).await), Code::FailedPrecondition);
    let info = polled(&mut ada, "CREATE TABLE t AS SELECT 1 AS x")
        .await
        .unwrap();
    assert_eq!(info.total_records, 1);
    assert_eq!(fetch(&mut ada, &info).await.unwrap(), []);
    let wrong = polled(&mut ada, "SELECT * FROM nowhere").await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);

    let running = poll(&mut ada, command(ENDLESS)).await.unwrap();
    let again = running.flight_descriptor.unwrap();
    assert!(running.info.as_ref().unwrap().endpoint.is_empty());
    let mut bob = served.client(BOB).await;
    assert_eq!(
        poll(&mut bob, again.clone()).await.unwrap_err().code(),
        Code::NotFound
    );
    let cancel = CancelFlightInfoRequest::new(running.info.unwrap()).encode_to_vec();
    act(&mut ada, "CancelFlightInfo", cancel).await.unwrap();
    assert_eq!(
        poll(&mut ada, again).await.unwrap_err().code(),
        Code::Cancelled
    );
    served.stop().await;
}

/// By default there is one endpoint; with more, each row comes from one of them, and rows that have
/// an order come from one.
#[tokio::test(flavor = "multi_thread")]
async fn rows_come_from_several_endpoints() {
    let three = Endpoints::Several(NonZeroUsize::new(3).unwrap());
    let served = serve(|options| options.endpoints = three).await;
    let mut ada = served.client(ADA).await;
    ingest(&mut ada, "t", CREATE, vec![numbers(0..200_000)])
        .await
        .unwrap();
    let info = ada
        .execute("SELECT x FROM t".to_owned(), None)
        .await
        .unwrap();
    assert_eq!((info.endpoint.len(), info.ordered), (3, false));
    let parts = info.endpoint.iter().map(|endpoint| {
        let (mut ada, ticket) = (ada.clone(), endpoint.ticket.clone().unwrap());
        async move { ada.do_get(ticket).await?.try_collect::<Vec<_>>().await }
    });
    let parts = futures::future::try_join_all(parts).await.unwrap();
    let mut all: Vec<i64> = parts
        .iter()
        .flatten()
        .flat_map(|batch| {
            batch
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
                .to_vec()
        })
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..200_000).collect::<Vec<_>>());
    let ordered = ada
        .execute("SELECT x FROM t ORDER BY x".to_owned(), None)
        .await
        .unwrap();
    assert_eq!((ordered.endpoint.len(), ordered.ordered), (1, true));
    served.stop().await;

    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let info = ada.execute("SELECT 1".to_owned(), None).await.unwrap();
    assert_eq!((info.endpoint.len(), info.ordered), (1, true));
    served.stop().await;
}

/// The schema of a statement can be asked for without running it.
#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_told() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let mut request = Request::new(command("SELECT 1 AS x, 'a' AS word"));
    let token = format!("Bearer {}", ada.token().unwrap());
    request
        .metadata_mut()
        .insert("authorization", token.parse().unwrap());
    let result = ada
        .inner_mut()
        .get_schema(request)
        .await
        .unwrap()
        .into_inner();
    let schema = arrow::datatypes::Schema::try_from(IpcMessage(result.schema)).unwrap();
    let info = ada
        .execute("SELECT 1 AS x, 'a' AS word".to_owned(), None)
        .await
        .unwrap();
    assert_eq!(schema, info.try_decode_schema().unwrap());
    served.stop().await;
}
