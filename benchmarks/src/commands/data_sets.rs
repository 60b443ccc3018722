//! The folder of the labelled data sets.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where the real data lies, seen from this crate: beside the repository, for it is not part of the project.
pub(super) const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");

/// The folder in full; none, and a word about it, where there is no such folder.
pub(super) fn open_data(folder: &Path) -> Result<Option<PathBuf>> {
    if !folder.is_dir() {
        println!(
            "skipped: there is no folder {}, and the data sets are not part of the project",
            folder.display()
        );
        return Ok(None);
    }
    let data = folder
        .canonicalize()
        .with_context(|| format!("cannot open {}", folder.display()))?;
    Ok(Some(data))
}
