//! Rows that clients send for tables.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{
    CommandStatementIngest, ProstMessageExt, TableDefinitionOptions, TableExistsOption,
    TableNotExistOption,
};
use arrow_flight::{FlightData, FlightDescriptor};
use futures::TryStreamExt;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tonic::Code;

use super::server::{ADA, Client, code, query, refused, serve, text, update};

pub fn numbers(range: std::ops::Range<i64>) -> RecordBatch {
    let words = range.clone().map(|number| format!("word {number}"));
    RecordBatch::try_from_iter([
        (
            "x",
            Arc::new(Int64Array::from_iter_values(range.clone())) as _,
        ),
        ("word", Arc::new(StringArray::from_iter_values(words)) as _),
    ])
    .unwrap()
}

pub async fn ingest(
    client: &mut Client,
    table: &str,
    modes: (TableNotExistOption, TableExistsOption),
    batches: Vec<RecordBatch>,
) -> Result<i64, FlightError> {
    let command = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: modes.0 as i32,
            if_exists: modes.1 as i32,
        }),
        table: table.to_owned(),
        ..Default::default()
    };
    let batches = futures::stream::iter(batches.into_iter().map(Ok));
    client.execute_ingest(command, batches).await
}

pub const CREATE: (TableNotExistOption, TableExistsOption) =
    (TableNotExistOption::Create, TableExistsOption::Fail);

/// Rows are sent for tables that are made, filled, made anew, as the client wants.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_ingested() {
    use TableExistsOption::{Append, Fail, Replace};
    use TableNotExistOption::{Create, Fail as Refuse};
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let batches = || vec![numbers(0..1000), numbers(1000..1500)];
    assert_eq!(
        code(ingest(&mut ada, "t", (Refuse, Append), batches()).await),
        Code::NotFound
    );
    assert_eq!(
        ingest(&mut ada, "t", (Create, Fail), batches())
            .await
            .unwrap(),
        1500
    );
    assert_eq!(
        code(ingest(&mut ada, "t", (Create, Fail), batches()).await),
        Code::AlreadyExists
    );
    assert_eq!(
        ingest(&mut ada, "t", (Refuse, Append), batches())
            .await
            .unwrap(),
        1500
    );
    assert_eq!(
        ingest(&mut ada, "t", (Create, Append), batches())
            .await
            .unwrap(),
        1500
    );
    let count = "SELECT count(*) AS n, count(DISTINCT word) AS w FROM t";
    assert!(text(&query(&mut ada, count).await.unwrap()).contains("| 4500 | 1500 |"));
    assert_eq!(
        ingest(&mut ada, "t", (Create, Replace), batches())
            .await
            .unwrap(),
        1500
    );
    assert!(text(&query(&mut ada, count).await.unwrap()).contains("| 1500 | 1500 |"));
    assert_eq!(
        code(ingest(&mut ada, "t", (Refuse, Replace), batches()).await),
        Code::InvalidArgument
    );
    served.stop().await;
}

/// Rows that cannot be read, wherever they break, are the client's mistake and leave no table behind.
#[tokio::test(flavor = "multi_thread")]
async fn unreadable_rows_are_refused() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let command = CommandStatementIngest {
        table: "broken".to_owned(),
        ..Default::default()
    };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let batches = futures::stream::iter([Ok(numbers(0..10)), Ok(numbers(10..20))]);
    let whole: Vec<FlightData> = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(descriptor))
        .build(batches)
        .try_collect()
        .await
        .unwrap();
    let mut random = StdRng::seed_from_u64(11);
    for turn in 0..150 {
        let mut sent = whole.clone();
        let last = sent.last_mut().unwrap();
        let mut header = last.data_header.to_vec();
        let mut body = last.data_body.to_vec();
        match turn % 3 {
            0 => body.truncate(random.random_range(0..body.len() / 2)),
            1 => header.truncate(random.random_range(1..header.len() - 8)),
            _ => {
                let place = random.random_range(0..header.len());
                header[place] ^= random.random_range(1..=255_u8);
            }
        }
        (last.data_header, last.data_body) = (header.into(), body.into());
        let ended = tokio::time::timeout(Duration::from_secs(10), async {
            match ada.do_put(futures::stream::iter(sent)).await {
                Ok(mut results) => results.message().await.err(),
                Err(error) => Some(refused::<()>(Err(error))),
            }
        });
        match ended.await.expect("a call hangs") {
            Some(status) => assert_eq!(status.code(), Code::InvalidArgument, "{turn}: {status}"),
            // A changed bit need not make a message unreadable.
            None => {
                assert_eq!(turn % 3, 2);
                update(&mut ada, "DROP TABLE broken").await.unwrap();
            }
        }
    }
    assert!(query(&mut ada, "SELECT * FROM broken").await.is_err());
    served.stop().await;
}
