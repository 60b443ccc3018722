//! Values as text, as reports show them.

use arrow::array::Array;

/// The value of a row as text; empty for a missing one.
pub fn render_value(array: &dyn Array, row: usize) -> String {
    let _ = (array, row);
    String::new()
}
