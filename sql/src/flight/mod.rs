//! The Flight SQL service: statements and rows over gRPC, on a port of its own.
//!
//! A call goes through the [`gate`], which refuses what cannot be read, and the [`entrance`], which
//! finds the session of whoever calls; the [`service`] hands it on. What a client may fetch it knows
//! by a ticket ([`tickets`]); what it fetches is a [`run`] of a statement, as rows on the [`wire`].

mod actions;
pub(crate) mod calls;
mod client;
mod connections;
mod entrance;
mod gate;
mod ingest;
mod metadata;
mod options;
mod outcome;
mod parameters;
mod poll;
mod prepared;
mod run;
mod service;
mod sessions;
mod shared;
mod sql_info;
mod status;
mod throttle;
mod tickets;
mod wire;
mod work;

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use planner::telemetry::{continue_trace, trace_id};
use tokio::net::TcpListener;
use tonic::codegen::http::Request;
use tonic::transport::{Identity as Certified, Server, ServerTlsConfig};
use tower_http::trace::TraceLayer;
use tracing::{Span, field, info_span};

use self::connections::{ConnectionLimits, connections};
use self::entrance::Entrance;
use self::gate::Gate;
use self::ingest::SentLimits;
use self::service::Service;
use self::work::Work;
use crate::audit::AuditLog;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::names::PathNames;
use crate::password;

/// Calls of one connection at the same time.
const MOST_STREAMS: u32 = 128;

/// Bytes of the headers of a call.
const HEADER_BYTES: u32 = 16 << 10;

/// Interval at which the logins of all sessions are checked again.
const WATCH_PERIOD: Duration = Duration::from_millis(500);

/// Files that prove who the server is.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Certificate, and those between it and its root, in PEM notation.
    pub certificate: PathBuf,
    /// Private key of the certificate, in PEM notation.
    pub key: PathBuf,
}

/// Places from which clients fetch the rows of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoints {
    /// One, which every client knows to use.
    One,
    /// So many, from which a client fetches at the same time; rows that have an order have one.
    Several(NonZeroUsize),
}

/// How the service runs.
#[derive(Debug, Clone)]
pub struct FlightOptions {
    /// Where it listens; port 0 for any that is free.
    pub address: SocketAddr,
    /// Who the server is; connections are not encrypted when none.
    pub tls: Option<Tls>,
    /// Time after which a session that nobody uses ends.
    pub session_idle: Duration,
    /// Time after which a token, and its session, ends.
    pub token_lifetime: Duration,
    /// Time for which a result can be fetched.
    pub ticket_lifetime: Duration,
    /// Most sessions at the same time.
    pub max_sessions: usize,
    /// Most sessions of a user at the same time.
    pub max_sessions_per_user: usize,
    /// Most sessions of a tenant at the same time.
    pub max_sessions_per_tenant: usize,
    /// Most statements of a user that are planned or run at the same time.
    pub max_statements_per_user: usize,
    /// Most prepared statements of a user, over all sessions.
    pub max_prepared_per_user: usize,
    /// Most results of a user that wait to be fetched, over all sessions.
    pub max_results_per_user: usize,
    /// Longest time that a statement may take, from its start to its last row.
    pub statement_timeout: Duration,
    /// Most bytes that a client sends in one call, for a table or as values.
    pub max_ingest_bytes: u64,
    /// Longest time for which a client that sends rows may send nothing.
    pub ingest_idle: Duration,
    /// Most connections at the same time.
    pub max_connections: usize,
    /// Most connections of one address over which nobody has logged in.
    pub max_connections_without_login: usize,
    /// Time that a connection has until somebody has logged in over it.
    pub login_timeout: Duration,
    /// Where logins and statements are recorded; nowhere when none.
    pub audit: Option<Arc<dyn AuditLog>>,
    /// Most bytes of a message that a client sends, and of the values that it binds to a query.
    pub max_message_bytes: usize,
    /// Places from which the rows of a statement are fetched.
    pub endpoints: Endpoints,
}

impl Default for FlightOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 50060)),
            tls: None,
            session_idle: Duration::from_secs(30 * 60),
            token_lifetime: Duration::from_secs(24 * 60 * 60),
            ticket_lifetime: Duration::from_secs(10 * 60),
            max_sessions: 1000,
            max_sessions_per_user: 100,
            max_sessions_per_tenant: 300,
            max_statements_per_user: 64,
            max_prepared_per_user: 2048,
            max_results_per_user: 4096,
            statement_timeout: Duration::from_secs(60 * 60),
            max_ingest_bytes: 16 << 30,
            ingest_idle: Duration::from_secs(60),
            max_connections: 4096,
            max_connections_without_login: 256,
            login_timeout: Duration::from_secs(20),
            audit: None,
            max_message_bytes: 64 << 20,
            endpoints: Endpoints::One,
        }
    }
}

