//! The operations that steps compile to.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use udfs::kernels::pii::token::TokenVault;

use super::{CleaningBatch, Statistic, StatisticValue};
use crate::error::{Error, Result};

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

/// What applies to a batch. An operation looks at one row at a time; what it must know of the others is a statistic of
/// an earlier pass.
pub trait Op: Debug + Send + Sync {
    /// Columns that decide what the operation does.
    fn reads(&self) -> ColumnSet;

    /// Columns that the operation may change.
    fn writes(&self) -> ColumnSet;

    /// Whether the operation may take rows out.
    fn drops_rows(&self) -> bool {
        false
    }

    /// The statistic of all rows without which the operation cannot be applied.
    fn statistic(&self) -> Option<&dyn Statistic> {
        None
    }

    /// Whether cells of rows that stay may come from rows that leave.
    fn takes_from_others(&self) -> bool {
        false
    }

    /// Whether the next operation's statistics depend on this operation's result.
    fn is_prerequisite(&self) -> bool {
        false
    }

    /// Columns whose values it turns into tokens, and what seals the values.
    fn token_columns(&self) -> Vec<(usize, Arc<TokenVault>)> {
        Vec::new()
    }

    /// Applies the operation. `value` is that of [`Op::statistic`].
    ///
    /// # Errors
    /// The statistic is not known, or a cell cannot be computed.
    fn apply(&self, batch: &mut CleaningBatch, value: Option<&StatisticValue>) -> Result<()>;
}

/// The value of an operation's statistic, which has this type.
///
/// # Errors
/// It is not known, or of another type: a bug of this program.
pub fn known<T: Any>(value: Option<&StatisticValue>) -> Result<&T> {
    value
        .and_then(StatisticValue::get)
        .ok_or(Error::Bug("a statistic that was not computed"))
}

/// An operation in a program, with the transformation it belongs to.
#[derive(Debug)]
pub struct ProgramOp {
    /// Number of the transformation: `t-1` is 0.
    pub transformation: u16,
    /// The operation.
    pub op: Box<dyn Op>,
}
