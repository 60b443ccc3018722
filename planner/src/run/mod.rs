//! A job, from spec to published output.

mod account;
mod audit;
mod discover;
mod job;
mod learn;
mod progress;

pub use discover::{discover, open_source, profile_source};
pub use job::{Finished, JobRun, explain_job};
pub use progress::{Phase, Progress};
