//! The service: its API, its workers and its janitor, from start to end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use backon::{ExponentialBuilder, Retryable};
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto::Builder;
use planner::source::{WebPolicy, restrict_web};
use planner::spec::Secret;
use planner::storage::TenantRoots;
use planner::telemetry::METRICS;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::access::{JwtOptions, JwtVerifier, Permits, Rates};
use crate::audit::{AuditKey, AuditKeyError, AuditKeySource, AuditPublicKey, AuditTrail};
use crate::connections::{Connections, Counted};
use crate::lifecycle::{
    Janitor, SecretPolicy, SourceLocations, SpecPolicy, WorkerOptions, Workers, farewell,
};
use crate::limits::{
    CONVERTED_AT_ONCE, HEADERS, HTTP1_BUFFER, HTTP2_HEADER_BYTES, HTTP2_STREAMS, HTTP2_WINDOWS,
    PARSED_AT_ONCE, RequestLimits,
};
use crate::metadata::{JobStatus, Limits, MetadataError, MetadataStore, NewKey, Role};
use crate::rest::{ApiOptions, App, router};
use crate::storage::Store;
use crate::vault::{TokenKeys, Vault};

/// Stack of the threads on which jobs run.
const STACK_BYTES: usize = 8 << 20;

/// Time that requests have to end when the service ends.
const GRACE: Duration = Duration::from_secs(5);

/// Time for which a database that does not answer is waited for when the service starts, tries not counted.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// Time for which a scrape of the metrics waits for the database.
const SCRAPE: Duration = Duration::from_secs(3);

/// Interval at which the certificate is checked for changes.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(10);

/// Certificate and key, in PEM. They are read anew when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate of the server, and those up to its root.
    pub certificate: PathBuf,
    /// Private key of the certificate.
    pub key: PathBuf,
}

/// How the service runs.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Address of the API; port 0 takes a free one.
    pub address: SocketAddr,
    /// URL of the metadata database: `postgres://…` or `sqlite:PATH`.
    pub database: String,
    /// Database URL of the token vault, whose values are encrypted: `postgres://…` or `sqlite:PATH`.
    pub token_database: String,
    /// Names of the keys of tokens.
    pub token_keys: TokenKeys,
    /// Where the key that signs audit checkpoints comes from; nothing is signed when none.
    pub audit_key: Option<AuditKeySource>,
    /// Public keys in PEM, whose checkpoints are trusted too: those of keys that were replaced.
    pub audit_public_keys: Vec<PathBuf>,
    /// Where files lie: a folder, or the URL of a place in an object store.
    pub store: String,
    /// Name of the settings of the object store; the environment when none.
    pub store_credentials: Option<Secret>,
    /// What jobs may read from.
    pub sources: TenantRoots,
    /// What statements may name, which have roots of their own.
    pub statements: TenantRoots,
    /// What no tenant reads or writes by a name of its own, beside the service's databases, store, certificates and
    /// secrets.
    pub closed: Vec<PathBuf>,
    /// Whether documents may be fetched from private and local networks.
    pub private_addresses: bool,
    /// Secrets that specs may name.
    pub secrets: SecretPolicy,
    /// Certificate and key; plain HTTP when none.
    pub tls: Option<TlsFiles>,
    /// How tokens of an identity provider are checked.
    pub jwt: JwtOptions,
    /// How jobs are worked on.
    pub workers: WorkerOptions,
    /// Most bytes of a file that is sent.
    pub max_upload_bytes: u64,
    /// Time for which whoever sends something may send nothing.
    pub body_timeout: Duration,
    /// What requests and connections may have.
    pub requests: RequestLimits,
    /// Most bytes of a file once its compression is taken off.
    pub max_decompressed_bytes: u64,
    /// How often a job may fail for reasons that another try may mend.
    pub max_attempts: i64,
    /// Time for which what a dead attempt wrote stays.
    pub sweep_after: Duration,
}

impl ServiceOptions {
    /// A service of this machine, with everything in one folder.
    pub fn new(home: &std::path::Path) -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            database: format!("sqlite:{}", home.join("service.sqlite").display()),
            token_database: format!("sqlite:{}", home.join("tokens.sqlite").display()),
            token_keys: TokenKeys::default(),
            audit_key: Some(AuditKeySource::Generated(home.join("audit-key.pem"))),
            audit_public_keys: Vec::new(),
            store: home.join("store").to_string_lossy().into_owned(),
            store_credentials: None,
            sources: TenantRoots::default(),
            statements: TenantRoots::default(),
            closed: vec![home.to_owned()],
            private_addresses: false,
            secrets: SecretPolicy::default(),
            tls: None,
            jwt: JwtOptions::default(),
            workers: WorkerOptions::default(),
            max_upload_bytes: 1 << 40,
            body_timeout: Duration::from_secs(60),
            requests: RequestLimits::default(),
            max_decompressed_bytes: 1 << 40,
            max_attempts: 3,
            sweep_after: Duration::from_secs(600),
        }
    }
}

/// What may be fetched from the web, by whatever tenant.
fn fetched(options: &ServiceOptions) -> Vec<String> {
    let roots = options.sources.all().chain(options.statements.all());
    roots.map(str::to_owned).collect()
}

