//! Programs of one build, which cargo puts into one folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Returns the program of a name that lies beside another one. Cargo tells a test where the programs of its own package are;
/// those of other packages are found by this.
///
/// # Errors
/// When it was not built.
pub fn program_beside(program: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = program.parent().context("the program lies in no folder")?;
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    ensure!(
        path.is_file(),
        "there is no {}: build the whole workspace (cargo build --workspace)",
        path.display()
    );
    Ok(path)
}
