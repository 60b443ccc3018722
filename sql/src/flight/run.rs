//! One execution of a statement, which anyone who holds it can cancel.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use planner::run::Progress;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tonic::Status;
use tracing::Instrument;

use super::outcome::Outcome;
use super::status::status;
use super::wire::{Rows, wire_rows, wire_schema};
use crate::error::Error;
use crate::served::{Served, check_length};
use crate::session::Session;
use crate::statement::{Answer, Planned, Statement};
use crate::usage::Share;

/// Batches that are computed ahead of their reader.
const AHEAD: usize = 2;

/// Values of the parameters of one execution, in order.
pub(super) type Values = Vec<ScalarValue>;

/// One execution of a statement.
pub(super) struct Run {
    planned: Planned,
    schema: SchemaRef,
    /// One list for each time that the statement is run; results are put one after the other.
    values: Vec<Values>,
    cancelled: watch::Sender<bool>,
}

impl Run {
    /// Plans a statement, to be run once for each of these lists of values.
    pub(super) async fn plan(statement: Statement, values: Vec<Values>) -> Result<Self, Status> {
        Ok(Self::of(plan(statement).await?, values))
    }

    /// An execution of what was planned and never run.
    pub(super) fn of(planned: Planned, mut values: Vec<Values>) -> Self {
        if values.is_empty() {
            values.push(Values::new());
        }
        Self {
            schema: wire_schema(planned.schema()),
            planned,
            values,
            cancelled: watch::Sender::new(false),
        }
    }

    /// Schema of the rows, as clients get them.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What was planned.
    pub(super) fn planned(&self) -> &Planned {
        &self.planned
    }

    /// Whether it gives rows.
    pub(super) fn is_query(&self) -> bool {
        self.planned.statement().is_query()
    }

    /// How far it is.
    pub(super) fn progress(&self) -> &Arc<Progress> {
        self.planned.statement().progress()
    }

    /// Ends it, wherever it is. Its streams end with an error.
    pub(super) fn cancel(&self) {
        self.progress().cancel();
        self.cancelled.send_replace(true);
    }

    /// Starts it and gives its rows. Rows are made as they are taken. Their schema is the one that
    /// was planned, unless the values of parameters of open types decided about it.
    pub(super) async fn rows(self: Arc<Self>) -> Result<Rows, Status> {
        let mut outcome = Outcome::begin();
        let place = self.place()?;
        let rows = self.begin_rows().await;
        match rows {
            Ok(Rows { schema, batches }) => {
                // The statement runs for as long as its rows are read.
                let batches = batches.inspect(move |_| {
                    let _ = &place;
                });
                Ok(Rows {
                    schema,
                    batches: outcome.follow(batches),
                })
            }
            failed => {
                outcome.is(&failed);
                failed
            }
        }
    }

    async fn begin_rows(self: Arc<Self>) -> Result<Rows, Status> {
        let first = match Arc::clone(&self).answer(0).await? {
            Answer::Rows(rows) => rows,
            Answer::Written(_) | Answer::Done => return Ok(Rows::none(Arc::clone(&self.schema))),
        };
        let schema = wire_schema(&first.schema());
        let first = wire_rows(Arc::clone(&schema), first);
        let (run, told) = (Arc::clone(&self), Arc::clone(&schema));
        let rest = futures::stream::iter(1..self.values.len())
            .then(move |turn| Arc::clone(&run).rows_as(turn, Arc::clone(&told)))
            .try_flatten();
        let batches = self.until_ended(first.chain(rest).boxed());
        let runtime = self.served()?.work();
        Ok(Rows {
            schema,
            batches: computed_by(&runtime, batches),
        })
    }

    fn served(&self) -> Result<&Served, Status> {
        served(self.planned.statement().session())
    }

    /// The place of one more statement that runs.
    fn place(&self) -> Result<Share, Status> {
        self.served()?.usage.statement().map_err(status)
    }

