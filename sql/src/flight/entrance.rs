//! Who calls: from the headers of a call to a session.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::BasicAuth;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::Message;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::client::Client;
use super::sessions::{Limits, Sessions};
use super::status::status;
use crate::engine::Engine;
use crate::users::{Admitted, KEY_PREFIX, Users};

/// How often the users are asked whether a session's user may still be there.
const CHECK_PERIOD: Duration = Duration::from_secs(60);

/// Lets clients in.
pub(super) struct Entrance {
    engine: Engine,
    users: Users,
    pub(super) sessions: Sessions,
    ticket_lifetime: Duration,
}

/// What a client shows.
enum Shown {
    Password { user: String, password: String },
    Key(String),
    Token(String),
}

impl Entrance {
    pub(super) fn new(engine: Engine, limits: Limits, ticket_lifetime: Duration) -> Self {
        Self {
            users: engine.users(),
            engine,
            sessions: Sessions::new(limits),
            ticket_lifetime,
        }
    }

    /// The session that a call belongs to.
    pub(super) async fn client(&self, headers: &MetadataMap) -> Result<Arc<Client>, Status> {
        let header = header(headers)?.ok_or_else(|| {
            Status::unauthenticated("a call needs a user and a password, an API key or a token")
        })?;
        let shown = Shown::of(header)?;
        let found = match &shown {
            Shown::Token(token) => self.sessions.find(token),
            // The credentials of each call stand for one session that they share.
            Shown::Password { .. } | Shown::Key(_) => self.sessions.find(header),
        };
        match found {
            Some(client) => self.checked(client).await,
            None if matches!(shown, Shown::Token(_)) => Err(Status::unauthenticated(
                "the token is not, or no longer, one: come in again",
            )),
            None => {
                let client = self.new_client(self.admit(shown).await?)?;
                self.sessions.open_for(header, client)
            }
        }
    }

    /// Opens a session for who shows credentials, in the headers or in what it sends; gives its token.
    pub(super) async fn enter(
        &self,
        headers: &MetadataMap,
        payload: impl Future<Output = Result<Vec<u8>, Status>>,
    ) -> Result<String, Status> {
        let shown = match header(headers)? {
            Some(header) => Shown::of(header)?,
            None => Shown::sent(&payload.await?)?,
        };
        let client = self.new_client(self.admit(shown).await?)?;
        self.sessions.open(Arc::new(client))
    }

    fn new_client(&self, admitted: Admitted) -> Result<Client, Status> {
        let session = self
            .engine
            .session(admitted.identity.clone())
            .map_err(status)?;
        Ok(Client::new(session, admitted, self.ticket_lifetime))
    }

    async fn admit(&self, shown: Shown) -> Result<Admitted, Status> {
        let admitted = match shown {
            Shown::Password { user, password } => self.users.admit(&user, &password).await,
            Shown::Key(key) => self.users.admit_key(&key).await,
            Shown::Token(_) => {
                return Err(Status::unauthenticated(
                    "a token does not open another session",
                ));
            }
        };
        admitted.map_err(status)
    }

    /// A removed user, a changed password and an expired key end their sessions.
    async fn checked(&self, client: Arc<Client>) -> Result<Arc<Client>, Status> {
        if client.is_due(CHECK_PERIOD) {
            let holds = self.users.still_holds(client.admitted()).await;
            if !holds.map_err(status)? {
                self.sessions.close(&client);
                return Err(Status::unauthenticated(
                    "the user, the password or the key is no longer valid",
                ));
            }
        }
        Ok(client)
    }
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
