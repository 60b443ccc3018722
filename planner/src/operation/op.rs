//! The operations that steps compile to.

use std::fmt::Debug;
use std::sync::Arc;

use udfs::kernels::pii::token::TokenVault;

use super::{CleaningBatch, Learned, Need};
use crate::error::Result;

/// Columns by their number in the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnSet(Vec<bool>);

impl ColumnSet {
    /// No column.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column.
    pub fn insert(&mut self, column: usize) {
        if self.0.len() <= column {
            self.0.resize(column + 1, false);
        }
        self.0[column] = true;
    }

    /// Adds the columns of another set.
    pub fn extend(&mut self, other: &Self) {
        for column in other.iter() {
            self.insert(column);
        }
    }

    /// Whether the sets share a column.
    pub fn meets(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .any(|(left, right)| *left && *right)
    }

    /// The columns, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, inside)| **inside)
            .map(|(column, _)| column)
    }
}

impl FromIterator<usize> for ColumnSet {
    fn from_iter<I: IntoIterator<Item = usize>>(columns: I) -> Self {
        let mut set = Self::new();
        columns.into_iter().for_each(|column| set.insert(column));
        set
    }
}

/// What applies to a frame. An operation looks at one row at a time; what it must know of the
/// others it has learned in an earlier pass.
pub trait Op: Debug + Send + Sync {
    /// Columns that decide what the operation does.
    fn reads(&self) -> ColumnSet;

    /// Columns that the operation may change.
    fn writes(&self) -> ColumnSet;

    /// Whether the operation may take rows out.
    fn drops_rows(&self) -> bool {
        false
    }

    /// What must be learned from all rows before the operation can be applied.
    fn need(&self) -> Option<Need> {
        None
    }

    /// Whether the next operation's statistics depend on this operation's result.
    fn is_prerequisite(&self) -> bool {
        false
    }

    /// Columns whose values it turns into tokens, and what seals the values.
    fn token_columns(&self) -> Vec<(usize, Arc<TokenVault>)> {
        Vec::new()
    }

    /// Applies the operation. `learned` is the answer to [`Op::need`].
    fn apply(&self, frame: &mut CleaningBatch, learned: Option<&Learned>) -> Result<()>;
}

/// An operation in a program, with the transformation it belongs to.
#[derive(Debug)]
pub struct ProgramOp {
    /// Number of the transformation: `t-1` is 0.
    pub transformation: u16,
    /// The operation.
    pub op: Box<dyn Op>,
}
