//! A real dirty table and its clean version.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Agreement, QualityJob, same_value};
use crate::csv_table::CsvTable;

/// Two tables that correspond cell by cell, by position.
#[derive(Clone, Debug)]
pub struct TruthTable {
    /// What it is called in the results.
    pub name: String,
    pub(super) dirty: CsvTable,
    dirty_path: PathBuf,
    clean: CsvTable,
}

/// One cell in its three versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'a> {
    pub(super) dirty: &'a str,
    pub(super) clean: &'a str,
    pub(super) cleaned: &'a str,
}

/// What a cleaner did to a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    LeftAlone,
    Right,
    Wrong,
}

impl TruthTable {
    /// Reads `dirty.csv` and `clean.csv` of a folder.
    pub(super) fn open(folder: &Path, name: &str) -> Result<Self> {
        let dirty_path = folder.join("dirty.csv");
        let dirty = CsvTable::read(&dirty_path)?;
        let clean = CsvTable::read(&folder.join("clean.csv"))?;
        ensure!(
            dirty.rows.len() == clean.rows.len(),
            "{}: the dirty and the clean table have not the same rows",
            folder.display()
        );
        let name = name.to_owned();
        Ok(Self {
            name,
            dirty,
            dirty_path,
            clean,
        })
    }

    /// The tables in the folders of a folder, by name; none where it is missing.
    pub(super) fn open_all(folder: &Path) -> Result<Vec<Self>> {
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries = std::fs::read_dir(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut folders: Vec<_> = folders
            .filter(|path| path.join("dirty.csv").is_file())
            .collect();
        folders.sort();
        let name = |folder: &Path| {
            folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        folders
            .iter()
            .map(|folder| Self::open(folder, &name(folder)))
            .collect()
    }

    /// Runs a job on the dirty table and judges every cell. A row that was set aside counts as left alone.
    pub(super) fn score(
        &self,
        job: &QualityJob,
        sanitizer: &Path,
        folder: &Path,
        judge: impl Fn(Cell<'_>) -> Deed,
    ) -> Result<Agreement> {
        let cleaned = job.run(sanitizer, &self.dirty_path, self.dirty.rows.len(), folder)?;
        let mut agreement = Agreement::default();
        for ((dirty, clean), cleaned) in self.dirty.rows.iter().zip(&self.clean.rows).zip(&cleaned)
        {
            let cleaned = cleaned.as_ref().unwrap_or(dirty);
            ensure!(
                cleaned.len() == dirty.len() && clean.len() == dirty.len(),
                "{}: the tables have not the same columns",
                self.name
            );
            for ((dirty, clean), cleaned) in dirty.iter().zip(clean).zip(cleaned) {
                let deed = judge(Cell {
                    dirty,
                    clean,
                    cleaned,
                });
                agreement += Agreement {
                    cells: 1,
                    dirty: u64::from(!same_value(dirty, clean)),
                    changed: u64::from(deed != Deed::LeftAlone),
                    correct: u64::from(deed == Deed::Right),
                };
            }
        }
        Ok(agreement)
    }
}
