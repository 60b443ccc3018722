//! Statements that run by themselves while a client asks, now and then, how far they are.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use futures::StreamExt;
use planner::run::Progress;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tonic::Status;
use tracing::Instrument;

use super::client::Client;
use super::run::{Run, Values, plan, served, was_cancelled};
use super::status::status;
use super::tickets::{Content, Handle, Parts, ticket};
use super::wire::Rows;
use crate::error::Error;
use crate::statement::Planned;

/// Longest time for which a poll waits for news.
const PATIENCE: Duration = Duration::from_secs(2);

/// A statement that runs by itself. Dropping it ends the statement.
pub(super) struct Polled {
    handle: OnceLock<Handle>,
    stage: watch::Receiver<Stage>,
    progress: Arc<Progress>,
    task: AbortHandle,
    /// What was told when it was done, to be told again.
    done: Mutex<Option<FlightInfo>>,
}

/// How far it is.
#[derive(Clone)]
enum Stage {
    Planning,
    Running(SchemaRef),
    /// The first rows are there, or all is written.
    Done(SchemaRef, Option<u64>, Content),
    Failed(Status),
}

/// What is to be run.
pub(super) enum Work {
    /// A statement to plan first.
    Statement(crate::statement::Statement),
    /// What was planned already.
    Planned(Box<Planned>),
}

impl Polled {
    /// Starts it.
    pub(super) fn start(
        client: &Client,
        work: Work,
        values: Vec<Values>,
    ) -> Result<Arc<Self>, Status> {
        let (told, stage) = watch::channel(Stage::Planning);
        let progress = match &work {
            Work::Statement(statement) => Arc::clone(statement.progress()),
            Work::Planned(planned) => Arc::clone(planned.statement().progress()),
        };
        let work = async move {
            let last = match run(work, values, &told).await {
                Ok(done) => done,
                Err(status) => Stage::Failed(status),
            };
            told.send_replace(last);
        };
        let runtime = served(&client.session)?.work();
        let task = runtime.spawn(work.in_current_span());
        Ok(Arc::new(Self {
            handle: OnceLock::new(),
            stage,
            progress,
            task: task.abort_handle(),
            done: Mutex::default(),
        }))
    }

    /// Tells the handle by which clients ask for it.
    pub(super) fn name(&self, handle: Handle) {
        self.handle.get_or_init(|| handle);
    }

    /// Ends it.
    pub(super) fn cancel(&self) {
        self.progress.cancel();
        if let Stage::Done(_, _, Content::Part(parts)) = &*self.stage.borrow() {
            parts.cancel();
        }
        self.task.abort();
    }

    /// How far it is, after a while or when there is news.
    pub(super) async fn info(&self, client: &Client) -> Result<PollInfo, Status> {
        let mut stage = self.stage.clone();
        let ended = |stage: &Stage| matches!(stage, Stage::Done(..) | Stage::Failed(_));
        let waited = tokio::time::timeout(PATIENCE, stage.wait_for(ended)).await;
        let broken = matches!(waited, Ok(Err(_)));
        drop(waited);
        if broken {
            // The task was ended before it could tell anything.
            return Err(was_cancelled());
        }
        let now = stage.borrow().clone();
        match now {
            Stage::Planning => self.unfinished(client, &Schema::empty()),
            Stage::Running(schema) => self.unfinished(client, &schema),
            Stage::Done(schema, written, content) => {
                let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
                let info = match &*done {
                    Some(info) => info.clone(),
                    None => client.info(&schema, vec![content], written)?,
                };
                *done = Some(info.clone());
                PollInfo::new()
                    .with_info(info)
                    .try_with_progress(1.0)
                    .map_err(|error| status(error.into()))
            }
            Stage::Failed(status) => Err(status),
        }
    }

    fn unfinished(&self, client: &Client, schema: &Schema) -> Result<PollInfo, Status> {
        let handle = self
            .handle
            .get()
            .ok_or_else(|| status(Error::Bug("a statement that is polled has no handle")))?;
        let again = FlightDescriptor::new_cmd(ticket(*handle));
        let info = FlightInfo::new()
            .try_with_schema(schema)
            .map_err(|error| status(error.into()))?
            .with_descriptor(again.clone());
        let (_, rows, total) = self.progress.now();
        let share = match total {
            0 => 0.0,
            total => (rows as f64 / total as f64).clamp(0.0, 1.0),
        };
        let mut poll = PollInfo::new()
            .with_info(info)
            .with_descriptor(again)
            .try_with_progress(share)
            .map_err(|error| status(error.into()))?;
        poll.expiration_time = client.tickets.endpoint(*handle).expiration_time;
        Ok(poll)
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        // Rows that are being fetched belong to those who fetch them.
        if !matches!(&*self.stage.borrow(), Stage::Done(..)) {
            self.progress.cancel();
        }
        self.task.abort();
    }
}

async fn run(
    work: Work,
    values: Vec<Values>,
    told: &watch::Sender<Stage>,
) -> Result<Stage, Status> {
    let planned = match work {
        Work::Statement(statement) => plan(statement).await?,
        Work::Planned(planned) => *planned,
    };
    let run = Arc::new(Run::of(planned, values));
    let schema = Arc::clone(run.schema());
    told.send_replace(Stage::Running(Arc::clone(&schema)));
    if !run.is_query() {
        let written = Arc::clone(&run).write().await?;
        let content = Content::Nothing(Arc::clone(&schema));
        return Ok(Stage::Done(schema, written, content));
    }
    let mut rows = Arc::clone(&run).rows().await?;
    let schema = Arc::clone(&rows.schema);
    // The first rows are waited for here: all the work before them is done then.
    let first = rows.batches.next().await.transpose()?;
    let rows = Rows {
        schema: rows.schema,
        batches: futures::stream::iter(first.map(Ok))
            .chain(rows.batches)
            .boxed(),
    };
    Ok(Stage::Done(
        schema,
        None,
        Content::Part(Parts::running(run, rows)),
    ))
}
