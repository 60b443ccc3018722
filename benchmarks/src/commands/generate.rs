//! `benchmarks generate`: writes a dirty table with known truth.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use benchmarks_generator::{CustomerGenerator, write_table};
use clap::Args;

/// Write a dirty customer table of any size, and its truth.
#[derive(Args, Clone, Debug)]
pub struct GenerateArgs {
    /// Number of rows.
    #[arg(long, default_value_t = 10_000)]
    pub rows: u64,
    /// The same seed gives the same rows.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// The CSV file to write.
    #[arg(long, value_name = "FILE.csv")]
    pub out: PathBuf,
    /// Where to write the clean values: a CSV file, or a folder, which then gets a truth.csv.
    #[arg(long, value_name = "FILE.csv|DIR")]
    pub truth: Option<PathBuf>,
    /// Near duplicates in a thousand rows: slips, short forms, exchanged and missing values.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=500))]
    pub near_duplicates: u64,
    /// Cut the same rows into this many files NAME-00000.csv … beside --out.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=99_999))]
    pub pieces: u64,
}

/// Runs the command.
pub fn run(args: &GenerateArgs) -> Result<()> {
    let truth = args.truth.as_ref().map(|path| match path.extension() {
        Some(_) if !path.is_dir() => path.clone(),
        _ => path.join("truth.csv"),
    });
    let started = Instant::now();
    let generator = CustomerGenerator::new(args.seed).with_near_duplicates(args.near_duplicates);
    let written = write_table(
        generator,
        args.rows,
        args.pieces,
        &args.out,
        truth.as_deref(),
    )?;
    let seconds = started.elapsed().as_secs_f64();
    for file in &written.files {
        println!("{}", file.display());
    }
    println!(
        "{} rows, {:.1} MB, {} duplicates, {} near duplicates, {} ragged, in {seconds:.1} s ({:.0} rows/s)",
        args.rows,
        written.bytes as f64 / 1e6,
        written.duplicate_rows,
        written.near_duplicate_rows,
        written.ragged_rows,
        args.rows as f64 / seconds.max(1e-9),
    );
    if let Some(truth) = truth {
        println!("truth: {}", truth.display());
    }
    Ok(())
}
