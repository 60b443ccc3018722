//! What may stand on the command line of an executor.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use cli_process::ClusterTlsArguments;
use cli_process::log::LogFormat;
use cli_process::scrape::ScrapeArguments;
use planner::spec::ByteSize;
use serde::Serialize;

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
