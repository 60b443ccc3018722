//! What may stand on the command line of the scheduler of a cluster.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use cli_process::ClusterTlsArguments;
use cli_process::log::LogFormat;
use cli_process::scrape::ScrapeArguments;
use serde::Serialize;

use crate::api::ApiArguments;

/// Start the scheduler of a cluster; with --database, jobs over REST too, which the executors of the cluster work
/// on. What is left out comes from the environment (SANITIZER_SCHEDULER_BIND and
/// so on), the file, or the defaults.
#[derive(Debug, Args, Serialize)]
pub struct SchedulerArguments {
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
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:50050]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<SocketAddr>,
    /// Certificates of the cluster.
    #[command(flatten)]
    #[serde(flatten)]
    tls: ClusterTlsArguments,
    /// Listen beyond loopback without TLS. Anybody who reaches the port can then run plans and read results: only for a
    /// network that lets nobody but members in
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    insecure_cluster_network: bool,
    /// Host under which the jobs of the REST API reach the scheduler [default: localhost]
    #[arg(long, value_name = "HOST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    external_host: Option<String>,
    /// Silence after which an executor is given up [default: 60]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    executor_timeout_seconds: Option<u64>,
    /// Time for which jobs wait for an executor when there is none [default: 120]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    no_executors_grace_seconds: Option<u64>,
    /// How often a task is tried before its job fails [default: 4]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    task_attempts: Option<usize>,
    /// Time for which executors keep the results of a finished job [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_results_seconds: Option<u64>,
    /// The REST service.
    #[command(flatten)]
    #[serde(skip)]
    pub api: ApiArguments,
}

/// Make the tables of the service, or bring them up to date. It is safe to run at any time, and more than once.
#[derive(Debug, Args)]
pub struct MigrateArguments {
    /// Where jobs, keys and the audit log are kept: postgres://USER@HOST/NAME
    #[arg(
        long,
        value_name = "URL",
        env = "SANITIZER_API_DATABASE",
        hide_env_values = true
    )]
    pub database: String,
    /// Database URL of the token vault, whose values are encrypted [default: the schema token_vault of --database]
    #[arg(
        long,
        value_name = "URL",
        env = "SANITIZER_API_TOKEN_DATABASE",
        hide_env_values = true
    )]
    pub token_database: Option<String>,
}
