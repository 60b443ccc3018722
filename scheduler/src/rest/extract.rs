//! What handlers take from requests, with problem documents where it is wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use planner::spec::{ByteSize, DocumentLimits};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::access_log::Asker;
use super::body::{BodyError, Paced, collected};
use super::{App, Problem};
use crate::access::{Action, Caller, Permit};
use crate::limits::PARSED_AT_SIGHT;

/// A JSON document, received and parsed within the limits of its sender's tenant.
pub(crate) struct Document<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<Arc<App>> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::media_type("expected application/json"));
        }
        let sender = request.extensions().get::<Sender>().cloned();
        let sender = sender.unwrap_or_default();
        let content = received(app, &sender, request.into_body()).await?;
        parsed(app, &sender, content, read).await.map(Self)
    }
}

/// Whose request it is, for what is counted by tenant and key.
#[derive(Debug, Clone, Default)]
pub(super) struct Sender {
    pub(super) tenant: Uuid,
    pub(super) actor: Box<str>,
}

impl Sender {
    pub(super) fn of(caller: &Caller) -> Self {
        Self {
            tenant: caller.tenant_id(),
            actor: caller.actor.as_str().into(),
        }
    }

    /// Waits for the right to send a body.
    pub(super) async fn turn(&self, app: &App) -> Result<Permit, Problem> {
        let permit = app.bodies.take(self.tenant, &self.actor).await;
        permit.ok_or_else(|| {
            Problem::busy("the tenant, or its key, sends too many bodies at the same time")
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// A document as it is received.
pub(super) async fn received(app: &App, sender: &Sender, body: Body) -> Result<Vec<u8>, Problem> {
    let _turn = sender.turn(app).await?;
    let body = Paced::new(body.into_data_stream(), app.options.requests.least_rate);
    let most = DocumentLimits::WIRE.json_bytes;
    collected(body, most).await.map_err(|error| match error {
        BodyError::TooLarge(_) => {
            let most = ByteSize(most as u64);
            Problem::too_large(format!("a JSON document may have {most}"))
        }
        other => other.into(),
    })
}

/// A JSON document within its limits, and what is made of it. A large one is parsed by a thread of its own, of which a
/// tenant has few.
pub(super) async fn parsed<T: Send + 'static>(
    app: &App,
    sender: &Sender,
    content: Vec<u8>,
    make: impl FnOnce(Value) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let size = content.len();
    let parse = move || {
        let text = std::str::from_utf8(&content);
        let text = text.map_err(|_| Problem::bad_request("the document is not UTF-8"))?;
        let document = DocumentLimits::WIRE.json(text);
        make(document.map_err(Problem::bad_request)?)
    };
    if size <= PARSED_AT_SIGHT {
        return parse();
    }
    off_the_workers(app, sender, parse).await
}

/// Runs what takes time by a thread of its own, of which a tenant has few.
pub(super) async fn off_the_workers<T: Send + 'static>(
    app: &App,
    sender: &Sender,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let turn = app.parses.take(sender.tenant, &sender.actor).await;
    let turn = turn.ok_or_else(|| {
        Problem::busy("the tenant has too many documents parsed at the same time")
    })?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    done.await.map_err(|_| Problem::internal())?
}

/// A document of the API; all of them are objects.
fn read<T: DeserializeOwned>(document: Value) -> Result<T, Problem> {
    if !document.is_object() {
        return Err(Problem::invalid("expected an object"));
    }
    serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().to_string();
        match path.as_str() {
            "." => Problem::invalid(error.inner().to_string()),
            _ => Problem::field(path, error.inner().to_string()),
        }
    })
}

/// The text behind the last prefix that axum puts before an error.
fn reason(text: &str) -> String {
    let known = ["Failed to deserialize query string: ", "Invalid URL: "];
    let found = known.iter().find_map(|prefix| text.strip_prefix(prefix));
    found.unwrap_or(text).to_owned()
}

