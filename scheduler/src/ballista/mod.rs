//! Ballista's scheduler with the session of Data Sanitizer.

mod options;
mod server;

pub use options::SchedulerOptions;
pub use server::{Scheduler, SchedulerError};
