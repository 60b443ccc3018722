//! Finding the numbers that someone put into real tables (DGov_NO).

use std::path::Path;

use anyhow::Result;

use super::truth_table::{Deed, TruthTable};
use super::{Agreement, QualityJob, same_value};

/// The methods of the step `outliers`, the default one first; all with their default thresholds.
pub const OUTLIER_METHODS: [&str; 3] = ["iqr", "mad", "zscore"];

/// The tables with planted outliers; none where they are missing.
pub fn outlier_tables(data: &Path) -> Result<Vec<TruthTable>> {
    TruthTable::open_all(&data.join("repair_dgov/DGov_NO"))
}

/// Looks for outliers in all columns of a table, with types as inferred. A cell counts as found when it becomes null,
/// and as right when the clean table has another value there.
pub fn score_outliers(
    table: &TruthTable,
    method: &str,
    sanitizer: &Path,
    folder: &Path,
) -> Result<Agreement> {
    let job = QualityJob {
        text_columns: Vec::new(),
        missing_values: None,
        steps: vec![format!(
            "{{type: outliers, columns: \"*\", method: {method}, action: set_null}}"
        )],
    };
    table.score(&job, sanitizer, folder, |cell| {
        if cell.dirty.is_empty() || !cell.cleaned.is_empty() {
            Deed::LeftAlone
        } else if same_value(cell.dirty, cell.clean) {
            Deed::Wrong
        } else {
            Deed::Right
        }
    })
}
