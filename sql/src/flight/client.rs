//! One client's session: its engine's session, its tickets, its prepared statements.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::datatypes::Schema;
use arrow_flight::FlightInfo;
use planner::telemetry::{Held, METRICS};
use tokio::sync::watch;
use tonic::Status;

use super::prepared::PreparedStatements;
use super::status::status;
use super::tickets::{Content, Tickets};
use crate::session::Session;
use crate::usage::Usage;
use crate::users::Admitted;

/// One client's session.
pub(super) struct Client {
    pub(super) session: Session,
    pub(super) tickets: Tickets,
    pub(super) prepared: PreparedStatements,
    admitted: Admitted,
    opened: Instant,
    used: Mutex<Instant>,
    /// The version of all logins at which this one was last found to hold.
    version: AtomicI64,
    calls: AtomicUsize,
    /// Why the session was closed, once it was.
    closed: watch::Sender<Option<&'static str>>,
    _counted: Held,
}

/// A call, or a stream of rows, that keeps a session from being idle.
pub(super) struct Call(Arc<Client>);

impl Client {
    pub(super) fn new(
        session: Session,
        admitted: Admitted,
        (usage, version): (Arc<Usage>, i64),
        ticket_lifetime: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            session,
            tickets: Tickets::new(ticket_lifetime, usage),
            prepared: PreparedStatements::default(),
            admitted,
            opened: now,
            used: Mutex::new(now),
            version: AtomicI64::new(version),
            calls: AtomicUsize::new(0),
            closed: watch::Sender::new(None),
            _counted: METRICS.flight_sql_sessions.hold(),
        }
    }

    /// Who was let in, with what.
    pub(super) fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Whether the session is to end: too old, or idle for too long.
    pub(super) fn has_expired(&self, lifetime: Duration, idle: Duration) -> bool {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = self.calls.load(Ordering::Relaxed) > 0;
        self.opened.elapsed() >= lifetime || (!busy && used.elapsed() >= idle)
    }

    /// Time for which nobody has used the session; none while a call or a stream of rows does.
    pub(super) fn idle(&self) -> Option<Duration> {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        (self.calls.load(Ordering::Relaxed) == 0).then(|| used.elapsed())
    }

    /// Whether the login was found to hold at this version of all logins.
    pub(super) fn is_checked(&self, version: i64) -> bool {
        self.version.load(Ordering::Acquire) == version
    }

    /// Notes that the login holds at this version of all logins.
    pub(super) fn set_checked(&self, version: i64) {
        self.version.store(version, Ordering::Release);
    }

    /// Marks a call, until it is dropped.
    pub(super) fn call(self: &Arc<Self>) -> Call {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.touch();
        Call(Arc::clone(self))
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Ends what runs and forgets what was prepared.
    pub(super) fn close(&self, why: &'static str) {
        self.closed.send_replace(Some(why));
        self.tickets.close();
        self.prepared.close();
    }

    /// Is ready when the session is closed, with what its calls are told.
    pub(super) fn closed(&self) -> impl Future<Output = Status> + Send + use<> {
        let mut closed = self.closed.subscribe();
        async move {
            let why = closed.wait_for(Option::is_some).await;
            match why.ok().and_then(|why| *why) {
                Some(why) => Status::cancelled(format!("the statement was cancelled: {why}")),
                // The session has expired, which ends no call that has begun.
                None => std::future::pending().await,
            }
        }
    }

    /// The result of a call, which ends with the session.
    pub(super) async fn until_closed<T>(
        &self,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        tokio::select! {
            // First: what breaks in a closed session breaks because of that.
            biased;
            closed = self.closed() => Err(closed),
            result = call => result,
        }
    }

    /// Tells of a result: its schema, and a ticket for each of its parts.
    pub(super) fn info(
        &self,
        schema: &Schema,
        parts: Vec<Content>,
        written: Option<u64>,
    ) -> Result<FlightInfo, Status> {
        let in_order = parts.len() == 1;
        let endpoints = parts
            .into_iter()
            .map(|part| Ok(self.tickets.endpoint(self.tickets.issue(part)?)))
            .collect::<Result<Vec<_>, Status>>()?;
        let records = written
            .and_then(|rows| i64::try_from(rows).ok())
            .unwrap_or(-1);
        Ok(FlightInfo::new()
            .try_with_schema(schema)
            .map_err(|error| status(error.into()))?
            .with_endpoints(endpoints)
            .with_ordered(in_order)
            // Of a statement that writes: how many, which is what its author asks for.
            .with_total_records(records))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.touch();
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}
