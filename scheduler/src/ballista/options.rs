//! The settings of a scheduler.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The settings of a scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchedulerOptions {
    /// Address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Host under which executors and drivers reach the scheduler.
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
            bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 50050)),
            external_host: "localhost".to_owned(),
            executor_timeout_seconds: 60,
            no_executors_grace_seconds: 120,
            task_attempts: 4,
            keep_results_seconds: 3600,
            api: serde::de::IgnoredAny,
        }
    }
}
