//! The dirty-data generator with known truth, and the programs that measure speed and quality.

pub mod commands;
pub mod generator;
pub mod standard_job;
