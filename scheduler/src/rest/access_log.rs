//! Request tracing, metrics and access log: who asked for what, and how it ended. Refusals are
//! told of by default, what went well at the level `debug`. Neither parameters nor what a problem says in words is in
//! it, for both may hold values of data.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use planner::telemetry::{METRICS, continue_trace, trace_id};
use tracing::{Instrument, Span, debug, field, info, info_span, warn};

use super::Problem;
use crate::access::Caller;

/// Who asks, known once their credential was read.
#[derive(Clone, Default)]
pub(super) struct Asker(Arc<OnceLock<(String, String)>>);

impl Asker {
    pub(super) fn is(&self, caller: &Caller) {
        let _ = self
            .0
            .set((caller.tenant.name.clone(), caller.actor.clone()));
    }
}

/// Writes down how a request ended.
pub(super) async fn log(mut request: Request, next: Next) -> Response {
    let asker = Asker::default();
    request.extensions_mut().insert(asker.clone());
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>();
    // Paths that nobody serves are many.
    let route = route.map_or("other", MatchedPath::as_str).to_owned();
    let span = span_of(&request, method, &route);
    let answered = answer(request, next, asker, (method, &route));
    answered.instrument(span).await
}

/// The name of a method; anybody may make up others, and metrics must have an end.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The span of a request, in the trace of whoever sends it.
fn span_of(request: &Request, method: &str, route: &str) -> Span {
    let span = info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        tenant = field::Empty,
        trace_id = field::Empty,
    );
    let parent = request.headers().get("traceparent");
    if let Some(parent) = parent.and_then(|parent| parent.to_str().ok()) {
        continue_trace(&span, parent);
    }
    if let Some(trace) = trace_id(&span) {
        span.record("trace_id", trace);
    }
    span
}

async fn answer(
    request: Request,
    next: Next,
    asker: Asker,
    (method, route): (&str, &str),
) -> Response {
    let path = request.uri().path().to_owned();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(address)| address.ip().to_string());
    let peer = peer.unwrap_or_default();
    let in_flight = METRICS.api_in_flight.hold();
    let begun = Instant::now();
    let response = next.run(request).await;
    drop(in_flight);
    let status = response.status();
    let taken = begun.elapsed();
    METRICS
        .api_seconds
        .observe([method, route, status.as_str()], taken.as_secs_f64());
    let milliseconds = u64::try_from(taken.as_millis()).unwrap_or(u64::MAX);
    let (tenant, actor) = asker.0.get().cloned().unwrap_or_default();
    let span = Span::current();
    span.record("http.response.status_code", status.as_u16());
    if !tenant.is_empty() {
        span.record("tenant", &tenant);
    }
    let problem = response.extensions().get::<Problem>();
    let kind = problem.map_or("", |problem| problem.kind());
    if status.is_client_error() || status.is_server_error() {
        METRICS.api_errors.count([method, route, kind]);
    }
    let field = problem.and_then(|problem| problem.field.as_deref());
    let field = field.unwrap_or_default();
    let status = status.as_u16();
    macro_rules! refused {
        ($level:ident) => {
            $level!(
                method,
                path,
                status,
                kind,
                field,
                tenant,
                actor,
                peer,
                milliseconds,
                "a request was refused"
            )
        };
    }
    match status {
        401 | 403 | 408 | 413 | 500.. => refused!(warn),
        400.. => refused!(info),
        _ => {
            debug!(
                method,
                path, status, tenant, actor, peer, milliseconds, "a request was answered"
            );
        }
    }
    response
}
