//! Repairing real dirty tables, cell by cell against their clean versions.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::job::{QualityJob, list};
use super::{Agreement, same_value};
use crate::csv_table::CsvTable;

/// A dirty table with its truth and the job that a person would write for it at first sight.
#[derive(Clone, Debug)]
pub struct RepairSet {
    /// What it is called in the results.
    pub name: String,
    dirty_path: PathBuf,
    dirty: CsvTable,
    clean: CsvTable,
    job: QualityJob,
}

impl RepairSet {
    fn open(folder: &Path, name: &str, job: impl FnOnce(&CsvTable) -> QualityJob) -> Result<Self> {
        let dirty_path = folder.join("dirty.csv");
        let dirty = CsvTable::read(&dirty_path)?;
        let clean = CsvTable::read(&folder.join("clean.csv"))?;
        ensure!(
            dirty.rows.len() == clean.rows.len(),
            "{}: the dirty and the clean table have not the same rows",
            folder.display()
        );
        let job = job(&dirty);
        Ok(Self {
            name: name.to_owned(),
            dirty_path,
            dirty,
            clean,
            job,
        })
    }
}

/// The sets of the data folder that are there: the hospitals, the beers, and the tables of DGov_Typo.
pub fn repair_sets(data: &Path) -> Result<Vec<RepairSet>> {
    let mut sets = Vec::new();
    let hospital = data.join("repair_hospital");
    if hospital.is_dir() {
        sets.push(RepairSet::open(&hospital, "hospital", typo_job)?);
    }
    let beers = data.join("repair_beers");
    if beers.is_dir() {
        sets.push(RepairSet::open(&beers, "beers", beers_job)?);
    }
    for table in tables(&data.join("repair_dgov/DGov_Typo"))? {
        let name = table
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        sets.push(RepairSet::open(
            &table,
            &format!("DGov_Typo/{name}"),
            typo_job,
        )?);
    }
    Ok(sets)
}

/// The folders that hold a table each, by name; none where the folder is missing.
pub(super) fn tables(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut tables: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("dirty.csv").is_file())
        .collect();
    tables.sort();
    Ok(tables)
}

/// Typos in a table of which nothing is known: text is normalised, and near-copies of values that a text column
/// repeats become those values.
fn typo_job(dirty: &CsvTable) -> QualityJob {
    let columns = list(&text_columns(dirty));
    QualityJob {
        text_columns: dirty.header.clone(),
        missing_values: None,
        steps: vec![
            format!("{{type: normalize_text, columns: {columns}}}"),
            format!("{{type: canonicalize, columns: {columns}, learn: true}}"),
        ],
    }
}

/// Beers: three columns are plainly numbers with units, and N/A says that there is none.
fn beers_job(dirty: &CsvTable) -> QualityJob {
    let mut job = typo_job(dirty);
    job.missing_values = Some(vec![String::new(), "N/A".to_owned()]);
    job.steps.push(
        "{type: normalize, kind: number, columns: [ounces, abv, ibu], on_invalid: keep}".to_owned(),
    );
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

/// Runs the set's job and compares by position. A row that was set aside counts as unchanged.
pub fn score_repairs(set: &RepairSet, sanitizer: &Path, folder: &Path) -> Result<Agreement> {
    let cleaned = set
        .job
        .run(sanitizer, &set.dirty_path, set.dirty.rows.len(), folder)?;
    let mut agreement = Agreement::default();
    for ((dirty, clean), cleaned) in set.dirty.rows.iter().zip(&set.clean.rows).zip(&cleaned) {
        let cleaned = cleaned.as_ref().unwrap_or(dirty);
        ensure!(
            cleaned.len() == dirty.len(),
            "{}: the cleaned table has other columns",
            set.name
        );
        for ((dirty, clean), cleaned) in dirty.iter().zip(clean).zip(cleaned) {
            let changed = !same_value(dirty, cleaned);
            agreement += Agreement {
                cells: 1,
                dirty: u64::from(!same_value(dirty, clean)),
                changed: u64::from(changed),
                correct: u64::from(changed && same_value(cleaned, clean)),
            };
        }
    }
    Ok(agreement)
}
