//! The settings of a scheduler.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use planner::cluster::{MemberTls, MemberTlsError};
use serde::{Deserialize, Serialize};

/// The settings of a scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchedulerOptions {
    /// Address to listen on; port 0 takes a free one. Other addresses than loopback need the certificates of the cluster,
    /// or `insecure_cluster_network`.
    pub bind: SocketAddr,
    /// Certificate of this member of the cluster, and those up to its authority, in PEM.
    pub cluster_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM.
    pub cluster_key: Option<PathBuf>,
    /// Certificates of the authorities of the cluster's members, in PEM.
    pub cluster_ca: Option<PathBuf>,
    /// DNS name that the certificates of all members carry; `data-sanitizer-cluster` when left out.
    pub cluster_name: Option<String>,
    /// Whether to listen beyond loopback without TLS: the network lets nobody but members in.
    pub insecure_cluster_network: bool,
    /// Host under which the driver of the service's own jobs reaches the scheduler.
    pub external_host: String,
    /// Seconds without a sign of life after which an executor is given up and its tasks go to others.
    pub executor_timeout_seconds: u64,
    /// Seconds for which jobs wait for an executor when there is none.
    pub no_executors_grace_seconds: u64,
    /// How often a task is tried before its job fails.
    pub task_attempts: usize,
    /// Seconds for which executors keep the results of a finished job.
    pub keep_results_seconds: u64,
    /// The REST service; read by itself.
    #[serde(skip_serializing)]
    pub api: serde::de::IgnoredAny,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 50050)),
            cluster_cert: None,
            cluster_key: None,
            cluster_ca: None,
            cluster_name: None,
            insecure_cluster_network: false,
            external_host: "localhost".to_owned(),
            executor_timeout_seconds: 60,
            no_executors_grace_seconds: 120,
            task_attempts: 4,
            keep_results_seconds: 3600,
            api: serde::de::IgnoredAny,
        }
    }
}

impl SchedulerOptions {
    /// Reads the certificates of the cluster, if they are set.
    ///
    /// # Errors
    ///
    /// Fails when only some of the files are set, or when they cannot be used.
    pub fn tls(&self) -> Result<Option<MemberTls>, MemberTlsError> {
        MemberTls::of_settings(
            self.cluster_cert.as_ref(),
            self.cluster_key.as_ref(),
            self.cluster_ca.as_ref(),
            self.cluster_name.as_ref(),
        )
    }
}
