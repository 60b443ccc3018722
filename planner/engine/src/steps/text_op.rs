//! One kernel over the cells of text columns: what most of the row-wise steps compile to.

use std::fmt;
use std::sync::Arc;

use arrow::array::AsArray;
use udfs::kernels::cell::{CellKernel, CleanedColumn, clean_cells};

use crate::error::{Error, Result};
use crate::operation::{ChangeSource, CleaningBatch, ColumnSet, Confidence, Op, StatisticValue};

/// What becomes of a cell that the kernel cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    SetNull,
    Keep,
}

/// A kernel on some text columns.
pub(super) struct TextOp {
    pub(super) name: &'static str,
    pub(super) transformation: u16,
    /// Columns, each with its kernel.
    pub(super) columns: Vec<(usize, Arc<dyn CellKernel>)>,
    pub(super) unreadable: Unreadable,
    pub(super) source: ChangeSource,
}

impl fmt::Debug for TextOp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<usize> = self.columns.iter().map(|(column, _)| *column).collect();
        formatter.debug_tuple(self.name).field(&columns).finish()
    }
}

impl Op for TextOp {
    fn reads(&self) -> ColumnSet {
        self.columns.iter().map(|(column, _)| *column).collect()
    }

    fn writes(&self) -> ColumnSet {
        self.reads()
    }

    fn apply(&self, frame: &mut CleaningBatch, _: Option<&StatisticValue>) -> Result<()> {
        for (column, kernel) in &self.columns {
            clean_column(
                frame,
                self.transformation,
                *column,
                kernel.as_ref(),
                self.unreadable,
                self.source,
            )?;
        }
        Ok(())
    }
}

/// Runs a kernel over one text column of a frame.
pub(super) fn clean_column(
    frame: &mut CleaningBatch,
    transformation: u16,
    column: usize,
    kernel: &dyn CellKernel,
    unreadable: Unreadable,
    source: ChangeSource,
) -> Result<()> {
    let array = frame.columns[column]
        .as_any()
        .downcast_ref()
        .map(|text: &arrow::array::StringViewArray| Arc::new(text.clone()))
        .ok_or(Error::Bug("a text step on a column that is not text"))?;
    let CleanedColumn {
        array: cleaned,
        changed,
        confidence,
        invalid,
    } = clean_cells(kernel, &array, frame.live());
    let confidence = if confidence.is_empty() {
        Confidence::All(1.0)
    } else {
        Confidence::Each(confidence)
    };
    if !changed.is_empty() {
        frame.change(transformation, column, cleaned, changed, confidence, source);
    }
    if !invalid.is_empty() {
        frame
            .invalid
            .push((transformation, column, invalid.len() as u64));
        if unreadable == Unreadable::SetNull {
            frame.set_null(transformation, column, invalid, Confidence::All(1.0))?;
        }
    }
    debug_assert!(frame.columns[column].as_string_view_opt().is_some());
    Ok(())
}
