//! What cleans a value. One file a concept; no kernel knows of jobs, plans or files.

pub mod boolean;
pub mod cell;
pub mod number;
