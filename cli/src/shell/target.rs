//! What runs the statements: this process, perhaps with a cluster, or a server.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use planner::run::Progress;
use planner::spec::OptionsSpec;
use sql::{Answer, Engine, EngineOptions, Identity, Session};

use super::arguments::SqlArguments;
use super::remote::Remote;

/// What runs the statements.
pub(crate) enum Target {
    /// This process, or the executors of its cluster.
    Here(Session),
    /// A Flight SQL server.
    There(Remote),
}

/// What a statement gives.
pub(crate) enum Reply {
    /// Rows, as they come.
    Rows(Rows),
    /// Rows that were written.
    Written(u64),
    /// Nothing but that it is done.
    Done,
}

/// Rows, as they come.
pub(crate) struct Rows {
    /// Their columns.
    pub(crate) schema: SchemaRef,
    /// The rows; dropping the stream ends the work.
    pub(crate) batches: BoxStream<'static, anyhow::Result<RecordBatch>>,
}

/// A statement that is about to run.
pub(crate) struct Started {
    /// How far it is, where this process knows.
    pub(crate) progress: Option<Arc<Progress>>,
    /// Runs it.
    pub(crate) reply: BoxFuture<'static, anyhow::Result<Reply>>,
}

impl Target {
    /// What the command line asks for.
    pub(crate) async fn open(arguments: &SqlArguments) -> anyhow::Result<Self> {
        if let Some(server) = &arguments.server {
            return Ok(Self::There(Remote::connect(server, arguments).await?));
        }
        let memory = arguments
            .memory_limit
            .unwrap_or_else(|| OptionsSpec::default().memory_limit);
        let base = std::env::current_dir().context("the current folder cannot be told")?;
        let engine = Engine::open(EngineOptions {
            cluster: arguments.cluster_tls.secure(arguments.cluster.clone())?,
            memory_limit: usize::try_from(memory.0).unwrap_or(usize::MAX),
            threads: threads(arguments),
            ..EngineOptions::new(arguments.home.path()?, base)
        })
        .await?;
        let user = std::env::var("USER").unwrap_or_else(|_| "local".to_owned());
        let tenant = arguments.tenant.clone();
        Ok(Self::Here(engine.session(Identity { user, tenant })?))
    }

    /// Makes a statement ready to run; a wrong one may be found here or when it runs.
    pub(crate) fn start(&self, text: &str) -> anyhow::Result<Started> {
        match self {
            Self::Here(session) => {
                let statement = session.statement(text)?;
                let progress = Some(Arc::clone(statement.progress()));
                let reply = Box::pin(async move {
                    let planned = statement.plan().await?;
                    let schema = Arc::clone(planned.schema());
                    Ok(match planned.run(&[]).await? {
                        Answer::Rows(rows) => Reply::Rows(Rows {
                            schema,
                            batches: rows
                                .map_err(|error| anyhow::Error::from(sql::Error::from(error)))
                                .boxed(),
                        }),
                        Answer::Written(rows) => Reply::Written(rows),
                        Answer::Done => Reply::Done,
                    })
                });
                Ok(Started { progress, reply })
            }
            Self::There(remote) => Ok(Started {
                progress: None,
                reply: remote.run(text.to_owned()),
            }),
        }
    }

    /// All rows of a query of our own, as text.
    pub(crate) async fn texts(&self, query: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let Reply::Rows(rows) = self.start(query)?.reply.await? else {
            return Ok(Vec::new());
        };
        let batches: Vec<RecordBatch> = rows.batches.try_collect().await?;
        let mut texts = Vec::new();
        for batch in &batches {
            let mut columns = Vec::with_capacity(batch.num_columns());
            for column in batch.columns() {
                columns.push(cast(column, &DataType::Utf8)?);
            }
            texts.extend((0..batch.num_rows()).map(|row| {
                let cell = |column: &arrow::array::ArrayRef| {
                    let column = column.as_string::<i32>();
                    column.value(row).to_owned()
                };
                columns.iter().map(cell).collect()
            }));
        }
        Ok(texts)
    }
}

/// Threads that a statement uses.
pub(crate) fn threads(arguments: &SqlArguments) -> usize {
    arguments.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        std::num::NonZero::get,
    )
}