/// The Flight SQL service of an engine, listening.
pub struct FlightServer {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<ServerTlsConfig>,
    service: Arc<Service>,
    options: FlightOptions,
}

impl FlightServer {
    /// Listens. Clients are served from [`FlightServer::serve`] on.
    pub async fn bind(engine: Engine, options: FlightOptions) -> Result<Self> {
        let tls = match &options.tls {
            Some(tls) => Some(tls_config(tls).await?),
            None => None,
        };
        let address = options.address;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| Error::io(address.to_string(), error))?;
        let address = listener
            .local_addr()
            .map_err(|error| Error::io(address.to_string(), error))?;
        password::prepare().await?;
        let names = Arc::new(PathNames::of(engine.options()));
        let (work, handle) = Work::start(engine.options().threads)?;
        let entrance = Entrance::new(engine, &options, handle, Arc::clone(&names));
        entrance.refresh_suspended().await;
        let service = Arc::new(Service {
            entrance,
            endpoints: options.endpoints,
            most_bound: options.max_message_bytes,
            sent: SentLimits {
                bytes: options.max_ingest_bytes,
                idle: options.ingest_idle,
            },
            names,
            _work: work,
        });
        Ok(Self {
            listener,
            address,
            tls,
            service,
            options,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, then ends all sessions and what runs in them.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::Invalid(format!("Flight SQL on {}: {error}", self.address))
        };
        // Answers are part of the span to their last row.
        let traced = TraceLayer::new_for_grpc()
            .make_span_with(span_of)
            .on_request(())
            .on_response(())
            .on_failure(());
        let mut server = Server::builder()
            .layer(traced)
            .max_concurrent_streams(MOST_STREAMS)
            .http2_max_header_list_size(HEADER_BYTES)
            .http2_keepalive_interval(Some(Duration::from_secs(60)));
        if let Some(tls) = self.tls {
            server = server.tls_config(tls).map_err(|error| failed(&error))?;
        }
        let flight = FlightServiceServer::new(Gate(Arc::clone(&self.service)))
            .max_decoding_message_size(self.options.max_message_bytes);
        let sweeping = tokio::spawn(sweep(
            Arc::clone(&self.service),
            self.options.session_idle.min(self.options.ticket_lifetime),
        ));
        let watching = tokio::spawn(watch(Arc::clone(&self.service)));
        let limits = ConnectionLimits {
            most: self.options.max_connections,
            most_waiting: self.options.max_connections_without_login,
            patience: self.options.login_timeout,
        };
        let service = Arc::clone(&self.service);
        let stop = async move {
            stop.await;
            service.entrance.sessions.close_all();
        };
        let served = server
            .add_service(flight)
            .serve_with_incoming_shutdown(connections(self.listener, limits), stop)
            .await;
        sweeping.abort();
        watching.abort();
        served.map_err(|error| failed(&error))
    }
}

/// The span of a call, in the trace of whoever makes it.
fn span_of<B>(call: &Request<B>) -> Span {
    let span = info_span!(
        "flight_sql",
        otel.name = call.uri().path(),
        otel.kind = "server",
        rpc.system = "grpc",
        trace_id = field::Empty,
    );
    let parent = call.headers().get("traceparent");
    if let Some(parent) = parent.and_then(|parent| parent.to_str().ok()) {
        continue_trace(&span, parent);
    }
    if let Some(trace) = trace_id(&span) {
        span.record("trace_id", trace);
    }
    span
}

/// Forgets what has expired, now and then; nothing that has expired is used in between.
async fn sweep(service: Arc<Service>, shortest: Duration) {
    let period = (shortest / 4).clamp(Duration::from_millis(100), Duration::from_secs(60));
    loop {
        tokio::time::sleep(period).await;
        service.entrance.sessions.sweep();
    }
}

/// Ends sessions as soon as their logins no longer hold.
async fn watch(service: Arc<Service>) {
    loop {
        tokio::time::sleep(WATCH_PERIOD).await;
        service.entrance.refresh_suspended().await;
        if let Err(error) = service.entrance.end_invalid().await {
            tracing::warn!(%error, "the logins of sessions cannot be checked");
        }
    }
}

async fn tls_config(tls: &Tls) -> Result<ServerTlsConfig> {
    let certificate = read(&tls.certificate).await?;
    let key = read(&tls.key).await?;
    Ok(ServerTlsConfig::new().identity(Certified::from_pem(certificate, key)))
}

async fn read(path: &Path) -> Result<Vec<u8>> {
    tokio::fs::read(path)
        .await
        .map_err(|error| Error::io(path, error))
}
