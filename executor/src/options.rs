//! The settings of an executor.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use planner::spec::ByteSize;
use serde::{Deserialize, Serialize};

/// The settings of an executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutorOptions {
    /// The scheduler: `df://HOST:PORT`.
    pub scheduler: String,
    /// Address to listen on.
    pub bind_host: IpAddr,
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
    /// Folder of results that nobody has fetched yet; a temporary one when left out.
    pub work_dir: Option<PathBuf>,
    /// Seconds between two signs of life.
    pub heartbeat_seconds: u64,
    /// Seconds to wait for the scheduler when starting.
    pub connect_seconds: u16,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            scheduler: "df://localhost:50050".to_owned(),
            bind_host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
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
