//! The service: its API, its workers and its janitor, from start to end.

mod certificate;
mod databases;
mod error;
mod figures;
mod options;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto::Builder;
use planner::source::{WebPolicy, restrict_web};
use tokio::sync::Notify;
use tracing::{info, warn};

pub use self::certificate::TlsFiles;
pub use self::databases::migrate;
pub use self::error::ServiceError;
pub use self::figures::Figures;
pub use self::options::ServiceOptions;

use self::certificate::reload;
use self::databases::open_metadata;
use crate::access::{JwtVerifier, Permits, Rates};
use crate::audit::AuditTrail;
use crate::connections::{Connections, Counted};
use crate::lifecycle::{Janitor, SourceLocations, SpecPolicy, Workers, farewell};
use crate::limits::{
    CONVERTED_AT_ONCE, HEADERS, HTTP1_BUFFER, HTTP2_HEADER_BYTES, HTTP2_STREAMS, HTTP2_WINDOWS,
    PARSED_AT_ONCE,
};
use crate::metadata::{Limits, MetadataError, MetadataStore, NewKey, Role};
use crate::rest::{ApiOptions, App, router};
use crate::storage::Store;
use crate::vault::Vault;

/// Stack of the threads on which jobs run.
const STACK_BYTES: usize = 8 << 20;

/// Time that requests have to end when the service ends.
const GRACE: Duration = Duration::from_secs(5);

/// A service that listens.
pub struct Service {
    address: SocketAddr,
    listener: TcpListener,
    tls: Option<(RustlsConfig, TlsFiles)>,
    app: Arc<App>,
    workers: Arc<Workers>,
    janitor: Janitor,
    jobs: tokio::runtime::Runtime,
}

impl Service {
    /// Opens the stores and listens, and accepts nothing yet.
    ///
    /// # Errors
    /// When a setting cannot be right, a store does not open, or the address cannot be listened on.
    pub async fn bind(options: ServiceOptions) -> Result<Self, ServiceError> {
        options.check_secrets()?;
        let jwt = JwtVerifier::new(options.jwt.clone()).map_err(ServiceError::Invalid)?;
        let store = Store::new(&options.store, options.store_credentials.as_ref());
        let store = store.map_err(|error| ServiceError::Invalid(format!("store: {error}")))?;
        let metadata = open_metadata(&options.database).await?;
        let vault = Vault::open(&options.token_database, options.token_keys.clone()).await?;
        let (audit_key, trusted) = options.audit_keys()?;
        if audit_key.is_none() {
            warn!("no key for audit checkpoints is set; the audit log is not signed");
        }
        let trail = AuditTrail::new(metadata.clone(), store.clone(), audit_key, trusted);
        if let Err(error) = trail.publish_key().await {
            warn!(%error, "failed to store the public key of audit checkpoints");
        }
        let tls = match &options.tls {
            Some(files) => {
                let config = RustlsConfig::from_pem_file(&files.certificate, &files.key).await;
                Some((config.map_err(ServiceError::Tls)?, files.clone()))
            }
            None => None,
        };
        let failed = |source| ServiceError::Bind {
            address: options.address,
            source,
        };
        let listener = TcpListener::bind(options.address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        restrict_web(WebPolicy {
            allowed: options.fetched(),
            private_addresses: options.private_addresses,
        });
        let jobs = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.workers.threads + options.workers.jobs)
            .thread_name("job")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        let wake = Arc::new(Notify::new());
        let sources = SourceLocations {
            closed: options.kept(),
            roots: options.sources.clone(),
        };
        let workers = Workers::new(
            metadata.clone(),
            (store.clone(), vault.clone(), sources.clone()),
            options.workers.clone(),
            Arc::clone(&wake),
            jobs.handle().clone(),
        );
        let bodies = options.requests.bodies_per_tenant;
        let app = App {
            metadata: metadata.clone(),
            store: store.clone(),
            trail: trail.clone(),
            vault,
            specs: SpecPolicy {
                sources: sources.clone(),
                secrets: options.secrets,
                token_key: options.token_keys.writing,
                memory_limit: options.workers.memory_limit,
                decompressed: options.max_decompressed_bytes,
            },
            jwt,
            rates: Rates::default(),
            bodies: Permits::new(bodies, bodies / 2),
            parses: Permits::new(PARSED_AT_ONCE, PARSED_AT_ONCE),
            conversions: Permits::new(CONVERTED_AT_ONCE, CONVERTED_AT_ONCE),
            wake: Arc::clone(&wake),
            options: ApiOptions {
                max_upload_bytes: options.max_upload_bytes,
                body_timeout: options.body_timeout,
                requests: options.requests,
                max_attempts: options.max_attempts,
                workers: options.workers.jobs,
            },
            stopping: AtomicBool::new(false),
        };
        Ok(Self {
            address,
            listener,
            tls,
            app: Arc::new(app),
            workers: Arc::new(workers),
            janitor: Janitor {
                metadata,
                store,
                trail,
                wake,
                grace: options.sweep_after,
            },
            jobs,
        })
    }

