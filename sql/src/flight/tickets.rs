//! Tickets: random names, known to one session only and not for long, of what can be fetched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arrow::datatypes::SchemaRef;
use arrow_flight::sql::{Command, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightEndpoint, Ticket};
use prost::Message;
use prost::bytes::Bytes;
use rand::Rng;
use tokio::sync::OnceCell;
use tonic::Status;

use super::poll::Polled;
use super::run::Run;
use super::shared::SharedRows;
use super::status::status;
use super::wire::Rows;
use crate::usage::{Share, Usage};

/// Most tickets that a session has; the oldest makes way for another one.
const MOST: usize = 1024;

/// What a client holds: nobody can guess it.
pub(super) type Handle = [u8; 24];

/// A handle that nobody had before.
pub(super) fn handle() -> Handle {
    rand::rng().random()
}

/// What a ticket is good for.
#[derive(Clone)]
pub(super) enum Content {
    /// An answer about the catalog, made when it is fetched.
    Metadata(Command),
    /// Rows of a statement that runs when it is fetched, each time anew.
    Query(Arc<Run>),
    /// A part of the rows of a statement. It is fetched once.
    Part(Arc<Parts>),
    /// No rows: the statement has run already.
    Nothing(SchemaRef),
    /// A statement that runs by itself.
    Polled(Arc<Polled>),
}

/// Rows of a statement that are fetched in parts.
pub(super) struct Parts {
    run: Arc<Run>,
    rows: OnceCell<Arc<SharedRows>>,
}

/// The tickets of a session.
pub(super) struct Tickets {
    lifetime: Duration,
    usage: Arc<Usage>,
    entries: Mutex<HashMap<Handle, Entry>>,
}

struct Entry {
    content: Content,
    number: u64,
    fetched: bool,
    expires: Instant,
    /// Its place among those of the user.
    _place: Share,
}

impl Parts {
    /// Parts of the rows of a statement that starts with the first of them.
    pub(super) fn of(run: Arc<Run>) -> Arc<Self> {
        Arc::new(Self {
            run,
            rows: OnceCell::new(),
        })
    }

    /// Parts of the rows of a statement that runs.
    pub(super) fn running(run: Arc<Run>, rows: Rows) -> Arc<Self> {
        Arc::new(Self {
            run,
            rows: OnceCell::new_with(Some(Arc::new(SharedRows::new(rows)))),
        })
    }

    /// Ends the statement.
    pub(super) fn cancel(&self) {
        self.run.cancel();
    }

    /// One part.
    pub(super) async fn fetch(&self) -> Result<Rows, Status> {
        let rows = self
            .rows
            .get_or_try_init(|| async {
                let rows = Arc::clone(&self.run).rows().await?;
                Ok::<_, Status>(Arc::new(SharedRows::new(rows)))
            })
            .await?;
        Ok(rows.part())
    }
}

impl Content {
    /// The statement that it belongs to, while there is one.
    fn run(&self) -> Option<Arc<Run>> {
        match self {
            Self::Query(run) => Some(Arc::clone(run)),
            Self::Part(parts) => Some(Arc::clone(&parts.run)),
            Self::Metadata(_) | Self::Nothing(_) | Self::Polled(_) => None,
        }
    }
}

impl Tickets {
    pub(super) fn new(lifetime: Duration, usage: Arc<Usage>) -> Self {
        Self {
            lifetime,
            usage,
            entries: Mutex::default(),
        }
    }

    /// A ticket for something.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where other sessions of the user hold as many as one user may.
    pub(super) fn issue(&self, content: Content) -> Result<Handle, Status> {
        let handle = handle();
        let now = Instant::now();
        let mut entries = self.locked();
        entries.retain(|_, entry| entry.expires > now);
        let number = entries
            .values()
            .map(|entry| entry.number + 1)
            .max()
            .unwrap_or(0);
        if entries.len() >= MOST {
            forget_oldest(&mut entries);
        }
        let place = self.usage.ticket().or_else(|_| {
            forget_oldest(&mut entries);
            self.usage.ticket().map_err(status)
        })?;
        entries.insert(
            handle,
            Entry {
                content,
                number,
                fetched: false,
                expires: now + self.lifetime,
                _place: place,
            },
        );
        Ok(handle)
    }

    /// What a ticket is good for, to be fetched now.
    pub(super) fn fetch(&self, handle: &[u8]) -> Result<Content, Status> {
        let mut entries = self.locked();
        let entry = entry(&mut entries, handle)?;
        if matches!(entry.content, Content::Part(_)) && std::mem::replace(&mut entry.fetched, true)
        {
            return Err(Status::failed_precondition(
                "these rows were fetched already; run the statement again",
            ));
        }
        Ok(entry.content.clone())
    }

    /// The running statement behind a handle that was given for polling.
    pub(super) fn polled(&self, handle: &[u8]) -> Result<Arc<Polled>, Status> {
        match &entry(&mut self.locked(), handle)?.content {
            Content::Polled(polled) => Ok(Arc::clone(polled)),
            _ => Err(unknown()),
        }
    }

