//! From a function on one text cell to a function on a column.
//!
//! A kernel looks at one cell and says what became of it; [`clean_cells`] runs it over an
//! array, notes which rows changed, and passes on an unchanged array without a copy.

use std::sync::Arc;

use arrow::array::{Array, StringViewArray, StringViewBuilder};
use arrow::buffer::BooleanBuffer;

/// What a kernel says of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The cell is clean as it stands.
    Same,
    /// The cleaned text stands in `out`; the number is the confidence, 1.0 for a deterministic rule.
    Changed(f32),
    /// The text cannot be read as what the kernel expects.
    Invalid,
}

/// A cleaning function of one text cell.
pub trait CellKernel: Send + Sync {
    /// Reads `cell` and, when it answers [`Verdict::Changed`], has written the cleaned text to
    /// `out`, which is empty when the call begins. What `out` holds otherwise is ignored.
    fn clean(&self, cell: &str, out: &mut String) -> Verdict;
}

/// A column after a [`CellKernel`]: the array and what happened to which rows.
#[derive(Debug, Clone)]
pub struct CleanedColumn {
    /// The cleaned cells; the very array that came in when no cell changed. Cells that the
    /// kernel found invalid are as they were.
    pub array: Arc<StringViewArray>,
    /// Rows that changed, ascending.
    pub changed: Vec<u32>,
    /// Confidence of each changed row; empty when all are 1.0.
    pub confidence: Vec<f32>,
    /// Rows whose text the kernel could not read, ascending.
    pub invalid: Vec<u32>,
}

/// Runs `kernel` over every non-null cell of `array` whose row is live (all rows without a mask).
pub fn clean_cells<K: CellKernel + ?Sized>(
    kernel: &K,
    array: &Arc<StringViewArray>,
    live: Option<&BooleanBuffer>,
) -> CleanedColumn {
    let mut out = String::new();
    let mut texts = String::new();
    // End of each changed cell's text within `texts`, so that the array is built only if needed.
    let mut ends: Vec<usize> = Vec::new();
    let (mut changed, mut confidence, mut invalid) = (Vec::new(), Vec::new(), Vec::new());
    let mut certain = true;
    for row in 0..array.len() {
        if array.is_null(row) || live.is_some_and(|mask| !mask.value(row)) {
            continue;
        }
        out.clear();
        match kernel.clean(array.value(row), &mut out) {
            Verdict::Same => {}
            Verdict::Invalid => invalid.push(row as u32),
            Verdict::Changed(score) => {
                texts.push_str(&out);
                ends.push(texts.len());
                changed.push(row as u32);
                confidence.push(score);
                certain &= score >= 1.0;
            }
        }
    }
    if certain {
        confidence.clear();
    }
    let array = if changed.is_empty() {
        Arc::clone(array)
    } else {
        Arc::new(replace_cells(array, &changed, &texts, &ends))
    };
    CleanedColumn {
        array,
        changed,
        confidence,
        invalid,
    }
}

/// `array` with the cells of `rows` replaced by the consecutive pieces of `texts` that end at `ends`.
fn replace_cells(
    array: &StringViewArray,
    rows: &[u32],
    texts: &str,
    ends: &[usize],
) -> StringViewArray {
    let mut builder = StringViewBuilder::with_capacity(array.len());
    let mut next = 0;
    let mut start = 0;
    for row in 0..array.len() {
        if next < rows.len() && rows[next] as usize == row {
            builder.append_value(&texts[start..ends[next]]);
            start = ends[next];
            next += 1;
        } else if array.is_null(row) {
            builder.append_null();
        } else {
            builder.append_value(array.value(row));
        }
    }
    builder.finish()
}
