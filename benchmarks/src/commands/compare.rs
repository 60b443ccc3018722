//! `benchmarks compare`: two runs of all benchmarks beside each other.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::record::{Record, compare};

/// Compare two runs of `all`, by ratios to the peers and by quality; fails where the later one is worse.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// record.json of the earlier run.
    pub before: PathBuf,
    /// record.json of the later run.
    pub after: PathBuf,
    /// How many times as large a ratio may be.
    #[arg(long, default_value_t = 1.25)]
    pub factor: f64,
    /// How much of a share (precision, recall, F1, success) may be lost.
    #[arg(long, default_value_t = 0.01)]
    pub loss: f64,
}

fn read(path: &Path) -> Result<Record> {
    let name = || path.display().to_string();
    let content = std::fs::read(path).with_context(name)?;
    serde_json::from_slice(&content).with_context(name)
}

/// Runs the command.
pub fn run(args: &CompareArgs) -> Result<()> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    if before.machine != after.machine {
        println!("note: the machines differ; ratios may too");
    }
    let changes = compare(&before, &after, args.factor, args.loss);
    for change in &changes {
        let [section, table, row, column] = &change.what;
        let word = if change.worse { "worse" } else { "better" };
        println!(
            "{word}: {section}: {table}: {row}: {column}: {} before, {} now",
            change.before, change.after
        );
    }
    let worse = changes.iter().filter(|change| change.worse).count();
    match worse {
        0 => {
            println!("nothing is worse");
            Ok(())
        }
        worse => bail!("{worse} figures are worse"),
    }
}
