//! Applies a function of one text cell to a column.
//!
//! A kernel processes one cell and returns a verdict; [`clean_cells`] applies it to an array, records which rows
//! changed, and returns an unchanged array without a copy.

use std::sync::Arc;

use arrow::array::{Array, StringViewArray, StringViewBuilder, make_view};
use arrow::buffer::{BooleanBuffer, Buffer};

/// What a kernel says of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The cell is clean and unchanged.
    Same,
    /// The cleaned text is in `out`; the number is the confidence, 1.0 for a deterministic rule.
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
        Arc::new(replace_cells(array, &changed, texts, &ends))
    };
    CleanedColumn {
        array,
        changed,
        confidence,
        invalid,
    }
}

/// Returns `array` with the cells of `rows` replaced by the consecutive pieces of `texts` that end at `ends`. The other
/// cells are views of the original buffers, which are not copied.
fn replace_cells(
    array: &StringViewArray,
    rows: &[u32],
    texts: String,
    ends: &[usize],
) -> StringViewArray {
    // A view holds 32-bit places.
    let Ok(block) = u32::try_from(array.data_buffers().len()) else {
        return rebuild(array, rows, &texts, ends);
    };
    if u32::try_from(texts.len()).is_err() {
        return rebuild(array, rows, &texts, ends);
    }
    let mut views: Vec<u128> = array.views().to_vec();
    let mut start = 0;
    for (row, end) in rows.iter().zip(ends) {
        views[*row as usize] = make_view(&texts.as_bytes()[start..*end], block, start as u32);
        start = *end;
    }
    let mut buffers = array.data_buffers().to_vec();
    buffers.push(Buffer::from(texts.into_bytes()));
    // SAFETY: the views of `array` are valid for its buffers, which come first in the same order;
    // each new view was made of a piece of `texts`, cut between whole strings, and shows it in the
    // buffer behind them. There is one view a row, as the null buffer has one bit a row.
    unsafe { StringViewArray::new_unchecked(views.into(), buffers, array.nulls().cloned()) }
}

/// What [`replace_cells`] gives, by copying: for texts beyond what views can point at.
fn rebuild(array: &StringViewArray, rows: &[u32], texts: &str, ends: &[usize]) -> StringViewArray {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    /// Doubles cells that begin with `d`, refuses those that begin with `x`.
    struct Double;

    impl CellKernel for Double {
        fn clean(&self, cell: &str, out: &mut String) -> Verdict {
            match cell.chars().next() {
                Some('d') => {
                    out.push_str(cell);
                    out.push_str(cell);
                    Verdict::Changed(0.5)
                }
                Some('x') => Verdict::Invalid,
                _ => Verdict::Same,
            }
        }
    }

    proptest! {
        /// A cleaned column is what its cells say one by one, also of a slice and of dead rows.
        #[test]
        fn a_column_is_its_cells(
            cells in prop::collection::vec(prop::option::of("[dxo\u{e9}]{0,20}"), 0..40),
            dead in prop::collection::vec(any::<bool>(), 40),
            cut in 0usize..10,
        ) {
            let whole = StringViewArray::from_iter(cells.iter().map(|cell| cell.as_deref()));
            let cut = cut.min(cells.len());
            let array = Arc::new(whole.slice(cut, cells.len() - cut));
            let live: Vec<bool> = dead[..array.len()].to_vec();
            let cleaned = clean_cells(&Double, &array, Some(&BooleanBuffer::from(live.clone())));
            for (row, alive) in live.iter().enumerate() {
                let cell = array.is_valid(row).then(|| array.value(row).to_owned());
                let doubled = *alive && cell.as_ref().is_some_and(|cell| cell.starts_with('d'));
                let refused = *alive && cell.as_ref().is_some_and(|cell| cell.starts_with('x'));
                let wanted = if doubled { cell.map(|cell| cell.repeat(2)) } else { cell };
                let found = cleaned.array.is_valid(row).then(|| cleaned.array.value(row).to_owned());
                prop_assert_eq!(found, wanted);
                prop_assert_eq!(cleaned.changed.contains(&(row as u32)), doubled);
                prop_assert_eq!(cleaned.invalid.contains(&(row as u32)), refused);
            }
            let changed: Vec<u32> = cleaned.changed.clone();
            let texts: String = changed.iter().map(|row| cleaned.array.value(*row as usize)).collect();
            let mut end = 0;
            let ends: Vec<usize> = changed.iter().map(|row| {
                end += cleaned.array.value(*row as usize).len();
                end
            }).collect();
            prop_assert_eq!(&rebuild(&array, &changed, &texts, &ends), cleaned.array.as_ref());
        }
    }
}
