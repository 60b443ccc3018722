//! An engine with a home of its own, on the data of the tests.

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use benchmarks_harness::{ClusterOptions, LocalCluster};
use futures::TryStreamExt;
use planner::cluster::ClusterAddress;
use sql::{Answer, Engine, EngineOptions, Error, Identity, Session};

/// An engine whose home goes with it.
pub(crate) struct Place {
    pub(crate) engine: Engine,
    pub(crate) home: tempfile::TempDir,
}

/// Two executors of one slot each.
pub(crate) fn cluster() -> LocalCluster {
    let program = Path::new(env!("CARGO_BIN_EXE_sanitizer"));
    LocalCluster::start(program, ClusterOptions::default()).unwrap()
}

/// Runs something on the threads that a server has.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(sql::STACK_BYTES)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// The data of the tests.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql/data")
}

/// Options of an engine whose relative locations lie in `base`.
pub(crate) fn options(home: &Path, base: PathBuf) -> EngineOptions {
    EngineOptions {
        memory_limit: 1 << 30,
        threads: 2,
        ..EngineOptions::new(home.to_owned(), base)
    }
}

impl Place {
    /// An engine in this process.
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// An engine whose statements run on a cluster.
    pub(crate) async fn on(cluster: &LocalCluster) -> Self {
        let address: ClusterAddress = cluster.url().parse().unwrap();
        Self::with(|options| options.cluster = Some(address)).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut EngineOptions)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut options = options(home.path(), data());
        change(&mut options);
        let engine = Engine::open(options).await.unwrap();
        Self { engine, home }
    }

    /// A session of the tenant `t`.
    pub(crate) fn session(&self) -> Session {
        let identity = Identity {
            user: "tester".to_owned(),
            tenant: "t".to_owned(),
        };
        self.engine.session(identity).unwrap()
    }
}

/// All rows that a statement gives.
pub(crate) async fn batches(session: &Session, sql: &str) -> Result<Vec<RecordBatch>, Error> {
    match session.execute(sql).await? {
        Answer::Rows(rows) => {
            let schema = rows.schema();
            let batches: Vec<RecordBatch> = rows.try_collect().await?;
            assert!(
                batches.iter().all(|batch| batch.schema() == schema),
                "{sql}"
            );
            Ok(batches)
        }
        other => panic!("{sql} gives no rows: {other:?}"),
    }
}

/// The rows of batches, as text.
pub(crate) fn texts(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let rows = batches.iter().flat_map(|batch| {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        (0..batch.num_rows())
            .map(|row| columns.iter().map(|c| c.value(row).to_string()).collect())
            .collect::<Vec<Vec<String>>>()
    });
    rows.collect()
}

/// The rows that a statement gives, as text.
pub(crate) async fn rows(session: &Session, sql: &str) -> Result<Vec<Vec<String>>, Error> {
    Ok(texts(&batches(session, sql).await?))
}
