//! `benchmarks flight-sql`: how fast a large result comes through Flight SQL, beside the same rows read in the process.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use arrow::array::RecordBatch;
use arrow_flight::sql::client::FlightSqlServiceClient;
use clap::Args;
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sql::{Answer, Engine, EngineOptions, FlightOptions, FlightServer, Identity, Session};
use tonic::transport::{Channel, Endpoint};

use crate::figure_table::figure_table;
use crate::speed::CachedTable;
use crate::workspace::Workspace;

/// Time a large SELECT through Flight SQL, and its first rows.
#[derive(Args, Clone, Debug)]
pub struct FlightSqlArgs {
    /// Rows of the table.
    #[arg(long, default_value_t = 10_000_000)]
    pub rows: u64,
    /// How many times each is read; the best run counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
}

/// One reading of all rows.
#[derive(Clone, Copy, Debug)]
struct Reading {
    first: Duration,
    all: Duration,
    bytes: usize,
    rows: usize,
}

/// Who reads in this program.
const READER: (&str, &str) = ("benchmark", "a password of the benchmark");

/// Runs the command.
pub fn run(args: &FlightSqlArgs) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(sql::STACK_BYTES)
        .enable_all()
        .build()?
        .block_on(measure(args))
}

async fn measure(args: &FlightSqlArgs) -> Result<()> {
    let workspace = Workspace::of_this_build()?;
    let table = CachedTable::open(&workspace.subfolder("data")?, args.rows, 42)?;
    let home = tempfile::tempdir_in(workspace.subfolder("flight-sql")?)?;
    let options = EngineOptions::new(home.path().to_owned(), home.path().to_owned());
    let engine = Engine::open(options).await?;
    let session = engine.session(Identity {
        user: READER.0.to_owned(),
        tenant: READER.0.to_owned(),
    })?;
    let file = home.path().join("rows.parquet");
    let (source, target) = (table.path.display(), file.display());
    run_all(
        &session,
        &format!("COPY (SELECT * FROM '{source}') TO '{target}'"),
    )
    .await?;
    let select = format!("SELECT * FROM '{target}'");
    engine
        .users()
        .add(READER.0, READER.0, Some(READER.1))
        .await?;
    let flight = FlightOptions {
        address: ([127, 0, 0, 1], 0).into(),
        ..FlightOptions::default()
    };
    let server = FlightServer::bind(engine.clone(), flight).await?;
    let address = server.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async move {
        // A program that ends has nothing more to ask.
        let _ = stopped.await;
    }));
    let mut client = connect(&format!("http://{address}")).await?;
    let names = [
        "the Parquet reader, one thread",
        "SQL in the process",
        "Flight SQL on loopback",
    ];
    let mut best: [Option<Reading>; 3] = [None; 3];
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}", args.rounds);
        let readings = [
            read_file(&file)?,
            read_here(&session, &select).await?,
            read_flight(&mut client, &select).await?,
        ];
        for (best, reading) in best.iter_mut().zip(readings) {
            if best.is_none_or(|best| reading.all < best.all) {
                *best = Some(reading);
            }
        }
    }
    let mut figures = figure_table(&["", "seconds", "MB/s", "first row, ms", "rows"]);
    for (name, reading) in names.iter().zip(best.iter().flatten()) {
        let seconds = reading.all.as_secs_f64();
        figures.add_row([
            (*name).to_owned(),
            format!("{seconds:.2}"),
            format!("{:.0}", reading.bytes as f64 / 1e6 / seconds),
            format!("{:.0}", reading.first.as_secs_f64() * 1e3),
            reading.rows.to_string(),
        ]);
    }
    println!("{} rows; MB are of Arrow arrays in memory", args.rows);
    println!("{figures}");
    if let [_, Some(here), Some(flight)] = best {
        let ratio = flight.all.as_secs_f64() / here.all.as_secs_f64();
        println!("Flight SQL / SQL in the process: {ratio:.2}");
    }
    let _ = stop.send(());
    serving.await.context("the server panicked")??;
    Ok(())
}

async fn run_all(session: &Session, statement: &str) -> Result<()> {
    match session.execute(statement).await? {
        Answer::Rows(rows) => drop(rows.try_collect::<Vec<_>>().await?),
        Answer::Written(_) | Answer::Done => {}
    }
    Ok(())
}

/// Counts what comes.
struct Counter {
    started: Instant,
    reading: Reading,
}

impl Counter {
    fn start() -> Self {
        Self {
            started: Instant::now(),
            reading: Reading {
                first: Duration::ZERO,
                all: Duration::ZERO,
                bytes: 0,
                rows: 0,
            },
        }
    }

    fn add(&mut self, batch: &RecordBatch) {
        if self.reading.rows == 0 {
            self.reading.first = self.started.elapsed();
        }
        self.reading.rows += batch.num_rows();
        let columns = batch.columns().iter();
        // What the rows take, not what the buffers that they share do.
        self.reading.bytes += columns
            .map(|column| column.to_data().get_slice_memory_size().unwrap_or_default())
            .sum::<usize>();
    }

    fn end(mut self) -> Reading {
        self.reading.all = self.started.elapsed();
        self.reading
    }
}

fn read_file(file: &std::path::Path) -> Result<Reading> {
    let mut counter = Counter::start();
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file)?)?;
    for batch in reader.with_batch_size(8192).build()? {
        counter.add(&batch?);
    }
    Ok(counter.end())
}

async fn read_here(session: &Session, select: &str) -> Result<Reading> {
    let mut counter = Counter::start();
    let Answer::Rows(mut rows) = session.execute(select).await? else {
        return Err(anyhow!("a SELECT gave no rows"));
    };
    while let Some(batch) = rows.try_next().await? {
        counter.add(&batch);
    }
    Ok(counter.end())
}

async fn connect(url: &str) -> Result<FlightSqlServiceClient<Channel>> {
    let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
    let mut client = FlightSqlServiceClient::new(channel);
    client.handshake(READER.0, READER.1).await?;
    Ok(client)
}

async fn read_flight(
    client: &mut FlightSqlServiceClient<Channel>,
    select: &str,
) -> Result<Reading> {
    let mut counter = Counter::start();
    let info = client.execute(select.to_owned(), None).await?;
    for endpoint in info.endpoint {
        let ticket = endpoint.ticket.context("an endpoint without a ticket")?;
        let mut rows = client.do_get(ticket).await?;
        while let Some(batch) = rows.try_next().await? {
            counter.add(&batch);
        }
    }
    Ok(counter.end())
}
