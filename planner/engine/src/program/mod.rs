//! A job, compiled: its operations, and the passes over the data that they need.

mod compile;
mod describe;
mod passes;
mod plan_spec;
mod profiler;

pub use compile::{OutputColumn, Program, Transformation};
pub use passes::{Action, Pass, plan_passes};
pub use plan_spec::PlanSpec;
pub use profiler::Profiler;
