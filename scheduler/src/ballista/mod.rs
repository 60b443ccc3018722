//! Ballista's scheduler with the session of Data Sanitizer.

mod grpc;
mod options;
mod server;
mod stages;
mod watch;

pub use options::SchedulerOptions;
pub use server::{Members, Scheduler, SchedulerError};
