//! The address at which a process tells its metrics: for Prometheus, apart from what users reach.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use clap::Args;
use futures::future::BoxFuture;
use planner::telemetry::{METRICS, Role};
use tokio::net::TcpListener;
use tracing::error;

use crate::say::say;

/// Where metrics are served.
#[derive(Debug, Default, Clone, Args)]
pub struct ScrapeArguments {
    /// Listen address of the Prometheus endpoint (/metrics) and of the probes (/healthz, /readyz), such as 0.0.0.0:9464;
    /// port 0 takes a free one [default: none]
    #[arg(long, value_name = "ADDRESS", env = "SANITIZER_METRICS")]
    pub metrics: Option<SocketAddr>,
}

/// Brings figures up to date that nobody counts.
pub type Refresh = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Returns whether a process can do its work.
pub type Ready = Arc<dyn Fn() -> bool + Send + Sync>;

/// Listens, where it is asked to, for as long as the runtime lives.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn listen(
    arguments: &ScrapeArguments,
    role: Role,
    refresh: Refresh,
) -> anyhow::Result<()> {
    listen_with_readiness(arguments, role, refresh, Arc::new(|| true)).await
}

/// Listens like [`listen`], and answers at `/readyz` too: a probe cannot ask a port that only members of the cluster may
/// use.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn listen_with_readiness(
    arguments: &ScrapeArguments,
    role: Role,
    refresh: Refresh,
    ready: Ready,
) -> anyhow::Result<()> {
    METRICS.begin(role);
    let Some(address) = arguments.metrics else {
        return Ok(());
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    say(&format!(
        "metrics are at http://{}/metrics",
        listener.local_addr()?
    ));
    let metrics = move || {
        let refresh = Arc::clone(&refresh);
        async move {
            refresh().await;
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], METRICS.text())
        }
    };
    let readiness = move || {
        let ready = ready();
        async move {
            match ready {
                true => (StatusCode::OK, "ready\n"),
                false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            }
        }
    };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/readyz", get(readiness))
        .route("/healthz", get(|| async { "ok\n" }));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            error!(%error, "metrics endpoint stopped");
        }
    });
    Ok(())
}
