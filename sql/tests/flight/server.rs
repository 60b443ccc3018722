//! A server for one test, and clients of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{Action, FlightInfo};
use futures::TryStreamExt;
use sql::{AuditError, AuditEvent, AuditLog, Engine, EngineOptions, FlightOptions, FlightServer};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tonic::transport::Channel;
use tonic::{Code, Status};

pub type Client = FlightSqlServiceClient<Channel>;

pub const ADA: (&str, &str) = ("ada", "ada's password");
pub const BOB: (&str, &str) = ("bob", "bob's password");

/// A server that ends with the test.
pub struct Served {
    pub engine: Engine,
    pub address: std::net::SocketAddr,
    pub home: TempDir,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<sql::Result<()>>,
}

/// An audit log that a test reads, and breaks.
#[derive(Debug, Default)]
pub struct Recorded {
    pub events: Mutex<Vec<AuditEvent>>,
    pub broken: AtomicBool,
    pub suspended: Mutex<BTreeSet<String>>,
}

#[tonic::async_trait]
impl AuditLog for Recorded {
    async fn append(&self, event: AuditEvent) -> Result<(), AuditError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err("the disk is full".into());
        }
        self.events.lock().unwrap().push(event);
        Ok(())
    }

    async fn suspended_tenants(&self) -> Result<BTreeSet<String>, AuditError> {
        Ok(self.suspended.lock().unwrap().clone())
    }
}

impl Recorded {
    /// The events of an action.
    pub fn of(&self, action: &str) -> Vec<AuditEvent> {
        let events = self.events.lock().unwrap();
        let of = events.iter().filter(|event| event.action == action);
        of.cloned().collect()
    }
}

/// Starts a server that Ada and Bob, of different tenants, may use.
pub async fn serve(change: impl FnOnce(&mut FlightOptions)) -> Served {
    serve_engine(|_| (), change).await
}

/// The same, whose engine is another one.
pub async fn serve_engine(
    other: impl FnOnce(&mut EngineOptions),
    change: impl FnOnce(&mut FlightOptions),
) -> Served {
    let home = tempfile::tempdir().unwrap();
    let mut engine = EngineOptions {
        memory_limit: 512 << 20,
        threads: 2,
        ..EngineOptions::new(home.path().join("home"), home.path().to_owned())
    };
    other(&mut engine);
    let engine = Engine::open(engine).await.unwrap();
    let users = engine.users();
    users.add(ADA.0, "north", Some(ADA.1)).await.unwrap();
    users.add(BOB.0, "south", Some(BOB.1)).await.unwrap();
    let mut options = FlightOptions {
        address: ([127, 0, 0, 1], 0).into(),
        ..FlightOptions::default()
    };
    change(&mut options);
    let server = FlightServer::bind(engine.clone(), options).await.unwrap();
    let address = server.address();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.serve(async move {
        let _ = stopped.await;
    }));
    Served {
        engine,
        address,
        home,
        stop: Some(stop),
        task,
    }
}

impl Served {
    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address))
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// A client that nobody has let in.
    pub async fn stranger(&self) -> Client {
        Client::new(self.channel().await)
    }

    /// A client in a session of its own.
    pub async fn client(&self, (user, password): (&str, &str)) -> Client {
        let mut client = self.stranger().await;
        client.handshake(user, password).await.unwrap();
        client
    }

    /// Ends the server, which must not fail.
    pub async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.task.await.unwrap().unwrap();
    }
}

/// Fetches all parts of a result, one after the other.
pub async fn fetch(
    client: &mut Client,
    info: &FlightInfo,
) -> Result<Vec<RecordBatch>, FlightError> {
    let told = Arc::new(info.clone().try_decode_schema()?);
    let mut batches = Vec::new();
    for endpoint in &info.endpoint {
        assert!(endpoint.location.is_empty(), "a ticket names no host");
        let mut stream = client.do_get(endpoint.ticket.clone().unwrap()).await?;
        while let Some(batch) = stream.try_next().await? {
            batches.push(batch);
        }
        assert_eq!(
            stream.schema(),
            Some(&told),
            "the schema is the one that was told"
        );
    }
    Ok(batches)
}

pub async fn query(client: &mut Client, sql: &str) -> Result<Vec<RecordBatch>, FlightError> {
    let info = client.execute(sql.to_owned(), None).await?;
    fetch(client, &info).await
}

pub async fn update(client: &mut Client, sql: &str) -> Result<i64, FlightError> {
    client.execute_update(sql.to_owned(), None).await
}

/// The rows as a table of text.
pub fn text(batches: &[RecordBatch]) -> String {
    arrow::util::pretty::pretty_format_batches(batches)
        .unwrap()
        .to_string()
}

pub async fn act(client: &mut Client, name: &str, body: Vec<u8>) -> Result<Vec<u8>, FlightError> {
    let mut results = client.do_action(Action::new(name, body)).await?;
    let result = results.message().await?;
    Ok(result
        .map(|result| result.body.to_vec())
        .unwrap_or_default())
}

/// The status that a call failed with.
pub fn refused<T>(result: Result<T, FlightError>) -> Status {
    match result.err().expect("the call succeeded") {
        FlightError::Tonic(status) => *status,
        other => panic!("not a status: {other}"),
    }
}

pub fn code<T>(result: Result<T, FlightError>) -> Code {
    refused(result).code()
}
