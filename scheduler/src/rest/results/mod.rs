//! What came of a job: its report, its files, and rows of its tables.

pub(super) mod changed_cells;
pub(super) mod download;
pub(super) mod files;
pub(super) mod lost_rows;
mod output;
pub(super) mod report;

pub(super) use self::changed_cells::{Cells, cells_of};
pub(super) use self::output::{column_types, published_job};
