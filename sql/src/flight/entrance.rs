//! Who calls: from the headers of a call to a session.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_flight::BasicAuth;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use planner::peer::network_of;
use prost::Message;
use serde_json::json;
use tokio::runtime::Handle;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::FlightOptions;
use super::client::Client;
use super::connections::Peer;
use super::sessions::{Limits, Sessions};
use super::status::status;
use super::throttle::Throttle;
use crate::audit::{self, AuditEvent, AuditLog};
use crate::engine::Engine;
use crate::error::Error;
use crate::names::PathNames;
use crate::served::Served;
use crate::session::Session;
use crate::usage::{UsageLimits, Usages};
use crate::users::{Admitted, KEY_PREFIX, Users};

/// Handshakes of one address that are half sent.
const HALF_SENT: usize = 32;

/// Longest name of a user that is looked up, in bytes.
const NAME_BYTES: usize = 128;

/// Why a login is refused, and a session ends.
const SUSPENDED: &str = "the tenant is suspended";
const INVALID: &str = "the user, the password or the key is no longer valid";

/// Lets clients in.
pub(super) struct Entrance {
    engine: Engine,
    users: Users,
    pub(super) sessions: Sessions,
    ticket_lifetime: Duration,
    statement_timeout: Duration,
    throttle: Arc<Throttle>,
    usages: Usages,
    audit: Option<Arc<dyn AuditLog>>,
    work: Handle,
    names: Arc<PathNames>,
    /// Tenants that are suspended, as the service last said.
    suspended: Mutex<BTreeSet<String>>,
    /// Half-sent handshakes by address.
    handshakes: Mutex<HashMap<IpAddr, usize>>,
}

/// What a client shows.
enum Shown {
    Password { user: String, password: String },
    Key(String),
    Token(String),
}

impl Entrance {
    pub(super) fn new(
        engine: Engine,
        options: &FlightOptions,
        work: Handle,
        names: Arc<PathNames>,
    ) -> Self {
        Self {
            users: engine.users(),
            engine,
            sessions: Sessions::new(Limits {
                lifetime: options.token_lifetime,
                idle: options.session_idle,
                most: options.max_sessions,
                most_per_user: options.max_sessions_per_user,
                most_per_tenant: options.max_sessions_per_tenant,
            }),
            ticket_lifetime: options.ticket_lifetime,
            statement_timeout: options.statement_timeout,
            throttle: Arc::default(),
            usages: Usages::new(UsageLimits {
                statements: options.max_statements_per_user,
                prepared: options.max_prepared_per_user,
                tickets: options.max_results_per_user,
            }),
            audit: options.audit.clone(),
            work,
            names,
            suspended: Mutex::default(),
            handshakes: Mutex::default(),
        }
    }

    /// The session that a call belongs to; opened where credentials come with the call.
    pub(super) async fn client(
        &self,
        headers: &MetadataMap,
        peer: &Peer,
    ) -> Result<Arc<Client>, Status> {
        let header = header(headers)?.ok_or_else(no_credentials)?;
        let shown = Shown::of(header)?;
        if let Some(client) = self.shown(header, &shown) {
            let client = self.checked(client).await?;
            peer.admit();
            return Ok(client);
        }
        if matches!(shown, Shown::Token(_)) {
            return Err(no_token());
        }
        let client = self.new_client(shown, peer).await?;
        self.sessions.open_for(header, client)
    }

    /// The session of a call that was let in already.
    pub(super) fn known(&self, headers: &MetadataMap) -> Result<Arc<Client>, Status> {
        let header = header(headers)?.ok_or_else(no_credentials)?;
        self.shown(header, &Shown::of(header)?).ok_or_else(no_token)
    }

    /// The session of what is shown, if there is one.
    fn shown(&self, header: &str, shown: &Shown) -> Option<Arc<Client>> {
        match shown {
            Shown::Token(token) => self.sessions.find(token),
            // The credentials of each call stand for one session that they share.
            Shown::Password { .. } | Shown::Key(_) => self.sessions.find(header),
        }
    }

    /// Opens a session for who shows credentials, in the headers or in what it sends; gives its token.
    pub(super) async fn enter(
        &self,
        headers: &MetadataMap,
        peer: &Peer,
        payload: impl Future<Output = Result<Vec<u8>, Status>>,
    ) -> Result<String, Status> {
        let shown = match header(headers)? {
            Some(header) => Shown::of(header)?,
            None => {
                let _half = self.half_sent(peer.address)?;
                Shown::sent(&payload.await?)?
            }
        };
        let client = self.new_client(shown, peer).await?;
        self.sessions.open(Arc::new(client))
    }