    /// Whether the schema of its rows is known for sure before it runs.
    pub(super) fn is_settled(&self) -> bool {
        self.values.iter().all(Vec::is_empty)
    }

    /// Runs it for the sake of what it changes. Gives the number of rows written, if it writes any.
    pub(super) async fn write(self: Arc<Self>) -> Result<Option<u64>, Status> {
        let mut outcome = Outcome::begin();
        let _place = self.place()?;
        let written = self.write_all().await;
        outcome.is(&written);
        written
    }

    async fn write_all(self: Arc<Self>) -> Result<Option<u64>, Status> {
        let mut written = None;
        for turn in 0..self.values.len() {
            let answer = Arc::clone(&self).answer(turn).await?;
            let rows = match answer {
                Answer::Written(rows) => rows,
                Answer::Rows(rows) => {
                    count(self.until_ended(wire_rows(Arc::clone(&self.schema), rows))).await?
                }
                Answer::Done => continue,
            };
            written = Some(written.unwrap_or(0) + rows);
        }
        Ok(written)
    }

    /// Rows for one list of values, under a schema that was told.
    async fn rows_as(
        self: Arc<Self>,
        turn: usize,
        schema: SchemaRef,
    ) -> Result<BoxStream<'static, Result<RecordBatch, Status>>, Status> {
        match self.answer(turn).await? {
            Answer::Rows(rows) => Ok(wire_rows(schema, rows)),
            Answer::Written(_) | Answer::Done => Ok(futures::stream::empty().boxed()),
        }
    }

    fn turn(self: Arc<Self>, turn: usize) -> BoxFuture<'static, Result<Answer, Error>> {
        let none = Values::new();
        async move {
            self.planned
                .run(self.values.get(turn).unwrap_or(&none))
                .await
        }
        .boxed()
    }

    async fn answer(self: Arc<Self>, turn: usize) -> Result<Answer, Status> {
        let work = Arc::clone(&self).turn(turn);
        let mut cancelled = self.cancelled.subscribe();
        let session = self.planned.statement().session();
        tokio::select! {
            answer = apart(session, self.progress(), work) => self.told(answer),
            _ = cancelled.wait_for(|cancelled| *cancelled) => Err(was_cancelled()),
        }
    }

    /// Whatever breaks in a cancelled run breaks because of that.
    fn told<T>(&self, result: Result<T, Status>) -> Result<T, Status> {
        match *self.cancelled.borrow() {
            true => result.map_err(|_| was_cancelled()),
            false => result,
        }
    }

    /// Items until somebody cancels, or the statement has taken as long as it may.
    fn until_ended<T: Send + 'static>(
        self: &Arc<Self>,
        items: BoxStream<'static, Result<T, Status>>,
    ) -> BoxStream<'static, Result<T, Status>> {
        let (run, end) = (Arc::clone(self), Arc::clone(self));
        let limit = self
            .served()
            .map_or(Duration::MAX, |served| served.statement_timeout);
        let ended = async move {
            let mut cancelled = end.cancelled.subscribe();
            tokio::select! {
                // The run outlives this, and the sender with it.
                _ = cancelled.wait_for(|cancelled| *cancelled) => was_cancelled(),
                () = after(limit) => {
                    end.progress().cancel();
                    status(Error::TooLong(limit))
                }
            }
        };
        until(items.map(move |item| run.told(item)), ended).boxed()
    }
}

/// Items until something is ready, and then an error: rows that are cut off must not look whole.
pub(super) fn until<T: Send + 'static>(
    items: impl Stream<Item = Result<T, Status>> + Send + 'static,
    end: impl Future<Output = Status> + Send + 'static,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static {
    futures::stream::unfold(Some((items.boxed(), end.boxed())), |rest| async move {
        let (mut items, mut end) = rest?;
        tokio::select! {
            biased;
            status = &mut end => Some((Err(status), None)),
            item = items.next() => {
                let item = item?;
                let goes_on = item.is_ok();
                Some((item, goes_on.then_some((items, end))))
            }
        }
    })
}

