//! What every program of Data Sanitizer does as a process: its allocator, its log and its exit status; and with the feature
//! `service` the traces, settings, runtime, certificates and metrics' endpoint of programs that run for long.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod allocator;
#[cfg(feature = "service")]
mod cluster_tls;
pub mod ending;
pub mod log;
#[cfg(feature = "service")]
mod period;
#[cfg(feature = "service")]
pub mod runtime;
#[cfg(feature = "service")]
mod say;
#[cfg(feature = "service")]
pub mod scrape;
#[cfg(feature = "service")]
mod settings;
#[cfg(feature = "service")]
pub mod traces;

#[cfg(feature = "service")]
pub use {
    cluster_tls::ClusterTlsArguments,
    period::Period,
    say::say,
    settings::{section, settings},
};
