//! The settings of the service.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use planner::spec::{ByteSize, OptionsSpec};
use planner::storage::TenantRoots;
use serde::{Deserialize, Serialize};
use sql::{Access, EngineOptions, FlightOptions, Tls};

use super::arguments::ServeArguments;
use crate::ending::UsageError;
use crate::home::HomeArguments;
use crate::member::ClusterTlsArguments;
use crate::period::Period;

/// The settings of the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeOptions {
    /// Folder of the catalog and of the tables that statements make.
    pub home: Option<PathBuf>,
    /// Address of Flight SQL; port 0 takes a free one.
    pub flight_sql: SocketAddr,
    /// Folder where relative locations of statements start; the current one when left out.
    pub base: Option<PathBuf>,
    /// Folders and URLs that statements may read and write: `TENANT=LOCATION`, or `LOCATION` for all tenants; none
    /// when left out.
    pub allow: Vec<String>,
    /// Scheduler whose executors do the work, `df://HOST:PORT`; this process when left out.
    pub cluster: Option<String>,
    /// Certificate of this member of the cluster, and those up to its authority, in PEM.
    pub cluster_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM.
    pub cluster_key: Option<PathBuf>,
    /// Certificates of the authorities of the cluster's members, in PEM.
    pub cluster_ca: Option<PathBuf>,
    /// DNS name that the certificates of all members carry; `data-sanitizer-cluster` when left out.
    pub cluster_name: Option<String>,
    /// Certificate of the server, and those up to its root, in PEM.
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Time after which a session that nobody uses ends.
    pub session_timeout: Period,
    /// Time after which who came in must come in anew.
    pub token_lifetime: Period,
    /// Time for which a result can be fetched.
    pub result_lifetime: Period,
    /// Most sessions at the same time.
    pub max_sessions: usize,
    /// Memory of all statements together.
    pub memory_limit: ByteSize,
    /// Threads that a statement uses; one a core when left out.
    pub threads: Option<NonZeroUsize>,
    /// The REST service; read by itself.
    #[serde(skip_serializing)]
    pub api: serde::de::IgnoredAny,
}

impl Default for ServeOptions {
    fn default() -> Self {
        let flight = FlightOptions::default();
        Self {
            home: None,
            flight_sql: SocketAddr::from((Ipv4Addr::LOCALHOST, 50060)),
            base: None,
            allow: Vec::new(),
            cluster: None,
            cluster_cert: None,
            cluster_key: None,
            cluster_ca: None,
            cluster_name: None,
            tls_cert: None,
            tls_key: None,
            session_timeout: Period(Duration::from_secs(30 * 60)),
            token_lifetime: Period(flight.token_lifetime),
            result_lifetime: Period(flight.ticket_lifetime),
            max_sessions: flight.max_sessions,
            memory_limit: OptionsSpec::default().memory_limit,
            threads: None,
            api: serde::de::IgnoredAny,
        }
    }
}

impl ServeOptions {
    /// The locations that statements may name.
    pub(super) fn roots(&self) -> TenantRoots {
        TenantRoots::parse(self.allow.iter().map(String::as_str))
    }

    /// How the engine runs.
    pub(super) fn engine(&self, arguments: &ServeArguments) -> anyhow::Result<EngineOptions> {
        // The command line goes before the file.
        let home = HomeArguments {
            folder: arguments.home.folder.clone().or_else(|| self.home.clone()),
        };
        let cluster = self.cluster.as_deref().map(str::parse).transpose();
        let cluster = cluster.map_err(|error: String| UsageError(format!("cluster: {error}")))?;
        let members = ClusterTlsArguments {
            cluster_cert: self.cluster_cert.clone(),
            cluster_key: self.cluster_key.clone(),
            cluster_ca: self.cluster_ca.clone(),
            cluster_name: self.cluster_name.clone(),
        };
        let cluster = members.secure(cluster)?;
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let base = match &self.base {
            Some(base) => std::path::absolute(base)?,
            None => std::env::current_dir()?,
        };
        Ok(EngineOptions {
            // Who writes statements is not who runs the service: nothing but what is allowed.
            access: Access::Tenants(self.roots()),
            // None until the service says which.
            secrets: Some(Vec::new()),
            rows_per_split: None,
            cluster,
            memory_limit: usize::try_from(self.memory_limit.0).unwrap_or(usize::MAX),
            threads: self.threads.map_or_else(cores, NonZeroUsize::get),
            ..EngineOptions::new(home.path()?, base)
        })
    }

    /// How the Flight SQL service runs.
    pub(super) fn flight(&self) -> anyhow::Result<FlightOptions> {
        let tls = match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            (None, None) => None,
            _ => {
                let text = "tls_cert and tls_key belong together; only one of them is set";
                return Err(UsageError(text.to_owned()).into());
            }
        };
        Ok(FlightOptions {
            address: self.flight_sql,
            tls,
            session_idle: self.session_timeout.0,
            token_lifetime: self.token_lifetime.0,
            ticket_lifetime: self.result_lifetime.0,
            max_sessions: self.max_sessions,
            ..FlightOptions::default()
        })
    }
}
