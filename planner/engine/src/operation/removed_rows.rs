//! Rows that leave in the pass that learns, and must not count in what it learns behind them.

/// Row ids, ascending.
#[derive(Debug, Clone, Default)]
pub struct RemovedRows(Vec<u64>);

impl RemovedRows {
    /// Adds rows that leave.
    pub fn extend(&mut self, rows: impl IntoIterator<Item = u64>) {
        self.0.extend(rows);
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// Looks rows up in ascending order.
    pub fn cursor(&self) -> RemovedCursor<'_> {
        RemovedCursor {
            rows: &self.0,
            next: 0,
        }
    }
}

/// A place among rows that leave. Asking for a smaller row than before begins again.
#[derive(Debug)]
pub struct RemovedCursor<'a> {
    rows: &'a [u64],
    next: usize,
}

impl RemovedCursor<'_> {
    /// Whether the row leaves.
    pub fn contains(&mut self, row: u64) -> bool {
        if self.next > 0 && self.rows[self.next - 1] >= row {
            self.next = self.rows.partition_point(|gone| *gone < row);
        }
        while self.rows.get(self.next).is_some_and(|gone| *gone < row) {
            self.next += 1;
        }
        self.rows.get(self.next) == Some(&row)
    }
}
