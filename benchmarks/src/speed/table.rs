//! The tables that the contenders clean, kept from run to run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use benchmarks_generator::{CustomerGenerator, RowKind, write_table};

use crate::workspace::make_once;

/// A table of the generator on the disk.
#[derive(Clone, Debug)]
pub struct CachedTable {
    /// The CSV file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its rows, dirt and all.
    pub rows: u64,
    /// The rows that a clean-up has to leave.
    pub surviving_rows: u64,
}

/// Raised when the generator writes other rows for the same seed, so that no stale table is measured.
const GENERATOR_VERSION: u32 = 1;

impl CachedTable {
    /// The table of this size and seed, made in `folder` unless it is there.
    pub fn open(folder: &Path, rows: u64, seed: u64) -> Result<Self> {
        let path = folder.join(format!("customers-v{GENERATOR_VERSION}-{rows}-{seed}.csv"));
        let generator = CustomerGenerator::new(seed);
        make_once(&path, |unfinished| {
            write_table(generator, rows, 1, unfinished, None).map(|_| ())
        })?;
        let bytes = std::fs::metadata(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .len();
        let originals = (0..rows).filter(|row| generator.kind(*row) == RowKind::Original);
        Ok(Self {
            path,
            bytes,
            rows,
            surviving_rows: originals.count() as u64,
        })
    }

    /// Reads the file once, so that no contender pays for the first reading from the disk.
    pub fn warm_up(&self) -> Result<()> {
        let mut file = std::fs::File::open(&self.path)
            .with_context(|| format!("cannot open {}", self.path.display()))?;
        std::io::copy(&mut file, &mut std::io::sink())
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(())
    }
}
