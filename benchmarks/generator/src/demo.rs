//! The data and the job that the README begins with.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::generator::CustomerGenerator;
use crate::standard_job::StandardJob;
use crate::write::write_table;

/// Rows of the demo table: enough for every kind of dirt, and done in a moment even unoptimised.
const DEMO_ROWS: u64 = 10_000;
/// Its seed.
const DEMO_SEED: u64 = 42;

/// Writes `customers.csv`, `job.yaml` and the secret salt to a folder, and says so on standard output.
///
/// # Errors
/// When the folder or a file in it cannot be written, or the system has no random numbers for the salt.
pub fn write_demo(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    // Absolute: unlike the locations, the salt is not looked for beside the spec.
    let folder = folder
        .canonicalize()
        .with_context(|| format!("cannot open {}", folder.display()))?;
    let table = folder.join("customers.csv");
    write_table(
        CustomerGenerator::new(DEMO_SEED),
        DEMO_ROWS,
        1,
        &table,
        None,
    )?;
    let salt = folder.join("salt");
    write_salt(&salt)?;
    let mut job = StandardJob::new("customers.csv", "out");
    job.pii_salt = format!("file:{}", salt.display());
    let spec = folder.join("job.yaml");
    std::fs::write(&spec, job.to_yaml())
        .with_context(|| format!("cannot write {}", spec.display()))?;
    println!("{DEMO_ROWS} dirty rows in {}", table.display());
    println!("the job that cleans them is {}", spec.display());
    Ok(())
}

/// Writes a secret of 256 random bits, unless there is one already: hashes of one demo folder stay comparable.
fn write_salt(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut secret = [0_u8; 32];
    OsRng
        .try_fill_bytes(&mut secret)
        .context("the operating system has no random numbers")?;
    let mut text = String::with_capacity(64);
    for byte in secret {
        let _ = write!(text, "{byte:02x}");
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
