//! `benchmarks demo`: the data and the job that the README begins with.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

/// Write a small dirty table and a job spec that cleans it.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// The folder to write customers.csv, job.yaml and the secret salt to.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Runs the command.
pub fn run(args: &DemoArgs) -> Result<()> {
    benchmarks_generator::write_demo(&args.folder)
}
