//! The programs that measure speed and quality.

pub mod commands;
pub mod csv_table;
pub mod figure_table;
pub mod fuzz;
pub mod measure;
pub mod near_duplicates;
pub mod quality;
pub mod record;
pub mod speed;
pub mod workspace;
