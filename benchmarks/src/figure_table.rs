//! Tables of figures for people.

use comfy_table::{CellAlignment, Table, presets};

/// A table in Markdown whose first column is text and whose others are figures.
pub fn figure_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::ASCII_MARKDOWN)
        .set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