    /// Lets a ticket last from now on.
    pub(super) fn renew(&self, handle: &[u8]) -> Result<(), Status> {
        let mut entries = self.locked();
        entry(&mut entries, handle)?.expires = Instant::now() + self.lifetime;
        Ok(())
    }

    /// Ends the statement behind a ticket; tells whether there was anything to end.
    pub(super) fn cancel(&self, handle: &[u8]) -> Result<bool, Status> {
        let content = entry(&mut self.locked(), handle)?.content.clone();
        if let Content::Polled(polled) = &content {
            polled.cancel();
            return Ok(true);
        }
        let run = content.run();
        if let Some(run) = &run {
            run.cancel();
        }
        Ok(run.is_some())
    }

    /// Ends all statements and forgets all tickets.
    pub(super) fn close(&self) {
        for entry in std::mem::take(&mut *self.locked()).into_values() {
            if let Content::Polled(polled) = &entry.content {
                polled.cancel();
            }
            if let Some(run) = entry.content.run() {
                run.cancel();
            }
        }
    }

    /// Forgets tickets that have expired.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.locked().retain(|_, entry| entry.expires > now);
    }

    /// Where something is fetched: from this server, by whatever name the client calls it.
    pub(super) fn endpoint(&self, handle: Handle) -> FlightEndpoint {
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket(handle)));
        self.expiring(endpoint)
    }

    /// The endpoint with the moment at which a ticket that is issued or renewed now expires.
    pub(super) fn expiring(&self, mut endpoint: FlightEndpoint) -> FlightEndpoint {
        let expires = (SystemTime::now() + self.lifetime)
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let time = endpoint.expiration_time.get_or_insert_default();
        time.seconds = i64::try_from(expires.as_secs()).unwrap_or(i64::MAX);
        time.nanos = i32::try_from(expires.subsec_nanos()).unwrap_or(0);
        endpoint
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Handle, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_oldest(entries: &mut HashMap<Handle, Entry>) {
    let oldest = entries.iter().min_by_key(|(_, entry)| entry.number);
    if let Some(oldest) = oldest.map(|(handle, _)| *handle) {
        entries.remove(&oldest);
    }
}

/// A handle as the bytes of a ticket, or of a descriptor.
pub(super) fn ticket(handle: Handle) -> Vec<u8> {
    TicketStatementQuery {
        statement_handle: Bytes::copy_from_slice(&handle),
    }
    .as_any()
    .encode_to_vec()
}

fn entry<'a>(
    entries: &'a mut HashMap<Handle, Entry>,
    handle: &[u8],
) -> Result<&'a mut Entry, Status> {
    Handle::try_from(handle)
        .ok()
        .and_then(|handle| entries.get_mut(&handle))
        .filter(|entry| entry.expires > Instant::now())
        .ok_or_else(unknown)
}

/// Tells nothing of whether another session has such a ticket.
fn unknown() -> Status {
    Status::not_found("this session has no such ticket, or it has expired")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::datatypes::Schema;

    use super::*;
    use crate::usage::UsageLimits;

    fn nothing() -> Content {
        Content::Nothing(Arc::new(Schema::empty()))
    }

    fn tickets(lifetime: Duration, most: usize) -> Tickets {
        let limits = UsageLimits {
            statements: most,
            prepared: most,
            tickets: most,
        };
        Tickets::new(lifetime, Arc::new(Usage::new(limits)))
    }

    /// A ticket is known to its session, until it expires; no other bytes are.
    #[test]
    fn tickets_expire_and_are_known_to_one_session() {
        let own = tickets(Duration::from_millis(50), MOST);
        let handle = own.issue(nothing()).unwrap();
        assert!(own.fetch(&handle).is_ok());
        let others = tickets(Duration::from_secs(9), MOST);
        assert!(others.fetch(&handle).is_err());
        let tickets = own;
        for bytes in [&handle[..23], &[0; 24][..], &[][..], &[7; 1000][..]] {
            let status = tickets.fetch(bytes).err().unwrap();
            assert_eq!(status.code(), tonic::Code::NotFound);
        }
        std::thread::sleep(Duration::from_millis(60));
        assert!(tickets.fetch(&handle).is_err());
        assert!(tickets.renew(&handle).is_err());
    }

    /// The oldest ticket makes way when there are too many.
    #[test]
    fn tickets_are_bounded() {
        for most in [usize::MAX, MOST] {
            bounded(&tickets(Duration::from_secs(60), most));
        }
    }

    fn bounded(tickets: &Tickets) {
        let first = tickets.issue(nothing()).unwrap();
        let second = tickets.issue(nothing()).unwrap();
        for _ in 0..MOST - 1 {
            tickets.issue(nothing()).unwrap();
        }
        assert!(tickets.fetch(&first).is_err());
        assert!(tickets.fetch(&second).is_ok());
        assert_eq!(tickets.locked().len(), MOST);
    }
}