/// The parameters behind the question mark.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        let query = query
            .map_err(|error: QueryRejection| Problem::bad_request(reason(&error.body_text())))?;
        Ok(Self(query.0))
    }
}

/// The parts of the path.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        // What is not even an identifier names nothing.
        let path = path.map_err(|_: PathRejection| Problem::not_found("thing"))?;
        Ok(Self(path.0))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        // The gate has admitted them.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let sent = credential(&parts.headers).ok_or_else(Problem::unauthorized)?;
        let caller = admit(app, sent).await?.ok_or_else(Problem::unauthorized)?;
        if let Some(asker) = parts.extensions.get::<Asker>() {
            asker.is(&caller);
        }
        parts.extensions.insert(Sender::of(&caller));
        let rate = caller.tenant.limits.calls_per_second;
        app.rates
            .take(caller.tenant_id(), rate)
            .map_err(|wait: Duration| Problem::rate(wait.as_secs() + 1))?;
        Ok(caller)
    }
}

/// The key or token of a request.
fn credential(headers: &HeaderMap) -> Option<&str> {
    let mut bearer = headers.get_all(header::AUTHORIZATION).iter();
    let mut keys = headers.get_all("x-api-key").iter();
    let (bearer, key) = match (bearer.next(), bearer.next(), keys.next(), keys.next()) {
        (bearer @ Some(_), None, None, None) => (bearer, None),
        (None, None, key @ Some(_), None) => (None, key),
        // Of two credentials nobody knows which counts.
        _ => return None,
    };
    if let Some(key) = key {
        return key.to_str().ok();
    }
    let (scheme, token) = bearer?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Whose credential it is, if it holds.
async fn admit(app: &App, sent: &str) -> Result<Option<Caller>, Problem> {
    if sent.len() > 16 << 10 {
        return Ok(None);
    }
    if let Some(key) = app.metadata.admit_key(sent).await? {
        let tenant = app.metadata.find_tenant(&key.tenant_id.to_string()).await?;
        return Ok(tenant.map(|tenant| Caller::of_key(&key, tenant)));
    }
    let Some(verifier) = app.jwt.as_ref().filter(|_| sent.split('.').count() == 3) else {
        return Ok(None);
    };
    let Some(claims) = verifier.verify(sent).await else {
        return Ok(None);
    };
    let tenant = app.metadata.find_tenant(&claims.tenant).await?;
    let Some(tenant) = tenant.filter(|tenant| !tenant.suspended) else {
        return Ok(None);
    };
    let user = app
        .metadata
        .visit(tenant.id, &claims.subject, claims.role)
        .await?;
    let (subject, role) = (&claims.subject, claims.role);
    Ok((!user.suspended).then(|| Caller::of_user(subject, role, tenant, claims.expires_at)))
}

impl Caller {
    /// Refuses what they may not do.
    pub(crate) fn needs(&self, action: Action) -> Result<(), Problem> {
        self.needs_one_of(&[action])
    }

    /// Refuses whoever may do none of these.
    pub(crate) fn needs_one_of(&self, actions: &[Action]) -> Result<(), Problem> {
        if actions.iter().any(|action| self.may(*action)) {
            return Ok(());
        }
        let names: Vec<&str> = actions.iter().map(|action| action.name()).collect();
        let names = names.join(" or ");
        let detail = match actions.iter().all(|action| action.is_for_operators()) {
            true => format!("this needs the action {names}, which only a key of an operator has"),
            false => format!("this needs the action {names}"),
        };
        Err(Problem::forbidden(detail))
    }

    /// Refuses a tenant that is not theirs, as if there were none.
    pub(crate) fn needs_tenant(&self, tenant: &str) -> Result<(), Problem> {
        if self.is_of(tenant) {
            return Ok(());
        }
        Err(Problem::not_found("tenant"))
    }

    /// Refuses a dataset that their key does not cover, as if there were none.
    pub(crate) fn needs_dataset(&self, dataset: &str) -> Result<(), Problem> {
        if self.may_touch(dataset) {
            return Ok(());
        }
        Err(Problem::not_found("dataset"))
    }
}
