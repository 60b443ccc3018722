//! Repairing real dirty tables, cell by cell against their clean versions.

use std::path::Path;

use anyhow::Result;

use super::job::{QualityJob, list};
use super::truth_table::{Cell, Deed, TruthTable};
use super::{Agreement, same_value};
use crate::csv_table::CsvTable;

/// A dirty table with its truth and the job that a person would write for it at first sight.
#[derive(Clone, Debug)]
pub struct RepairSet {
    /// The table.
    pub table: TruthTable,
    job: QualityJob,
}

/// The sets of the data folder that are there: the hospitals, the beers, and the tables of DGov_Typo.
pub fn repair_sets(data: &Path) -> Result<Vec<RepairSet>> {
    let mut sets = Vec::new();
    for (name, job) in [
        ("hospital", typo_job as fn(&CsvTable) -> QualityJob),
        ("beers", beers_job),
    ] {
        let folder = data.join(format!("repair_{name}"));
        if folder.is_dir() {
            let table = TruthTable::open(&folder, name)?;
            let job = job(&table.dirty);
            sets.push(RepairSet { table, job });
        }
    }
    for mut table in TruthTable::open_all(&data.join("repair_dgov/DGov_Typo"))? {
        table.name.insert_str(0, "DGov_Typo/");
        let job = typo_job(&table.dirty);
        sets.push(RepairSet { table, job });
    }
    Ok(sets)
}

/// Typos in a table of which nothing is known: text is normalised, and near-copies of values that a text column
/// repeats become those values.
fn typo_job(dirty: &CsvTable) -> QualityJob {
    let columns = text_columns(dirty);
    let steps = if columns.is_empty() {
        vec!["{type: normalize_text}".to_owned()]
    } else {
        let columns = list(&columns);
        vec![
            format!("{{type: normalize_text, columns: {columns}}}"),
            format!("{{type: canonicalize, columns: {columns}, learn: true}}"),
        ]
    };
    QualityJob {
        text_columns: dirty.header.clone(),
        missing_values: None,
        steps,
    }
}

/// Beers: three columns are plainly numbers with units, and N/A says that there is none.
fn beers_job(dirty: &CsvTable) -> QualityJob {
    let mut job = typo_job(dirty);
    job.missing_values = Some(vec![String::new(), "N/A".to_owned()]);
    let numbers = "{type: normalize, kind: number, columns: [ounces, abv, ibu], on_invalid: keep}";
    // First, before a learned spelling takes one unit for a misspelt other.
    job.steps.insert(0, numbers.to_owned());
    job
}

/// The columns of words: those with a letter in at least half of their cells that are not empty.
fn text_columns(table: &CsvTable) -> Vec<String> {
    let is_text = |column: usize| {
        let cells = table
            .rows
            .iter()
            .filter_map(|row| row.get(column))
            .filter(|cell| !cell.is_empty());
        let (letters, all) = cells.fold((0, 0), |(letters, all), cell| {
            (
                letters + usize::from(cell.chars().any(char::is_alphabetic)),
                all + 1,
            )
        });
        all > 0 && 2 * letters >= all
    };
    let columns = table
        .header
        .iter()
        .enumerate()
        .filter(|(column, _)| is_text(*column));
    columns.map(|(_, name)| name.clone()).collect()
}

/// Runs the set's job. A cell that was changed is right when it equals the clean one.
pub fn score_repairs(set: &RepairSet, sanitizer: &Path, folder: &Path) -> Result<Agreement> {
    set.table.score(&set.job, sanitizer, folder, |cell| {
        let Cell {
            dirty,
            clean,
            cleaned,
        } = cell;
        if same_value(dirty, cleaned) {
            Deed::LeftAlone
        } else if same_value(cleaned, clean) {
            Deed::Right
        } else {
            Deed::Wrong
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A column is text when most of its cells have letters, whatever its empty cells.
    #[test]
    fn text_columns_hold_letters() {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let table = CsvTable {
            header: row(["city", "zip", "unit", "none"]),
            rows: vec![
                row(["Ulm", "1x", "3 oz", ""]),
                row(["", "2", "4", ""]),
                row(["Bonn", "3", "5 oz", ""]),
            ],
        };
        assert_eq!(text_columns(&table), ["city", "unit"]);
    }
}
