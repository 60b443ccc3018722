//! From a job spec to clean data: the spec, the contract, the cleaning steps, the compiler from
//! steps to passes, the operators that run them, the sources and the sinks.

pub mod contract;
pub mod profile;
pub mod spec;
