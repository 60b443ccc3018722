//! The check of every request: its route is looked up in the table of endpoints, and nothing reaches a handler that
//! the table does not let through. What a request sends and what it receives goes on only for as long as its
//! credential holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use futures::{Stream, StreamExt};
use tokio::time::Instant;
use tracing::{error, info};
use uuid::Uuid;

use super::{App, Problem, jobs, uploads};
use crate::access::{Caller, Credential, Endpoint, Needs, Reach};
use crate::metadata::MetadataError;

/// Time between two checks of a credential whose request or answer takes longer.
pub(super) const RECHECK: Duration = Duration::from_secs(2);

/// Time for which a request goes on while the store cannot tell whether its credential holds.
const UNKNOWN: Duration = Duration::from_secs(60);

/// A request that ends sooner after its check is not checked again at its end.
const BRIEF: Duration = Duration::from_millis(200);

/// Lets a request through to its handler, or answers it.
pub(super) async fn authorize(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str);
    let Some(endpoint) = Endpoint::find(request.method().as_str(), route) else {
        if Endpoint::has_path(route) {
            return Problem::method().into_response();
        }
        error!(
            route,
            "a route is not in the table of endpoints; it is not served"
        );
        return Problem::not_found("path").into_response();
    };
    if endpoint.needs == Needs::Nothing {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let caller = match admit(&app, &mut parts, endpoint).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    parts.extensions.insert(caller.clone());
    let ended = Arc::new(AtomicBool::new(false));
    let watched = |body: Body| {
        let (app, caller) = (Arc::clone(&app), caller.clone());
        Body::from_stream(while_it_holds(app, caller, body, Arc::clone(&ended)))
    };
    let body = match body.is_end_stream() {
        true => body,
        false => watched(body),
    };
    let response = next.run(Request::from_parts(parts, body)).await;
    if ended.load(Ordering::Relaxed) {
        return Problem::unauthorized().into_response();
    }
    // An answer whose size is known is in memory already.
    match response.body().size_hint().exact() {
        Some(_) => response,
        None => response.map(watched),
    }
}

/// Returns who sends a request, if the endpoint lets them through.
async fn admit(app: &Arc<App>, parts: &mut Parts, endpoint: &Endpoint) -> Result<Caller, Problem> {
    let caller = Caller::from_request_parts(parts, app).await?;
    let params = RawPathParams::from_request_parts(parts, app).await;
    let params = params.map_err(|_| Problem::not_found("thing"))?;
    let named = |wanted: &str| {
        let mut params = params.iter();
        params.find_map(|(name, value)| (name == wanted).then_some(value))
    };
    if endpoint.reach != Reach::AllTenants
        && let Some(tenant) = named("tenant_id")
    {
        caller.needs_tenant(tenant)?;
    }
    if let Needs::OneOf(actions) = endpoint.needs {
        caller.needs_one_of(actions)?;
    }
    match endpoint.reach {
        Reach::Nothing | Reach::Own | Reach::NamedDataset | Reach::Listed => {}
        Reach::Dataset if caller.datasets.is_some() => {
            let name = named("dataset").unwrap_or_default();
            let known = app.metadata.dataset(caller.tenant_id(), name).await?;
            let name = known.map_or_else(|| name.to_owned(), |dataset| dataset.name);
            caller.needs_dataset(&name)?;
        }
        Reach::Job if caller.datasets.is_some() => {
            jobs::find(app, &caller, identifier(named("job_id"))?).await?;
        }
        Reach::Upload => {
            uploads::find(app, &caller, identifier(named("upload_id"))?).await?;
        }
        Reach::Tenant | Reach::AllTenants if caller.datasets.is_some() => {
            let detail = "this concerns the whole tenant, and the key is limited to some datasets";
            return Err(Problem::forbidden(detail));
        }
        Reach::Dataset | Reach::Job | Reach::Tenant | Reach::AllTenants => {}
    }
    Ok(caller)
}

