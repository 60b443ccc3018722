//! The cells of one row in one buffer, reused from row to row.

use crate::csv_line::push_record;

/// The fields of one row, any number of them, kept in one text so that a row costs no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    /// Forgets all cells and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Adds the cell that `write` appends.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    /// Adds a cell.
    pub(crate) fn push(&mut self, cell: &str) {
        self.push_with(|text| text.push_str(cell));
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The cells from the first to the last.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.text[start..*end])
    }

    /// Cell `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.iter().nth(index)
    }

    /// Appends the row as a line of CSV.
    pub(crate) fn write_csv(&self, line: &mut Vec<u8>) {
        push_record(line, self.iter());
    }
}
