//! A table of customers with known dirt: the demo data, and what the tests and benchmarks measure against.
//!
//! Every row is a function of the seed and its row number alone. So a table of any size streams in constant memory,
//! any row can be made again by itself, and the same rows can be cut into any number of files.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod alteration;
mod cells;
mod csv_line;
mod customer;
mod damage;
mod demo;
mod every_step;
mod generator;
mod notation;
mod random;
mod sequence;
mod standard_job;
mod vocabulary;
mod write;

#[cfg(test)]
mod tests;

pub use alteration::Alteration;
pub use cells::Cells;
pub use csv_line::push_record;
pub use customer::STATUSES;
pub use damage::MISSING_VALUES;
pub use demo::write_demo;
pub use every_step::every_step;
pub use generator::{COLUMNS, CustomerGenerator, Row, TRUTH_COLUMNS};
pub use sequence::RowKind;
pub use standard_job::{StandardJob, conversion, quoted};
pub use write::{Written, write_table};
