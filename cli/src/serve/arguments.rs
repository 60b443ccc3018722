//! What may stand on the command line of `sanitizer serve`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use cli_process::log::LogFormat;
use cli_process::scrape::ScrapeArguments;
use cli_process::{ClusterTlsArguments, Period};
use planner::spec::ByteSize;
use scheduler_daemon::api::ApiArguments;
use serde::Serialize;

use crate::home::HomeArguments;

/// Start the service of one machine: jobs over REST for API keys, and, where --flight-sql is given, SQL over Arrow
/// Flight for the logins of `sanitizer users`. What is left out comes from the environment (SANITIZER_SERVE_FLIGHT_SQL and so on),
/// the file, or the defaults.
#[derive(Debug, Args, Serialize)]
pub struct ServeArguments {
    /// Settings in TOML
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// How the log is written
    #[arg(long, value_enum, default_value_t, env = "SANITIZER_LOG_FORMAT")]
    #[serde(skip)]
    pub log_format: LogFormat,
    /// Where metrics are served.
    #[command(flatten)]
    #[serde(skip)]
    pub scrape: ScrapeArguments,
    /// The folder of the catalog.
    #[command(flatten)]
    #[serde(skip)]
    pub home: HomeArguments,
    /// Start Flight SQL on this address; port 0 takes a free one [default: not started]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    flight_sql: Option<SocketAddr>,
    /// Folder where relative locations of statements start [default: the current one]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<PathBuf>,
    /// Folder or URL that the statements of a tenant, or of all, may read and write (repeatable) [default: none]
    #[arg(long, value_name = "[TENANT=]LOCATION")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow: Vec<String>,
    /// Ballista scheduler whose executors do the work: df://HOST:PORT [default: this process]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    /// Certificates of the cluster.
    #[command(flatten)]
    #[serde(flatten)]
    cluster_tls: ClusterTlsArguments,
    /// Certificate of the server, and those up to its root, in PEM
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<PathBuf>,
    /// Time after which a session that nobody uses ends, such as 30m [default: 30m]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    session_timeout: Option<Period>,
    /// Lifetime of a session token [default: 1d]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_lifetime: Option<Period>,
    /// Time for which a result can be fetched [default: 10m]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    result_lifetime: Option<Period>,
    /// Most sessions at the same time [default: 1000]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sessions: Option<usize>,
    /// Most sessions of a user at the same time [default: 100]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sessions_per_user: Option<usize>,
    /// Most sessions of a tenant at the same time [default: 300]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sessions_per_tenant: Option<usize>,
    /// Most statements of a user that run at the same time [default: 64]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_statements_per_user: Option<usize>,
    /// Longest time that a statement may take, from its start to its last row [default: 1h]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    statement_timeout: Option<Period>,
    /// Most bytes that a client sends in one call, such as 1GiB [default: 16GiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ingest: Option<ByteSize>,
    /// Memory of all statements together, such as 2GiB [default: 4GiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_limit: Option<ByteSize>,
    /// Threads that a statement uses [default: one a core]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<NonZeroUsize>,
    /// The REST service.
    #[command(flatten)]
    #[serde(skip)]
    pub api: ApiArguments,
}
