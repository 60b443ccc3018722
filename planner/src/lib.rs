//! From a job spec to clean data: the spec, the contract, the cleaning steps, the compiler from
//! steps to passes, the operators that run them, the sources and the sinks.

pub mod cluster;
pub mod contract;
pub mod error;
pub mod learn;
pub mod matching;
pub mod operators;
pub mod peer;
pub mod private;
pub mod profile;
pub mod program;
pub mod report;
pub mod run;
pub mod secret;
pub mod session;
pub mod sink;
pub mod source;
pub mod spec;
pub mod steps;
pub mod storage;
pub mod telemetry;

pub use error::{Error, ErrorKind, Result};
