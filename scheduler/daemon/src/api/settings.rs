//! The settings of the REST service.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cli_process::ending::UsageError;
use cli_process::{Period, section};
use planner::cluster::ClusterAddress;
use planner::spec::{ByteSize, Secret};
use planner::storage::TenantRoots;
use scheduler::access::JwtOptions;
use scheduler::audit::AuditKeySource;
use scheduler::lifecycle::{SecretPolicy, WorkerOptions};
use scheduler::{RequestLimits, ServiceOptions, TlsFiles, TokenKeys};
use serde::{Deserialize, Serialize};

use super::ApiArguments;

/// The settings of the REST service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// Address of the API; port 0 takes a free one.
    pub address: SocketAddr,
    /// Where jobs, keys and the audit log are kept.
    pub database: Option<String>,
    /// Database URL of the token vault, whose values are encrypted.
    pub token_database: Option<String>,
    /// Name of the key of tokens; `env:SANITIZER_TOKEN_KEY` when left out.
    pub token_key: Option<String>,
    /// Names of replaced keys of tokens, under which values may still be sealed.
    pub old_token_keys: Vec<String>,
    /// Name of the key that signs audit checkpoints, an Ed25519 key in PEM.
    pub audit_key: Option<String>,
    /// Public keys in PEM of replaced audit keys, whose checkpoints are trusted too.
    pub audit_public_keys: Vec<PathBuf>,
    /// Where uploads and outputs are kept.
    pub store: Option<String>,
    /// Name of the settings of the object store; the environment when none.
    pub store_credentials: Option<String>,
    /// What jobs may read from, beside uploads: `TENANT=LOCATION`, or `LOCATION` for all tenants.
    pub sources: Vec<String>,
    /// Whether jobs may read from servers of private networks.
    pub private_addresses: bool,
    /// Secrets that jobs may name.
    pub secrets: Vec<String>,
    /// Certificate of the server, and those up to its root, in PEM.
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Jobs at the same time.
    pub jobs: usize,
    /// Threads of all jobs together; one a core when left out.
    pub job_threads: Option<NonZeroUsize>,
    /// Memory of all jobs together.
    pub job_memory: ByteSize,
    /// Silence of a worker after which its job goes to another one.
    pub lease: Period,
    /// How often a job is tried.
    pub attempts: u32,
    /// Time for which what a dead attempt wrote stays.
    pub sweep_after: Period,
    /// Most changed cells of a job that go to the metadata store.
    pub provenance_limit: Option<usize>,
    /// Most bytes of a file that is sent.
    pub max_upload: ByteSize,
    /// Time for which whoever sends something may send nothing.
    pub body_timeout: Period,
    /// Most bytes of a file once its compression is taken off.
    pub max_decompressed: ByteSize,
    /// Most connections at the same time.
    pub max_connections: usize,
    /// Most connections of one address at the same time.
    pub max_connections_per_address: usize,
    /// Most request bodies of one tenant that are received at the same time.
    pub max_bodies: usize,
    /// Least bytes a second of a request body.
    pub min_body_rate: ByteSize,
    /// Address of the keys of an identity provider.
    pub jwks_url: Option<String>,
    /// Who must have issued tokens; required with `jwks_url`.
    pub jwt_issuer: Option<String>,
    /// Whom tokens must be for; required with `jwks_url`.
    pub jwt_audience: Option<String>,
    /// The claim with the tenant; `tenant` when left out.
    pub jwt_tenant_claim: Option<String>,
    /// The claim with the role; `role` when left out.
    pub jwt_role_claim: Option<String>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        let workers = WorkerOptions::default();
        let requests = RequestLimits::default();
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            database: None,
            token_database: None,
            token_key: None,
            old_token_keys: Vec::new(),
            audit_key: None,
            audit_public_keys: Vec::new(),
            store: None,
            store_credentials: None,
            sources: Vec::new(),
            private_addresses: false,
            secrets: Vec::new(),
            tls_cert: None,
            tls_key: None,
            jobs: workers.jobs,
            job_threads: None,
            job_memory: ByteSize(workers.memory_limit),
            lease: Period(workers.lease),
            attempts: 3,
            sweep_after: Period(Duration::from_secs(600)),
            provenance_limit: workers.provenance_limit,
            max_upload: ByteSize(1 << 40),
            body_timeout: Period(Duration::from_secs(60)),
            max_decompressed: ByteSize(1 << 40),
            max_connections: requests.connections,
            max_connections_per_address: requests.connections_per_address,
            max_bodies: requests.bodies_per_tenant,
            min_body_rate: ByteSize(requests.least_rate),
            jwks_url: None,
            jwt_issuer: None,
            jwt_audience: None,
            jwt_tenant_claim: None,
            jwt_role_claim: None,
        }
    }
}

