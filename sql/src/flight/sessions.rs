//! Sessions by what clients show for them: a token, or the credentials themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use sha2::{Digest, Sha256};
use tonic::Status;

use super::client::Client;

/// What every token begins with.
const TOKEN_PREFIX: &str = "dst_";

/// Time after which an unused session makes way for another one of its user.
const MAKES_WAY: Duration = Duration::from_secs(60);

/// How long sessions last, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) lifetime: Duration,
    pub(super) idle: Duration,
    /// Most sessions of the server.
    pub(super) most: usize,
    /// Most sessions of a user.
    pub(super) most_per_user: usize,
    /// Most sessions of a tenant.
    pub(super) most_per_tenant: usize,
}

/// The sessions of a server.
pub(super) struct Sessions {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the hash of what is shown, so that neither memory nor the time of a look-up tells a token.
    clients: HashMap<[u8; 32], Arc<Client>>,
    /// Sessions that have expired while rows are fetched from them.
    lingering: Vec<Weak<Client>>,
}

impl State {
    /// Forgets the sessions for which this holds. What is being fetched from them goes on.
    fn expire(&mut self, expired: impl Fn(&Client) -> bool) {
        let lingering = &mut self.lingering;
        self.clients.retain(|_, client| {
            let expired = expired(client);
            if expired {
                lingering.push(Arc::downgrade(client));
            }
            !expired
        });
        lingering.retain(|client| client.strong_count() > 0);
    }
}

impl Sessions {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    /// Opens a session and gives the token by which it is found.
    pub(super) fn open(&self, client: Arc<Client>) -> Result<String, Status> {
        let secret = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
        let token = format!("{TOKEN_PREFIX}{secret}");
        self.insert(&token, client)?;
        Ok(token)
    }

    /// Opens a session, unless there is one, for whoever shows these credentials with each call.
    pub(super) fn open_for(&self, shown: &str, client: Client) -> Result<Arc<Client>, Status> {
        if let Some(client) = self.find(shown) {
            return Ok(client);
        }
        let client = Arc::new(client);
        self.insert(shown, Arc::clone(&client))?;
        Ok(client)
    }

    /// The session of whoever shows this.
    pub(super) fn find(&self, shown: &str) -> Option<Arc<Client>> {
        let key = key(shown);
        let mut state = self.locked();
        let client = state.clients.get(&key)?;
        if client.has_expired(self.limits.lifetime, self.limits.idle) {
            let client = state.clients.remove(&key)?;
            state.lingering.push(Arc::downgrade(&client));
            return None;
        }
        Some(Arc::clone(client))
    }

    /// Ends a session and what runs in it.
    pub(super) fn close(&self, client: &Arc<Client>, why: &'static str) {
        self.locked()
            .clients
            .retain(|_, other| !Arc::ptr_eq(client, other));
        client.close(why);
    }

    /// All sessions, also those that have expired while rows are fetched from them.
    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        let state = self.locked();
        let lingering = state.lingering.iter().filter_map(Weak::upgrade);
        state.clients.values().cloned().chain(lingering).collect()
    }

    /// Forgets the sessions that have expired. What is being fetched from them goes on.
    pub(super) fn sweep(&self) {
        let limits = self.limits;
        self.locked().expire(|client| {
            client.tickets.sweep();
            client.has_expired(limits.lifetime, limits.idle)
        });
    }

    /// Ends all sessions.
    pub(super) fn close_all(&self) {
        for client in self.all() {
            client.close("the server stops");
        }
        let clients = std::mem::take(&mut self.locked().clients);
        drop(clients);
    }

    fn insert(&self, shown: &str, client: Arc<Client>) -> Result<(), Status> {
        let limits = self.limits;
        let mut state = self.locked();
        let user = client.session.identity().clone();
        let counts = |state: &State| {
            let of_tenant = state
                .clients
                .values()
                .filter(|other| other.session.identity().tenant == user.tenant);
            let (mut tenant, mut own) = (0, 0);
            for other in of_tenant {
                tenant += 1;
                own += usize::from(*other.session.identity() == user);
            }
            (state.clients.len(), tenant, own)
        };
        let full = |(all, tenant, own): (usize, usize, usize)| {
            let exhausted = |whose: &str, most: usize| {
                Some(Status::resource_exhausted(format!(
                    "{whose} has {most} sessions, as many as may be; close some, or try again later"
                )))
            };
            if own >= limits.most_per_user {
                return exhausted("the user", limits.most_per_user);
            }
            if tenant >= limits.most_per_tenant {
                return exhausted("the tenant", limits.most_per_tenant);
            }
            if all >= limits.most {
                return exhausted("the server", limits.most);
            }
            None
        };
        if full(counts(&state)).is_some() {
            state.expire(|client| client.has_expired(limits.lifetime, limits.idle));
            // A client that forgets its sessions makes way for itself, and for nobody else.
            let own = state.clients.iter();
            let own = own.filter(|(_, other)| *other.session.identity() == user);
            let idle = own.filter_map(|(key, other)| Some((other.idle()?, *key)));
            let longest = idle.max_by_key(|(idle, _)| *idle);
            if let Some((_, key)) = longest.filter(|(idle, _)| *idle >= MAKES_WAY)
                && let Some(other) = state.clients.remove(&key)
            {
                other.close("the session made way for another of its user");
            }
        }
        match full(counts(&state)) {
            Some(status) => Err(status),
            None => {
                state.clients.insert(key(shown), client);
                Ok(())
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(shown: &str) -> [u8; 32] {
    Sha256::digest(shown.as_bytes()).into()
}
