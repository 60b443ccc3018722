//! What the log says of each request: who asked, for what, and how it ended. Refusals are told of by default, what
//! went well at the level `debug`. Neither parameters nor what a problem says in words is in it, for both may hold
//! values of data.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{debug, info, warn};

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
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(address)| address.ip().to_string());
    let peer = peer.unwrap_or_default();
    let begun = Instant::now();
    let response = next.run(request).await;
    let status = response.status();
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (tenant, actor) = asker.0.get().cloned().unwrap_or_default();
    let problem = response.extensions().get::<Problem>();
    let kind = problem.map_or("", |problem| problem.kind());
    let field = problem.and_then(|problem| problem.field.as_deref());
    let field = field.unwrap_or_default();
    let status = status.as_u16();
    match status {
        401 | 403 | 408 | 413 | 500.. => {
            warn!(%method, path, status, kind, field, tenant, actor, peer, milliseconds, "a request was refused");
        }
        400.. => {
            info!(%method, path, status, kind, field, tenant, actor, peer, milliseconds, "a request was refused");
        }
        _ => {
            debug!(%method, path, status, tenant, actor, peer, milliseconds, "a request was answered");
        }
    }
    response
}
