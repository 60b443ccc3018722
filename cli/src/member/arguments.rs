//! What may stand on the command line of a member of a cluster.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use planner::spec::ByteSize;
use serde::Serialize;

use super::tls::ClusterTlsArguments;
use crate::api::ApiArguments;
use crate::log::LogFormat;
use crate::scrape::ScrapeArguments;

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

/// Start an executor of a cluster. What is left out comes from the environment (SANITIZER_EXECUTOR_SLOTS and
/// so on), the file, or the defaults.
#[derive(Debug, Args, Serialize)]
pub struct ExecutorArguments {
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
    /// The scheduler [default: df://localhost:50050]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<String>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bind_host: Option<IpAddr>,
    /// Certificates of the cluster.
    #[command(flatten)]
    #[serde(flatten)]
    tls: ClusterTlsArguments,
    /// Listen beyond loopback without TLS. Anybody who reaches the port can then run plans and read results: only for a
    /// network that lets nobody but members in
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    insecure_cluster_network: bool,
    /// Port that gives results and tells of the executor's health; 0 takes a free one [default: 50051]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Port that takes tasks; 0 takes a free one [default: 50052]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    task_port: Option<u16>,
    /// Host under which scheduler and drivers reach the executor [default: localhost]
    #[arg(long, value_name = "HOST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    external_host: Option<String>,
    /// Tasks at the same time; 0 for as many as there are cores [default: 0]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<usize>,
    /// Memory of all tasks together, such as 2GiB [default: three quarters of all]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_limit: Option<ByteSize>,
    /// Directory for shuffle files and unfetched results [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    work_dir: Option<PathBuf>,
    /// Heartbeat interval [default: 10]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_seconds: Option<u64>,
    /// Time to wait for the scheduler when starting [default: 60]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_seconds: Option<u16>,
}
