//! The subcommands of the binary, one file each.

pub mod all;
pub mod attack;
pub mod compare;
mod data_sets;
pub mod demo;
pub mod determinism;
pub mod distribution;
mod failures;
pub mod flight_sql;
pub mod fuzz;
pub mod generate;
pub mod near_dup_quality;
pub mod near_dup_speed;
pub mod quality;
pub mod soak;
pub mod speed;
