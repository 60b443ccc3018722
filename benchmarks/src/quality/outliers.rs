//! Finding the numbers that someone put into real tables (DGov_NO).

use std::path::Path;

use anyhow::{Result, ensure};

use super::job::QualityJob;
use super::repair::tables;
use super::{Agreement, same_value};
use crate::csv_table::CsvTable;

/// The methods of the step `outliers`, the default one first; all with their default thresholds.
pub const OUTLIER_METHODS: [&str; 3] = ["iqr", "mad", "zscore"];

/// Looks for outliers in all columns of every table, with types as inferred. A cell counts as found when it becomes
/// null, and as right when the clean table has another value there. Returns nothing where the tables are missing.
pub fn score_outliers(
    data: &Path,
    method: &str,
    sanitizer: &Path,
    folder: &Path,
) -> Result<Vec<(String, Agreement)>> {
    let job = QualityJob {
        text_columns: Vec::new(),
        missing_values: None,
        steps: vec![format!(
            "{{type: outliers, columns: \"*\", method: {method}, action: set_null}}"
        )],
    };
    let mut scores = Vec::new();
    for table in tables(&data.join("repair_dgov/DGov_NO"))? {
        let dirty_path = table.join("dirty.csv");
        let dirty = CsvTable::read(&dirty_path)?;
        let clean = CsvTable::read(&table.join("clean.csv"))?;
        ensure!(
            dirty.rows.len() == clean.rows.len(),
            "{}: the dirty and the clean table have not the same rows",
            table.display()
        );
        let cleaned = job.run(sanitizer, &dirty_path, dirty.rows.len(), folder)?;
        let mut agreement = Agreement::default();
        for ((dirty, clean), cleaned) in dirty.rows.iter().zip(&clean.rows).zip(&cleaned) {
            let cleaned = cleaned.as_ref().unwrap_or(dirty);
            for ((dirty, clean), cleaned) in dirty.iter().zip(clean).zip(cleaned) {
                let is_dirty = !same_value(dirty, clean);
                let found = !dirty.is_empty() && cleaned.is_empty();
                agreement += Agreement {
                    cells: 1,
                    dirty: u64::from(is_dirty),
                    changed: u64::from(found),
                    correct: u64::from(found && is_dirty),
                };
            }
        }
        let name = table
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        scores.push((name, agreement));
    }
    Ok(scores)
}
