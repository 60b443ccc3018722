//! What cleans a value. One file a concept; no kernel knows of jobs, plans or files.

pub mod boolean;
pub mod canonical;
pub mod cell;
pub(crate) mod mojibake;
pub mod number;
pub mod phone;
pub mod pii;
pub mod row_hash;
pub mod text;
