//! Rows of one file, before they are put together to batches of the dataset.

use arrow::array::ArrayRef;
use arrow::buffer::{BooleanBuffer, NullBuffer};

use super::batch::{BadRow, RowOrigin};

/// Some rows of one file, in the columns of the dataset.
#[derive(Debug)]
pub(super) struct Rows {
    pub columns: Vec<ArrayRef>,
    pub rows: usize,
    pub bad: Vec<BadRow>,
    pub origin: RowOrigin,
}

/// Returns which of `rows` rows are null because they could not be read; `None` when all could.
pub(super) fn null_rows(rows: usize, bad: &[BadRow]) -> Option<NullBuffer> {
    if bad.is_empty() {
        return None;
    }
    let mut bad = bad.iter().map(|b| b.row as usize).peekable();
    let valid = BooleanBuffer::collect_bool(rows, |row| bad.next_if_eq(&row).is_none());
    Some(NullBuffer::new(valid))
}
