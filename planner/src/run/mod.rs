//! A job, from spec to published output.

mod account;
mod audit;
mod checkpoints;
mod discover;
mod job;
mod learn;
mod progress;

pub use checkpoints::Checkpoints;
pub use discover::{discover, open_source, profile_source};
pub use job::{Finished, JobRun, explain_job};
pub use progress::{Phase, Progress};