    /// What brings the figures of the service up to date that nobody counts.
    pub fn figures(&self) -> Figures {
        Figures {
            metadata: self.app.metadata.clone(),
            workers: Arc::clone(&self.workers),
        }
    }

    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the address begins with.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    /// The metadata.
    pub fn metadata(&self) -> &MetadataStore {
        &self.app.metadata
    }

    /// Makes the first tenant and its first key, where there is no tenant yet; gives the key's secret.
    pub async fn begin(&self, tenant: &str) -> Result<Option<String>, ServiceError> {
        let metadata = self.metadata();
        if !metadata.tenants().await?.is_empty() {
            return Ok(None);
        }
        let made = metadata
            .create_tenant(tenant, &Limits::default(), "service")
            .await;
        let tenant = match made {
            Ok(tenant) => tenant,
            // Another process was first.
            Err(MetadataError::Conflict(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let key = NewKey {
            name: "first".to_owned(),
            role: Role::Admin,
            operator: true,
            actions: None,
            datasets: None,
            expires_at: None,
        };
        let made = metadata.create_key(tenant.id, &key, "service").await?;
        Ok(Some(made.secret))
    }

    /// Serves until the future ends; then requests and jobs have a moment to end too.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), ServiceError> {
        let handle = Handle::new();
        let make = router(Arc::clone(&self.app));
        let make = make.into_make_service_with_connect_info::<SocketAddr>();
        let patience = self.app.options.body_timeout;
        let limits = &self.app.options.requests;
        let connections = Connections::new(limits.connections, limits.connections_per_address);
        let api = match &self.tls {
            Some((config, files)) => {
                let server = axum_server::from_tcp_rustls(self.listener, config.clone())?;
                let mut server = server
                    .map(|inner| Counted { inner, connections })
                    .first_request_timeout(patience);
                bound(server.http_builder(), patience);
                tokio::spawn(reload(config.clone(), files.clone()));
                tokio::spawn(server.handle(handle.clone()).serve(make))
            }
            None => {
                let server = axum_server::from_tcp(self.listener)?;
                let mut server = server
                    .map(|inner| Counted { inner, connections })
                    .first_request_timeout(patience);
                bound(server.http_builder(), patience);
                tokio::spawn(server.handle(handle.clone()).serve(make))
            }
        };
        let janitor = tokio::spawn(self.janitor.run());
        let workers = tokio::spawn(Arc::clone(&self.workers).run());
        tokio::pin!(api);
        let ended = tokio::select! {
            ended = &mut api => Some(ended),
            () = stop => None,
        };
        info!("the service ends");
        self.app.stopping.store(true, Ordering::Relaxed);
        self.workers.stop();
        janitor.abort();
        handle.graceful_shutdown(Some(GRACE));
        if tokio::time::timeout(farewell(), workers).await.is_err() {
            warn!("jobs did not end in time; others take them over when their lease runs out");
        }
        let ended = match ended {
            Some(ended) => ended,
            None => api.await,
        };
        self.jobs.shutdown_background();
        match ended {
            Ok(served) => Ok(served?),
            Err(_) => Err(ServiceError::Io(std::io::Error::other("the API panicked"))),
        }
    }
}

/// Bounds what a connection may hold, and the time for its headers.
fn bound(http: &mut Builder<TokioExecutor>, patience: Duration) {
    http.http1()
        .header_read_timeout(patience)
        .max_buf_size(HTTP1_BUFFER)
        .max_headers(HEADERS);
    http.http2()
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HTTP2_HEADER_BYTES)
        .initial_stream_window_size(HTTP2_WINDOWS.0)
        .initial_connection_window_size(HTTP2_WINDOWS.1)
        .keep_alive_interval(patience)
        .keep_alive_timeout(patience);
}
