//! The dirty-data generator with known truth, and the programs that measure speed and quality.

pub mod cluster;
pub mod commands;
pub mod csv_table;
pub mod every_step;
pub mod figure_table;
pub mod fuzz;
pub mod generator;
pub mod measure;
pub mod near_duplicates;
pub mod object_server;
pub mod quality;
pub mod record;
pub mod speed;
pub mod standard_job;
pub mod workspace;
