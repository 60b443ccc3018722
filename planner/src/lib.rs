//! From a job spec to clean data: the spec, the contract, the cleaning steps, the compiler from
//! steps to passes, the operators that run them, the sources and the sinks.

pub mod cluster;
pub mod error;
mod failure;
pub mod matching;
pub mod operation;
pub mod operators;
pub mod program;
mod progress;
pub mod run;
pub mod secret;
pub mod session;
pub mod sink;
pub mod spec;
pub mod statistics;
pub mod steps;

pub use planner_base::{peer, private};
pub use planner_contract as contract;
pub use planner_profile as profile;
pub use planner_report as report;
pub use planner_source as source;
pub use planner_storage as storage;
pub use planner_telemetry as telemetry;

pub use error::{Error, ErrorKind, Result};
