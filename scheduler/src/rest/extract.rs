//! What handlers take from requests, with problem documents where it is wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::access_log::Asker;
use super::body::is_asleep;
use super::{App, Problem};
use crate::access::{Action, Caller};

/// A JSON document.
pub(crate) struct Document<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<Value>::from_request(request, state).await {
            Ok(axum::Json(document)) => read(document).map(Self),
            Err(JsonRejection::JsonDataError(error)) => {
                Err(Problem::invalid(reason(&error.body_text())))
            }
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(Problem::media_type("expected application/json"))
            }
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::too_large("a document may have 2 MiB"))
            }
            Err(error) if is_asleep(&error) => Err(Problem::too_slow()),
            Err(error) => Err(Problem::bad_request(reason(&error.body_text()))),
        }
    }
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
    let known = [
        "Failed to deserialize the JSON body into the target type: ",
        "Failed to parse the request body as JSON: ",
        "Failed to deserialize query string: ",
        "Invalid URL: ",
    ];
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
