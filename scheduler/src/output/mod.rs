//! Outputs, read for those who ask: whole tables as files of one format, and some rows of a table.

mod convert;
mod formula;
mod rows;

pub(crate) use convert::{Format, send};
pub(crate) use rows::{RowFilter, RowPlace, rows};
