//! The settings of the service.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use cli_process::{ClusterTlsArguments, Period};
use planner::spec::{ByteSize, OptionsSpec};
use planner::storage::TenantRoots;
use serde::{Deserialize, Serialize};
use sql::{Access, EngineOptions, FlightOptions, Tls};

use super::arguments::ServeArguments;
use crate::ending::UsageError;
use crate::home::HomeArguments;

/// The settings of the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeOptions {
    /// Folder of the catalog and of the tables that statements make.
    pub home: Option<PathBuf>,
    /// Address of Flight SQL; port 0 takes a free one. Flight SQL is not started when left out.
    pub flight_sql: Option<SocketAddr>,
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
    /// Lifetime of a session token.
    pub token_lifetime: Period,
    /// Time for which a result can be fetched.
    pub result_lifetime: Period,
    /// Most sessions at the same time.
    pub max_sessions: usize,
    /// Most sessions of a user at the same time.
    pub max_sessions_per_user: usize,
    /// Most sessions of a tenant at the same time.
    pub max_sessions_per_tenant: usize,
    /// Most statements of a user that run at the same time.
    pub max_statements_per_user: usize,
    /// Longest time that a statement may take, from its start to its last row.
    pub statement_timeout: Period,
    /// Most bytes that a client sends in one call.
    pub max_ingest: ByteSize,
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
            flight_sql: None,
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
            max_sessions_per_user: flight.max_sessions_per_user,
            max_sessions_per_tenant: flight.max_sessions_per_tenant,
            max_statements_per_user: flight.max_statements_per_user,
            statement_timeout: Period(flight.statement_timeout),
            max_ingest: ByteSize(flight.max_ingest_bytes),
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

    /// The certificate of Flight SQL and its key, which no tenant reads by a name of its own.
    pub(super) fn certificates(&self) -> impl Iterator<Item = PathBuf> {
        let files = [self.tls_cert.clone(), self.tls_key.clone()];
        files.into_iter().flatten()
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

    /// The certificate of the service.
    pub(super) fn tls(&self) -> anyhow::Result<Option<Tls>> {
        match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(certificate), Some(key)) => Ok(Some(Tls { certificate, key })),
            (None, None) => Ok(None),
            _ => {
                let text = "tls_cert and tls_key belong together; only one of them is set";
                Err(UsageError(text.to_owned()).into())
            }
        }
    }

    /// How the Flight SQL service runs, where it is asked for.
    pub(super) fn flight(&self, tls: Option<Tls>) -> Option<FlightOptions> {
        Some(FlightOptions {
            address: self.flight_sql?,
            tls,
            session_idle: self.session_timeout.0,
            token_lifetime: self.token_lifetime.0,
            ticket_lifetime: self.result_lifetime.0,
            max_sessions: self.max_sessions,
            max_sessions_per_user: self.max_sessions_per_user,
            max_sessions_per_tenant: self.max_sessions_per_tenant,
            max_statements_per_user: self.max_statements_per_user,
            statement_timeout: self.statement_timeout.0,
            max_ingest_bytes: self.max_ingest.0,
            ..FlightOptions::default()
        })
    }
}
