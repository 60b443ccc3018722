//! The engine: what steps compile to, the statistics and operators that run them, the steps themselves, and the driver
//! that takes a job from its spec to its published output.

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
pub mod sql_limits;
pub mod statistics;
pub mod steps;

use planner_contract as contract;
use planner_profile as profile;
use planner_report as report;
use planner_source as source;
use planner_storage as storage;
use planner_telemetry as telemetry;

pub use error::{Error, ErrorKind, Result};
pub use failure::{failure_for_driver, remote_error};
