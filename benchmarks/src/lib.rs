//! The dirty-data generator with known truth, and the programs that measure speed and quality.

pub mod commands;
pub mod generator;
pub mod measure;
pub mod speed;
pub mod standard_job;
pub mod workspace;
