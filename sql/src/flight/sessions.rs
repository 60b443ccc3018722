//! Sessions by what clients show for them: a token, or the credentials themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use sha2::{Digest, Sha256};
use tonic::Status;

use super::client::Client;

/// What every token begins with.
const TOKEN_PREFIX: &str = "dst_";

/// How long sessions last, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) lifetime: Duration,
    pub(super) idle: Duration,
    pub(super) most: usize,
}

/// The sessions of a server.
pub(super) struct Sessions {
    limits: Limits,
    /// By the hash of what is shown, so that neither memory nor the time of a look-up tells a token.
    clients: Mutex<HashMap<[u8; 32], Arc<Client>>>,
}

impl Sessions {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            clients: Mutex::default(),
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
        let mut clients = self.locked();
        let client = clients.get(&key)?;
        if client.has_expired(self.limits.lifetime, self.limits.idle) {
            clients.remove(&key);
            return None;
        }
        Some(Arc::clone(client))
    }

    /// Ends a session and what runs in it.
    pub(super) fn close(&self, client: &Arc<Client>) {
        self.locked().retain(|_, other| !Arc::ptr_eq(client, other));
        client.close();
    }

    /// Forgets the sessions that have expired. What is being fetched from them goes on.
    pub(super) fn sweep(&self) {
        let limits = self.limits;
        self.locked().retain(|_, client| {
            client.tickets.sweep();
            !client.has_expired(limits.lifetime, limits.idle)
        });
    }

    /// Ends all sessions.
    pub(super) fn close_all(&self) {
        let clients = std::mem::take(&mut *self.locked());
        clients.values().for_each(|client| client.close());
    }

    fn insert(&self, shown: &str, client: Arc<Client>) -> Result<(), Status> {
        let limits = self.limits;
        let mut clients = self.locked();
        if clients.len() >= limits.most {
            clients.retain(|_, client| !client.has_expired(limits.lifetime, limits.idle));
        }
        if clients.len() >= limits.most {
            return Err(Status::resource_exhausted(format!(
                "there are {} sessions, as many as may be; try again later",
                limits.most
            )));
        }
        clients.insert(key(shown), client);
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(shown: &str) -> [u8; 32] {
    Sha256::digest(shown.as_bytes()).into()
}
