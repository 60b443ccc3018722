//! The physical operators: a scan of splits, a pass that learns, a pass that writes.

mod learn;
mod pass;
mod publish;
mod scan;

pub use learn::{LearnExec, LearnedState, PROFILE_OP, learn_schema};
pub use publish::PublishExec;
pub use scan::{BATCH_ROWS, PARSE_TIME, SplitScan, scan_splits};

/// Metric: processor time spent in the steps, and in looking at columns for the profiles.
pub const STEP_TIME: &str = "steps";

/// Metric: processor time spent in taking down what a pass learns: hashes of rows, values.
pub const LOG_TIME: &str = "hash";

/// Metric: processor time spent in encoding, compressing and writing the tables.
pub const WRITE_TIME: &str = "write";
