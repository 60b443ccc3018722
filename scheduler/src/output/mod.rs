//! Outputs, read for those who ask: whole tables as files of one format, and some rows of a table.

mod convert;
mod formula;
mod rows;
mod table;

pub(crate) use convert::{Format, send};
pub(crate) use rows::{RowFilter, RowPlace, rows};
pub(crate) use table::open_table;
