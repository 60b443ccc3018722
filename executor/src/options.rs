//! The settings of an executor.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use planner::cluster::{MemberTls, MemberTlsError};
use planner::spec::ByteSize;
use serde::{Deserialize, Serialize};

/// The settings of an executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutorOptions {
    /// The scheduler: `df://HOST:PORT`.
    pub scheduler: String,
    /// Address to listen on. Other addresses than loopback need the certificates of the cluster, or
    /// `insecure_cluster_network`.
    pub bind_host: IpAddr,
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
    /// Port that gives results (Arrow Flight) and tells of the executor's health (gRPC); 0 takes a
    /// free one.
    pub port: u16,
    /// Port that takes tasks; 0 takes a free one.
    pub task_port: u16,
    /// Host under which scheduler and drivers reach the executor.
    pub external_host: String,
    /// Tasks at the same time; 0 for as many as there are cores.
    pub slots: usize,
    /// Memory of all tasks together; three quarters of the machine's or container's when left out.
    pub memory_limit: Option<ByteSize>,
    /// Directory for shuffle files and unfetched results; a temporary one when left out.
    pub work_dir: Option<PathBuf>,
    /// Heartbeat interval in seconds.
    pub heartbeat_seconds: u64,
    /// Seconds to wait for the scheduler when starting.
    pub connect_seconds: u16,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            scheduler: "df://localhost:50050".to_owned(),
            bind_host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            cluster_cert: None,
            cluster_key: None,
            cluster_ca: None,
            cluster_name: None,
            insecure_cluster_network: false,
            port: 50051,
            task_port: 50052,
            external_host: "localhost".to_owned(),
            slots: 0,
            memory_limit: None,
            work_dir: None,
            heartbeat_seconds: 10,
            connect_seconds: 60,
        }
    }
}

impl ExecutorOptions {
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

    /// Returns how many tasks run at the same time.
    pub(crate) fn slots(&self) -> usize {
        match self.slots {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            slots => slots,
        }
    }
}