/// Where the members of a cluster keep what tokens stand for, when they are told no place: in the same Postgres database
/// in a schema of its own, or in a SQLite file beside the other.
#[must_use]
pub fn tokens_beside(database: &str) -> String {
    match database.strip_prefix("sqlite:") {
        Some(path) => {
            let beside = Path::new(path).with_file_name("tokens.sqlite");
            format!("sqlite:{}", beside.display())
        }
        None => database.to_owned(),
    }
}

impl ApiSettings {
    /// Returns the settings from the defaults, the section `[api]` of a file, the environment and the command line.
    ///
    /// # Errors
    /// [`UsageError`] when a setting is unknown or cannot be right.
    pub fn load(file: Option<&Path>, arguments: &ApiArguments) -> anyhow::Result<Self> {
        section("api", file, "SANITIZER_API_", arguments)
    }

    /// Returns how the service runs; what is left out lies in `home`.
    ///
    /// # Errors
    /// [`UsageError`] when settings cannot be right, by themselves or together.
    pub fn service(
        self,
        home: &Path,
        cluster: Option<ClusterAddress>,
        tls: Option<TlsFiles>,
    ) -> anyhow::Result<ServiceOptions> {
        let named = |name: &String| -> anyhow::Result<Secret> {
            let secret = serde_json::from_value(serde_json::json!(name));
            secret.map_err(|error| UsageError(format!("secret: {error}")).into())
        };
        let all = |names: &[String]| names.iter().map(named).collect::<Result<Vec<_>, _>>();
        let secrets = all(&self.secrets)?;
        let secrets = match secrets.is_empty() {
            true => SecretPolicy::default(),
            false => SecretPolicy { allowed: secrets },
        };
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => tls,
            _ => {
                let text = "tls_cert and tls_key belong together; only one of them is set";
                return Err(UsageError(text.to_owned()).into());
            }
        };
        let jwt = JwtOptions {
            jwks_url: self.jwks_url,
            issuer: self.jwt_issuer,
            audience: self.jwt_audience,
            tenant_claim: self.jwt_tenant_claim,
            role_claim: self.jwt_role_claim,
        };
        jwt.check().map_err(UsageError)?;
        let workers = WorkerOptions::default();
        let usual = ServiceOptions::new(home);
        // Without one of its own, it is the database of everything else, in a schema of its own.
        let tokens = match (self.token_database, &self.database) {
            (Some(url), _) => url,
            (None, Some(url)) if !url.starts_with("sqlite:") => url.clone(),
            (None, _) => usual.token_database,
        };
        let token_key = self.token_key.as_ref().map(named).transpose()?;
        let audit_key = self.audit_key.as_ref().map(named).transpose()?;
        Ok(ServiceOptions {
            address: self.address,
            token_database: tokens,
            token_keys: TokenKeys {
                writing: token_key.unwrap_or(usual.token_keys.writing),
                reading: all(&self.old_token_keys)?,
            },
            audit_key: audit_key.map(AuditKeySource::Named).or(usual.audit_key),
            audit_public_keys: self.audit_public_keys,
            database: self.database.unwrap_or(usual.database),
            store: self.store.unwrap_or(usual.store),
            store_credentials: self.store_credentials.as_ref().map(named).transpose()?,
            sources: TenantRoots::parse(self.sources.iter().map(String::as_str)),
            statements: TenantRoots::default(),
            closed: usual.closed,
            private_addresses: self.private_addresses,
            secrets,
            tls,
            jwt,
            workers: WorkerOptions {
                jobs: self.jobs,
                lease: self.lease.0,
                memory_limit: self.job_memory.0,
                cluster,
                provenance_limit: self.provenance_limit,
                threads: self.job_threads.map_or(workers.threads, NonZeroUsize::get),
            },
            max_upload_bytes: self.max_upload.0,
            body_timeout: self.body_timeout.0,
            requests: RequestLimits {
                connections: self.max_connections,
                connections_per_address: self.max_connections_per_address,
                bodies_per_tenant: self.max_bodies,
                least_rate: self.min_body_rate.0,
            },
            max_decompressed_bytes: self.max_decompressed.0,
            max_attempts: i64::from(self.attempts.max(1)),
            sweep_after: self.sweep_after.0,
        })
    }
}