/// What a session of the service has.
pub(super) fn served(session: &Session) -> Result<&Served, Status> {
    let served = session.served();
    served.ok_or_else(|| status(Error::Bug("a session that is not of the service")))
}

/// Texts that are parsed at the same time: a long one takes a hundred times its size in memory.
static PARSERS: Semaphore = Semaphore::const_new(4);

/// Parses a statement, away from the threads that serve.
pub(super) async fn parse(session: &Session, sql: &str) -> Result<Statement, Status> {
    check_length(sql).map_err(status)?;
    let _turn = PARSERS
        .acquire()
        .await
        .map_err(|_| status(Error::Bug("nobody parses")))?;
    let (own, sql) = (session.clone(), sql.to_owned());
    let parsing = served(session)?
        .work()
        .spawn_blocking(move || own.statement(&sql));
    match parsing.await {
        Ok(statement) => statement.map_err(status),
        Err(_) => Err(status(Error::Bug("parsing a statement broke off"))),
    }
}

/// Plans a statement.
pub(super) async fn plan(statement: Statement) -> Result<Planned, Status> {
    let progress = Arc::clone(statement.progress());
    let session = statement.session().clone();
    let place = served(&session)?.usage.statement().map_err(status)?;
    let planning = async move {
        let _place = place;
        statement.plan().await
    };
    apart(&session, &progress, planning).await
}

/// Ready after a time, which may be longer than clocks can tell.
async fn after(time: Duration) {
    match Instant::now().checked_add(time) {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Does work in a task of its own, on the runtime of statements, since it may hold up its thread. Whoever
/// gives up waiting ends it, and so does the time that a statement may take.
pub(super) async fn apart<T: Send + 'static>(
    session: &Session,
    progress: &Arc<Progress>,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Status> {
    let served = served(session)?;
    let task = served.work().spawn(work.in_current_span());
    let mut wait = Wait {
        task: task.abort_handle(),
        progress: Arc::clone(progress),
        done: false,
    };
    let limit = served.statement_timeout;
    let result = tokio::select! {
        result = task => result,
        () = after(limit) => return Err(status(Error::TooLong(limit))),
    };
    wait.done = true;
    match result {
        Ok(result) => result.map_err(status),
        Err(error) if error.is_cancelled() => Err(was_cancelled()),
        Err(_) => Err(status(Error::Bug("a statement broke off"))),
    }
}

/// Rows that a task of a runtime computes, a few ahead of their reader. They end with their reader.
fn computed_by<T: Send + 'static>(
    runtime: &Handle,
    mut items: BoxStream<'static, Result<T, Status>>,
) -> BoxStream<'static, Result<T, Status>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let computing = async move {
        while let Some(item) = items.next().await {
            let failed = item.is_err();
            if sender.send(item).await.is_err() || failed {
                break;
            }
        }
    };
    let task = EndsWith(runtime.spawn(computing.in_current_span()).abort_handle());
    futures::stream::unfold((receiver, task), |(mut receiver, task)| async move {
        let item = receiver.recv().await?;
        Some((item, (receiver, task)))
    })
    .boxed()
}

/// Ends a task when it is dropped.
struct EndsWith(AbortHandle);

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn was_cancelled() -> Status {
    Status::cancelled("the statement was cancelled")
}

async fn count(
    mut batches: BoxStream<'static, Result<RecordBatch, Status>>,
) -> Result<u64, Status> {
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}

/// Somebody waits for a task; the task ends with their patience.
struct Wait {
    task: AbortHandle,
    progress: Arc<Progress>,
    done: bool,
}

impl Drop for Wait {
    fn drop(&mut self) {
        if !self.done {
            self.progress.cancel();
            self.task.abort();
        }
    }
}
