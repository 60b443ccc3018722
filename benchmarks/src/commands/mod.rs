//! The subcommands of the binary, one file each.

pub mod demo;
pub mod determinism;
pub mod distribution;
pub mod flight_sql;
pub mod generate;
pub mod quality;
pub mod speed;