    /// The place of one more half-sent handshake of an address.
    fn half_sent(&self, address: IpAddr) -> Result<HalfSent<'_>, Status> {
        let address = network_of(address);
        let mut handshakes = locked(&self.handshakes);
        let count = handshakes.entry(address).or_default();
        if *count >= HALF_SENT {
            return Err(Status::resource_exhausted(format!(
                "{HALF_SENT} handshakes of this address are half sent, as many as may be"
            )));
        }
        *count += 1;
        Ok(HalfSent {
            entrance: self,
            address,
        })
    }

    async fn new_client(&self, shown: Shown, peer: &Peer) -> Result<Client, Status> {
        // Read first: what changes while the login is checked is looked at once more.
        let version = self.users.version().await.map_err(status)?;
        let admitted = self.admit(shown, peer).await?;
        if self.is_suspended(&admitted) {
            return Err(Status::unauthenticated(SUSPENDED));
        }
        let actor = admitted.actor();
        let event = AuditEvent {
            tenant: Some(admitted.identity.tenant.clone()),
            actor: actor.clone(),
            action: "sql_login",
            subject: admitted.identity.user.clone(),
            details: json!({"address": peer.address.to_string()}),
        };
        audit::append(self.audit.as_ref(), event)
            .await
            .map_err(status)?;
        let usage = self.usages.of(&admitted.identity);
        let served = Served {
            grants: admitted.grants.clone(),
            actor,
            audit: self.audit.clone(),
            usage: Arc::clone(&usage),
            work: self.work.clone(),
            statement_timeout: self.statement_timeout,
            names: Arc::clone(&self.names),
        };
        let session = Session::of_service(self.engine.clone(), admitted.identity.clone(), served);
        let session = session.map_err(status)?;
        peer.admit();
        Ok(Client::new(
            session,
            admitted,
            (usage, version),
            self.ticket_lifetime,
        ))
    }

    async fn admit(&self, shown: Shown, peer: &Peer) -> Result<Admitted, Status> {
        let address = peer.address;
        match shown {
            Shown::Password { user, password } if user.len() <= NAME_BYTES => {
                self.admit_user(user, password, address).await
            }
            Shown::Password { .. } => Err(Status::unauthenticated(
                "the user name or the password is wrong",
            )),
            Shown::Key(key) => {
                self.throttle.check_key(address)?;
                let admitted = self.users.admit_key(&key).await;
                if matches!(admitted, Err(Error::Unauthenticated(_))) {
                    self.throttle.wrong_key(address);
                    tracing::warn!(%address, "a wrong API key of Flight SQL");
                    self.record_failure(None, "sql-key:unknown".to_owned(), address, false);
                }
                admitted.map_err(status)
            }
            Shown::Token(_) => Err(Status::unauthenticated(
                "a token does not open another session",
            )),
        }
    }

    /// Checks a password when it is its user's turn. The check goes on when the client goes away, so
    /// that it counts all the same.
    async fn admit_user(
        &self,
        user: String,
        password: String,
        address: IpAddr,
    ) -> Result<Admitted, Status> {
        let (throttle, users) = (Arc::clone(&self.throttle), self.users.clone());
        let name = user.clone();
        let checking = tokio::spawn(async move {
            let attempt = throttle.attempt(&user, address).await?;
            let admitted = users.admit(&user, &password).await;
            let blocked = match &admitted {
                Ok(_) => {
                    throttle.right(&attempt);
                    false
                }
                Err(Error::Unauthenticated(_)) => throttle.wrong(&attempt),
                Err(_) => false,
            };
            Ok::<_, Status>((admitted, blocked))
        });
        let checked = checking.await;
        let (admitted, blocked) =
            checked.map_err(|_| status(Error::Bug("checking a password broke off")))??;
        if matches!(admitted, Err(Error::Unauthenticated(_))) {
            tracing::warn!(%address, blocked, "a wrong password of Flight SQL");
            self.record_failure(Some(name.clone()), format!("sql:{name}"), address, blocked);
        }
        admitted.map_err(status)
    }

    /// Records a failed login, in the log of the user's tenant where there is such a user. In the
    /// background: an answer that waited for it would tell whether there is.
    fn record_failure(&self, user: Option<String>, actor: String, address: IpAddr, blocked: bool) {
        let Some(log) = self.audit.clone() else {
            return;
        };
        let users = self.users.clone();
        tokio::spawn(async move {
            let tenant = match &user {
                Some(user) => users.tenant_of(user).await.unwrap_or_default(),
                None => None,
            };
            // What is no user's name may be a password in the wrong field.
            let known = tenant.is_some();
            let unknown = || "sql:unknown".to_owned();
            let event = AuditEvent {
                tenant,
                actor: if known || user.is_none() {
                    actor
                } else {
                    unknown()
                },
                action: "sql_login_failed",
                subject: user.filter(|_| known).unwrap_or_default(),
                details: json!({"address": address.to_string(), "blocked": blocked}),
            };
            if let Err(error) = audit::append(Some(&log), event).await {
                tracing::error!(%error, "a failed login was not recorded");
            }
        });
    }

    fn is_suspended(&self, admitted: &Admitted) -> bool {
        locked(&self.suspended).contains(&admitted.identity.tenant)
    }

    /// Why a session's login no longer holds, if so; checked again when any login has changed.
    async fn objection(
        &self,
        client: &Client,
        version: i64,
    ) -> crate::error::Result<Option<&'static str>> {
        let admitted = client.admitted();
        if self.is_suspended(admitted) {
            return Ok(Some(SUSPENDED));
        }
        if admitted.grants.has_expired() {
            return Ok(Some(INVALID));
        }
        if client.is_checked(version) {
            return Ok(None);
        }
        if !self.users.still_holds(admitted).await? {
            return Ok(Some(INVALID));
        }
        client.set_checked(version);
        Ok(None)
    }

    /// A removed or suspended user, a changed password, other grants, and what has expired, end their
    /// sessions.
    async fn checked(&self, client: Arc<Client>) -> Result<Arc<Client>, Status> {
        let version = self.users.version().await.map_err(status)?;
        match self.objection(&client, version).await.map_err(status)? {
            None => Ok(client),
            Some(why) => {
                self.sessions.close(&client, why);
                Err(Status::unauthenticated(why))
            }
        }
    }

    /// Ends the sessions whose logins no longer hold, and what runs in them.
    pub(super) async fn end_invalid(&self) -> crate::error::Result<()> {
        let version = self.users.version().await?;
        for client in self.sessions.all() {
            if let Some(why) = self.objection(&client, version).await? {
                self.sessions.close(&client, why);
            }
        }
        Ok(())
    }

    /// Asks the service which tenants are suspended.
    pub(super) async fn refresh_suspended(&self) {
        let Some(log) = &self.audit else { return };
        match log.suspended_tenants().await {
            Ok(tenants) => *locked(&self.suspended) = tenants,
            Err(error) => tracing::warn!(%error, "the suspended tenants are not known"),
        }
    }
}

