//! How the service runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use planner::cluster::{ClusterAddress, MemberTls};
use planner::spec::Secret;
use planner::storage::TenantRoots;
use url::Url;

use super::certificate::TlsFiles;
use super::error::ServiceError;
use crate::access::JwtOptions;
use crate::audit::{AuditKey, AuditKeyError, AuditKeySource, AuditPublicKey};
use crate::lifecycle::{SecretPolicy, WorkerOptions};
use crate::limits::RequestLimits;
use crate::vault::TokenKeys;

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
    pub fn new(home: &Path) -> Self {
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

    /// Returns what may be fetched from the web, by whatever tenant.
    pub(super) fn fetched(&self) -> Vec<String> {
        let roots = self.sources.all().chain(self.statements.all());
        roots.map(str::to_owned).collect()
    }

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
        let members = self.workers.cluster.as_ref();
        let members = members.and_then(ClusterAddress::tls).map(MemberTls::paths);
        let own = databases.chain(secrets).chain(tls);
        let own = own.chain(members.into_iter().flatten());
        own.chain(local_path(&self.store))
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
    pub(super) fn check_secrets(&self) -> Result<(), ServiceError> {
        if self.secrets.spares(&self.own_secrets()) {
            return Ok(());
        }
        let text = "secrets: the keys and credentials of the service itself cannot be among those that jobs may name";
        Err(ServiceError::Invalid(text.to_owned()))
    }

    /// The key that signs checkpoints, and those that are trusted beside it.
    pub(super) fn audit_keys(
        &self,
    ) -> Result<(Option<AuditKey>, Vec<AuditPublicKey>), ServiceError> {
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

/// The folder of a store on this machine, whether it is named by a path or by a URL.
fn local_path(location: &str) -> Option<PathBuf> {
    match Url::parse(location) {
        Ok(url) if url.scheme() == "file" => url.to_file_path().ok(),
        // A letter before a colon is no scheme, and neither is what has no slashes behind it.
        Ok(_) if location.contains("://") => None,
        _ => Some(PathBuf::from(location)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the service keeps is closed whichever way it is named.
    #[test]
    fn c3_stores_are_closed_by_path_and_by_url() {
        let kept = |store: &str| {
            let mut options = ServiceOptions::new(Path::new("/srv/home"));
            options.store = store.to_owned();
            options.kept()
        };
        let folder = Path::new("/srv/a store").to_owned();
        assert!(kept("/srv/a store").contains(&folder));
        assert!(kept("file:///srv/a%20store").contains(&folder));
        assert_eq!(kept("s3://bucket/store").len(), kept("gs://x").len());
        assert!(!kept("s3://bucket/store").contains(&folder));
    }
}
