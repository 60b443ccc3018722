//! What every program of Data Sanitizer does as a process: its allocator, its log and traces, its settings and runtime, the
//! certificates that it proves itself with in a cluster, the endpoint of its metrics, and its exit status.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod allocator;
mod cluster_tls;
pub mod ending;
pub mod log;
mod period;
pub mod runtime;
mod say;
pub mod scrape;
mod settings;

pub use cluster_tls::ClusterTlsArguments;
pub use period::Period;
pub use say::say;
pub use settings::{section, settings};