impl ServiceOptions {
    /// The files and folders of this machine that the service keeps: no tenant's location reaches them.
    pub fn kept(&self) -> Vec<PathBuf> {
        let databases = [&self.database, &self.token_database];
        let databases = databases
            .into_iter()
            .filter_map(|url| url.strip_prefix("sqlite:"))
            .flat_map(|path| ["", "-wal", "-shm"].map(|ending| format!("{path}{ending}").into()));
        let secrets = self.secrets.allowed.iter().chain(self.own_secrets());
        let secrets = secrets.filter_map(|secret| match secret {
            Secret::File(path) => Some(path.clone()),
            Secret::Env(_) | Secret::Tenant { .. } => None,
        });
        let tls = self.tls.iter();
        let tls = tls.flat_map(|files| [files.certificate.clone(), files.key.clone()]);
        let own = databases.chain(secrets).chain(tls);
        own.chain([PathBuf::from(&self.store)])
            .chain(self.closed.iter().cloned())
            .filter_map(|path| std::path::absolute(path).ok())
            .collect()
    }

    /// The secrets of the service itself, which no tenant may name.
    fn own_secrets(&self) -> Vec<&Secret> {
        let mut own = vec![&self.token_keys.writing];
        own.extend(&self.token_keys.reading);
        own.extend(&self.store_credentials);
        if let Some(AuditKeySource::Named(key)) = &self.audit_key {
            own.push(key);
        }
        own
    }

    /// Refuses a list of secrets for jobs and statements that holds one of the service's own.
    fn check_secrets(&self) -> Result<(), ServiceError> {
        if self.secrets.spares(&self.own_secrets()) {
            return Ok(());
        }
        let text = "secrets: the keys and credentials of the service itself cannot be among those that jobs may name";
        Err(ServiceError::Invalid(text.to_owned()))
    }

    /// The key that signs checkpoints, and those that are trusted beside it.
    fn audit_keys(&self) -> Result<(Option<AuditKey>, Vec<AuditPublicKey>), ServiceError> {
        let invalid = |error: AuditKeyError| ServiceError::Invalid(format!("audit key: {error}"));
        let key = self.audit_key.as_ref().map(AuditKey::open).transpose();
        let trusted = self.audit_public_keys.iter().map(|path| {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| ServiceError::Invalid(format!("{name}: {error}")))?;
            AuditPublicKey::from_pem(&name, &text).map_err(invalid)
        });
        let trusted = trusted.collect::<Result<_, _>>()?;
        Ok((key.map_err(invalid)?, trusted))
    }
}

/// Opens the metadata; a database that starts at the same time may take a while.
async fn open_metadata(url: &str) -> Result<MetadataStore, MetadataError> {
    let patience = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .with_total_delay(Some(START_PATIENCE));
    (|| MetadataStore::open(url))
        .retry(patience)
        .when(MetadataError::is_transient)
        .notify(|error, _| warn!(%error, "the service waits for its database"))
        .await
}

/// What can go wrong with the service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The settings cannot be right.
    #[error("{0}")]
    Invalid(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("tls: {0}")]
    Tls(std::io::Error),
    /// The metadata store failed.
    #[error("metadata: {0}")]
    Metadata(#[from] MetadataError),
    /// The API failed.
    #[error("the API failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Makes the tables of the service, or brings them up to date.
pub async fn migrate(database: &str, token_database: &str) -> Result<(), ServiceError> {
    open_metadata(database).await?;
    Vault::open(token_database, TokenKeys::default()).await?;
    Ok(())
}

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
            allowed: fetched(&options),
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

/// What brings figures up to date that nobody counts: they lie in the database, or belong to somebody else.
#[derive(Clone)]
pub struct Figures {
    metadata: MetadataStore,
    workers: Arc<Workers>,
}

impl Figures {
    /// Brings them up to date.
    pub async fn refresh(&self) {
        self.workers.refresh();
        let asked = tokio::time::timeout(SCRAPE, self.metadata.queue_depth()).await;
        let connections = self.metadata.connections();
        METRICS
            .database_connections
            .set(["busy"], connections.busy as f64);
        METRICS
            .database_connections
            .set(["idle"], connections.idle as f64);
        METRICS
            .database_connections_max
            .set([], f64::from(connections.most));
        let Ok(Ok((counts, oldest))) = asked else {
            METRICS.database_up.set([], 0.0);
            return;
        };
        METRICS.database_up.set([], 1.0);
        for status in JobStatus::ALL
            .into_iter()
            .filter(|status| !status.is_final())
        {
            let jobs = counts.iter().find(|(known, _)| *known == status);
            let jobs = jobs.map_or(0, |(_, jobs)| *jobs);
            METRICS.jobs.set([status.name()], jobs as f64);
        }
        METRICS.queue_oldest.set([], oldest);
    }
}

/// Reads certificate and key anew whenever they change.
async fn reload(config: RustlsConfig, files: TlsFiles) {
    let changed = |path: &PathBuf| {
        std::fs::metadata(path)
            .and_then(|found| found.modified())
            .ok()
    };
    let stamp = |files: &TlsFiles| -> [Option<SystemTime>; 2] {
        [changed(&files.certificate), changed(&files.key)]
    };
    let mut known = stamp(&files);
    loop {
        tokio::time::sleep(CERTIFICATE_EVERY).await;
        let now = stamp(&files);
        if now == known {
            continue;
        }
        match config
            .reload_from_pem_file(&files.certificate, &files.key)
            .await
        {
            Ok(()) => {
                info!("the certificate was read anew");
                known = now;
            }
            // Perhaps only one of the two is there yet.
            Err(error) => warn!(%error, "the new certificate cannot be used; the old one stays"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database that hangs up, as one that starts does, is asked again.
    #[tokio::test]
    async fn waits_for_its_database() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://{}/base", listener.local_addr().unwrap());
        let opening = tokio::spawn(async move { open_metadata(&url).await });
        for _ in 0..3 {
            let (asked, _) = listener.accept().await.unwrap();
            drop(asked);
        }
        assert!(!opening.is_finished());
        opening.abort();
    }
}
