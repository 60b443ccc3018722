//! The service: its API, its workers and its janitor, from start to end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use backon::{ExponentialBuilder, Retryable};
use planner::source::{WebPolicy, restrict_web};
use planner::spec::Secret;
use planner::telemetry::METRICS;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::access::{JwtOptions, JwtVerifier, Rates};
use crate::lifecycle::{Janitor, SecretPolicy, SpecPolicy, WorkerOptions, Workers, farewell};
use crate::metadata::{JobStatus, Limits, MetadataError, MetadataStore, NewKey, Role};
use crate::rest::{ApiOptions, App, router};
use crate::storage::Store;
use crate::vault::Vault;

/// Stack of the threads on which jobs run.
const STACK_BYTES: usize = 8 << 20;

/// Time that requests have to end when the service ends.
const GRACE: Duration = Duration::from_secs(5);

/// Time for which a database that does not answer is waited for when the service starts, tries not counted.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// Time for which a scrape of the metrics waits for the database.
const SCRAPE: Duration = Duration::from_secs(3);

/// Time between two looks at the certificate.
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
    /// Where the metadata lies: `postgres://…` or `sqlite:PATH`.
    pub database: String,
    /// Where what tokens stand for lies, sealed: `postgres://…` or `sqlite:PATH`.
    pub token_database: String,
    /// Name of the key of tokens.
    pub token_key: Secret,
    /// Where files lie: a folder, or the URL of a place in an object store.
    pub store: String,
    /// Name of the settings of the object store; the environment when none.
    pub store_credentials: Option<Secret>,
    /// What source locations may begin with.
    pub sources: Vec<String>,
    /// What else of the web this process may fetch: for statements, which have a list of their own.
    pub also_fetched: Vec<String>,
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
            token_key: Secret::token_key(),
            store: home.join("store").to_string_lossy().into_owned(),
            store_credentials: None,
            sources: Vec::new(),
            also_fetched: Vec::new(),
            private_addresses: false,
            secrets: SecretPolicy::default(),
            tls: None,
            jwt: JwtOptions::default(),
            workers: WorkerOptions::default(),
            max_upload_bytes: 1 << 40,
            body_timeout: Duration::from_secs(60),
            max_decompressed_bytes: 1 << 40,
            max_attempts: 3,
            sweep_after: Duration::from_secs(600),
        }
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
    Vault::open(token_database, Secret::token_key()).await?;
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
    pub async fn bind(options: ServiceOptions) -> Result<Self, ServiceError> {
        let jwt = JwtVerifier::new(options.jwt).map_err(ServiceError::Invalid)?;
        let store = Store::new(&options.store, options.store_credentials.as_ref());
        let store = store.map_err(|error| ServiceError::Invalid(format!("store: {error}")))?;
        let metadata = open_metadata(&options.database).await?;
        let vault = Vault::open(&options.token_database, options.token_key.clone()).await?;
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
            allowed: [options.sources.clone(), options.also_fetched].concat(),
            private_addresses: options.private_addresses,
        });
        let jobs = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.workers.threads + options.workers.jobs)
            .thread_name("job")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        let wake = Arc::new(Notify::new());
        let workers = Workers::new(
            metadata.clone(),
            (store.clone(), vault.clone()),
            options.workers.clone(),
            Arc::clone(&wake),
            jobs.handle().clone(),
        );
        let app = App {
            metadata: metadata.clone(),
            store: store.clone(),
            vault,
            specs: SpecPolicy {
                sources: options.sources,
                secrets: options.secrets,
                token_key: options.token_key,
                memory_limit: options.workers.memory_limit,
                decompressed: options.max_decompressed_bytes,
            },
            jwt,
            rates: Rates::default(),
            wake: Arc::clone(&wake),
            options: ApiOptions {
                max_upload_bytes: options.max_upload_bytes,
                body_timeout: options.body_timeout,
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
        let api = match &self.tls {
            Some((config, files)) => {
                let mut server = axum_server::from_tcp_rustls(self.listener, config.clone())?;
                let http = server.http_builder();
                http.http1().header_read_timeout(patience);
                tokio::spawn(reload(config.clone(), files.clone()));
                tokio::spawn(server.handle(handle.clone()).serve(make))
            }
            None => {
                let mut server = axum_server::from_tcp(self.listener)?;
                let http = server.http_builder();
                http.http1().header_read_timeout(patience);
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
