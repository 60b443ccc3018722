//! Output of a reader: raw rows, and their position in the files.

use arrow::array::ArrayRef;

/// Bytes of an unreadable record that are kept.
pub(super) const RAW_LIMIT: usize = 64 * 1024;

/// Raw rows in source order, the same columns in every batch of a source.
#[derive(Debug, Clone)]
pub struct RawBatch {
    /// Number of the first row in the dataset.
    pub first_row: u64,
    /// The columns in the order of [`Source::columns`](super::Source::columns).
    pub columns: Vec<ArrayRef>,
    /// Rows of each column.
    pub rows: usize,
    /// Rows that could not be read, ascending; they are null in every column.
    pub bad: Vec<BadRow>,
    /// Where the rows come from: one entry for each file that the batch touches.
    pub origin: Vec<RowOrigin>,
}

impl RawBatch {
    /// Returns the file (index in [`Source::files`](super::Source::files)) and the 1-based line, row or element where
    /// `row` of the batch begins.
    #[must_use]
    pub fn location(&self, row: usize) -> Option<(u32, u64)> {
        let mut row = u32::try_from(row).ok()?;
        for origin in &self.origin {
            if row < origin.rows {
                return Some((origin.file, origin.line(row)));
            }
            row -= origin.rows;
        }
        None
    }
}

/// A record that could not be read as a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Row within the batch.
    pub row: u32,
    /// What is wrong with it.
    pub reason: String,
    /// The record as in the file, cut at 64 KiB; invalid UTF-8 is shown as U+FFFD.
    pub raw: String,
}

/// A run of rows of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowOrigin {
    /// Number of rows.
    pub rows: u32,
    /// Index of the file.
    pub file: u32,
    /// 1-based line where the first row begins.
    pub first_line: u64,
    /// `(row, extra)`, ascending by row: from `row` on, lines are `extra` further than one line a
    /// row would have them (records of several lines, blank lines, comments).
    pub extra_lines: Vec<(u32, u32)>,
}

impl RowOrigin {
    /// Returns the 1-based line where `row` of this run begins.
    #[must_use]
    pub fn line(&self, row: u32) -> u64 {
        let after = self.extra_lines.partition_point(|(from, _)| *from <= row);
        let extra = after
            .checked_sub(1)
            .and_then(|i| self.extra_lines.get(i))
            .map_or(0, |(_, extra)| *extra);
        self.first_line + u64::from(row) + u64::from(extra)
    }

    /// Notes the line of the next row; rows are noted in order.
    pub(super) fn push(&mut self, line: u64) {
        if self.rows == 0 {
            self.first_line = line;
        } else {
            let plain = self.first_line + u64::from(self.rows);
            let extra = u32::try_from(line.saturating_sub(plain)).unwrap_or(u32::MAX);
            if extra != self.extra_lines.last().map_or(0, |(_, extra)| *extra) {
                self.extra_lines.push((self.rows, extra));
            }
        }
        self.rows += 1;
    }
}

/// Returns the record as text, cut where a character ends.
pub(super) fn raw_text(record: &[u8]) -> String {
    let cut = &record[..record.len().min(RAW_LIMIT)];
    let mut text = String::from_utf8_lossy(cut).into_owned();
    if record.len() > cut.len() {
        while text.ends_with(char::REPLACEMENT_CHARACTER) {
            text.pop();
        }
    }
    while text.ends_with(['\n', '\r', '\u{1e}']) {
        text.pop();
    }
    text
}
