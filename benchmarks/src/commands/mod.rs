//! The subcommands of the binary, one file each.

pub mod demo;
pub mod generate;
pub mod quality;
pub mod speed;