fn identifier(text: Option<&str>) -> Result<Uuid, Problem> {
    // What is not even an identifier names nothing.
    let id = text.and_then(|text| Uuid::parse_str(text).ok());
    id.ok_or_else(|| Problem::not_found("thing"))
}

impl App {
    /// Returns whether the credential of a caller who was admitted earlier still holds.
    ///
    /// # Errors
    /// The store cannot tell now.
    pub(super) async fn still_admits(&self, caller: &Caller) -> Result<bool, MetadataError> {
        if caller.expires_at.is_some_and(|at| at <= Utc::now()) {
            return Ok(false);
        }
        match &caller.credential {
            Credential::Key(id) => Ok(self.metadata.current_key(id).await?.is_some()),
            Credential::User(subject) => {
                let tenant = caller.tenant_id();
                self.metadata.current_user(tenant, subject).await
            }
        }
    }
}

/// When a credential was last known to hold.
pub(super) struct Checked {
    asked: Instant,
    held: Instant,
}

impl Checked {
    /// Returns the state of a credential that was just checked.
    pub(super) fn now() -> Self {
        let now = Instant::now();
        Self {
            asked: now,
            held: now,
        }
    }

    /// Returns whether the last check is at least this old.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.asked.elapsed() >= age
    }

    /// Checks the credential now. While the store cannot tell, what was known holds for a while.
    pub(super) async fn again(&mut self, app: &Arc<App>, caller: &Caller) -> bool {
        // In a task of its own: of a body that nobody reads on, the check would keep its connection to the database, and
        // the requests that wait for one would wait for each other.
        let (store, asked) = (Arc::clone(app), caller.clone());
        let told = tokio::spawn(async move { store.still_admits(&asked).await }).await;
        let told = told.unwrap_or_else(|_| {
            Err(MetadataError::Unavailable(
                "the check of a credential ended".to_owned(),
            ))
        });
        self.asked = Instant::now();
        match told {
            Ok(true) => {
                self.held = self.asked;
                true
            }
            Ok(false) => {
                info!(
                    actor = caller.actor,
                    tenant = caller.tenant.name,
                    "a credential was revoked, suspended or has expired; its request ends"
                );
                false
            }
            Err(_) => self.held.elapsed() < UNKNOWN,
        }
    }
}

/// The body of a request or an answer, which breaks off when the caller's credential ends.
struct Watched<S> {
    app: Arc<App>,
    caller: Caller,
    content: S,
    checked: Checked,
    ended: Arc<AtomicBool>,
    done: bool,
}

fn while_it_holds(
    app: Arc<App>,
    caller: Caller,
    body: Body,
    ended: Arc<AtomicBool>,
) -> impl Stream<Item = Result<Bytes, axum::Error>> {
    let watched = Watched {
        app,
        caller,
        content: body.into_data_stream(),
        checked: Checked::now(),
        ended,
        done: false,
    };
    futures::stream::unfold(watched, |mut watched| async move {
        let item = watched.next().await?;
        Some((item, watched))
    })
}

impl<S: Stream<Item = Result<Bytes, axum::Error>> + Unpin> Watched<S> {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        while !self.done {
            let due = self.checked.asked + RECHECK;
            let item = tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => None,
                item = self.content.next() => Some(item),
            };
            let at_end = match item {
                Some(Some(item)) => return Some(item),
                Some(None) => true,
                None => false,
            };
            self.done = at_end;
            // What a sender finished after its credential ended is not taken either.
            let due = !at_end || self.checked.is_older_than(BRIEF);
            if due && !self.checked.again(&self.app, &self.caller).await {
                return Some(self.broken_off());
            }
        }
        None
    }

    fn broken_off(&mut self) -> Result<Bytes, axum::Error> {
        self.done = true;
        self.ended.store(true, Ordering::Relaxed);
        Err(axum::Error::new(std::io::Error::other(
            "the credential of the request has ended",
        )))
    }
}
