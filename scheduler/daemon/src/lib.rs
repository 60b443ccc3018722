//! The scheduler of a cluster as a program: what it takes on its command line, and its run. `sanitizer scheduler` and
//! `sanitizer serve` are made of it too.

pub mod api;
mod arguments;
mod run;

pub use arguments::{MigrateArguments, SchedulerArguments};
pub use run::{migrate, run};
