//! The address at which a process tells its metrics: for Prometheus, apart from what users reach.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use clap::Args;
use futures::future::BoxFuture;
use planner::telemetry::{METRICS, Role};
use tokio::net::TcpListener;
use tracing::error;

use crate::settings::say;

/// Where metrics are told.
#[derive(Debug, Default, Clone, Args)]
pub struct ScrapeArguments {
    /// Address at which metrics are told to Prometheus (/metrics), and whether the process lives (/healthz), such as
    /// 0.0.0.0:9464; port 0 takes a free one [default: none]
    #[arg(long, value_name = "ADDRESS", env = "SANITIZER_METRICS")]
    pub metrics: Option<SocketAddr>,
}

/// Brings figures up to date that nobody counts.
pub(crate) type Refresh = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Listens, where it is asked to, for as long as the runtime lives.
pub(crate) async fn listen(
    arguments: &ScrapeArguments,
    role: Role,
    refresh: Refresh,
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
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            error!(%error, "metrics are told no more");
        }
    });
    Ok(())
}
