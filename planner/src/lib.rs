//! From a job spec to clean data: what users of the engine see of the crates below `planner/`.

pub use planner_base::{peer, private};
#[cfg(feature = "cluster")]
pub use planner_cluster as cluster;
pub use planner_contract as contract;
pub use planner_engine::{
    Error, ErrorKind, Result, error, matching, operation, operators, program, run, secret, session,
    sink, spec, sql_limits, statistics, steps,
};
pub use planner_profile as profile;
pub use planner_report as report;
pub use planner_source as source;
pub use planner_storage as storage;
pub use planner_telemetry as telemetry;
