//! The physical operators: a scan of splits, a pass that learns, the sum of its keys on many
//! workers, a pass that writes, and one that gives the cleaned rows.

mod clean;
mod learn;
mod metrics;
mod pass;
mod publish;
mod scan;
mod state;
mod sum;

pub use clean::CleanExec;
pub use learn::{LearnExec, PROFILE_OP, PartialStateExchange, learn_schema};
pub(crate) use metrics::of_operations;
pub use publish::PublishExec;
pub use scan::scan_of;
pub use scan::{ACCOUNT_COLUMNS, PARSE_TIME, SplitScan, scan_groups, scan_splits};
pub use state::{Known, PassState};
pub use sum::{SumExec, SumOrder, for_each_state};

/// Metric: processor time spent in the steps, and in looking at columns for the profiles.
pub const STEP_TIME: &str = "steps";

/// Metric: processor time spent in taking down what a pass learns: hashes of rows, values.
pub const LOG_TIME: &str = "hash";

/// Metric: processor time spent in encoding, compressing and writing the tables.
pub const WRITE_TIME: &str = "write";