/// A half-sent handshake of an address, until it is dropped.
struct HalfSent<'a> {
    entrance: &'a Entrance,
    address: IpAddr,
}

impl Drop for HalfSent<'_> {
    fn drop(&mut self) {
        let mut handshakes = locked(&self.entrance.handshakes);
        if let Some(count) = handshakes.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                handshakes.remove(&self.address);
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_credentials() -> Status {
    Status::unauthenticated("a call needs a user and a password, an API key or a token")
}

fn no_token() -> Status {
    Status::unauthenticated("the token is not, or no longer, one: log in again")
}

/// The encoding of user and password. Clients in Go leave the padding away.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Shown {
    /// Reads the value of an `authorization` header.
    fn of(header: &str) -> Result<Self, Status> {
        let (scheme, value) = header.split_once(' ').unwrap_or((header, ""));
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            return Self::basic(value);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Status::unauthenticated(
                "the authorization header is neither Basic nor Bearer",
            ));
        }
        Ok(match value.starts_with(KEY_PREFIX) {
            true => Self::Key(value.to_owned()),
            false => Self::Token(value.to_owned()),
        })
    }

    fn basic(value: &str) -> Result<Self, Status> {
        let unreadable = || Status::unauthenticated("the Basic header cannot be read");
        let text = BASIC.decode(value).map_err(|_| unreadable())?;
        let text = String::from_utf8(text).map_err(|_| unreadable())?;
        let (user, password) = text.split_once(':').ok_or_else(unreadable)?;
        Ok(Self::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// Reads what older clients send in place of a header.
    fn sent(payload: &[u8]) -> Result<Self, Status> {
        let sent = BasicAuth::decode(payload)
            .ok()
            .filter(|sent| !sent.username.is_empty())
            .ok_or_else(|| Status::unauthenticated("a handshake needs a user and a password"))?;
        Ok(Self::Password {
            user: sent.username,
            password: sent.password,
        })
    }
}

fn header(headers: &MetadataMap) -> Result<Option<&str>, Status> {
    headers
        .get("authorization")
        .map(|value| value.to_str())
        .transpose()
        .map_err(|_| Status::unauthenticated("the authorization header is not ASCII text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// User and password are read with padding and without, whatever their length.
    #[test]
    fn basic_headers() {
        for header in [
            "Basic YWRhOmE=",
            "Basic YWRhOmE",
            "basic YWRhOmFi",
            "Basic YWRhOmFiYw==",
            "Basic YWRhOmFiYw",
        ] {
            let Ok(Shown::Password { user, password }) = Shown::of(header) else {
                unreachable!("{header}");
            };
            assert_eq!(user, "ada");
            assert!("abc".starts_with(&password), "{password}");
        }
        assert!(Shown::of("Basic YWRh").is_err(), "no colon");
        assert!(Shown::of("Digest YWRhOmE=").is_err());
    }
}
