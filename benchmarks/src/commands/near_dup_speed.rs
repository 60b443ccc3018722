//! `benchmarks near-dup-speed`: near duplicates at the sizes that people have, with their truth, beside other tools.

use std::path::PathBuf;

use anyhow::Result;
use benchmarks_generator::Alteration;
use clap::Args;

use super::failures::Failures;
use crate::figure_table::figure_table;
use crate::measure::Usage;
use crate::near_duplicates::{
    CustomerScore, CustomerTable, DocumentSet, Found, KernelTime, find_documents_with, time_kernels,
};
use crate::speed::PythonPeers;
use crate::workspace::Workspace;

/// Records a second and core of other tools, as published or measured before: they are not run at these sizes.
const KNOWN_SPEEDS: [(&str, f64); 2] = [
    ("Splink 5, measured on 50,000 records", 6_000.0),
    ("GoldenMatch, published for 100 million records", 2_256.0),
];

/// Time near duplicates in tables and documents of the generator, and count how many are found.
#[derive(Args, Clone, Debug)]
pub struct NearDupSpeedArgs {
    /// Rows of the tables.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_000, 10_000_000])]
    pub rows: Vec<u64>,
    /// Near duplicates in a thousand rows.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=500))]
    pub near_duplicates: u64,
    /// Documents; 0 for none.
    #[arg(long, default_value_t = 200_000)]
    pub documents: u64,
    /// The seed of tables and documents.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// The memory limit of our jobs.
    #[arg(long, default_value = "8GiB")]
    pub memory_limit: String,
    /// Leave the other tools out (they need Python 3 and PyPI).
    #[arg(long)]
    pub no_peers: bool,
    /// The program to measure [default: the one built next to this one].
    #[arg(long, value_name = "PATH")]
    pub sanitizer: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &NearDupSpeedArgs) -> Result<()> {
    let workspace = Workspace::of_this_build()?;
    let sanitizer = workspace.sanitizer(args.sanitizer.as_deref())?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} processors; memory limit {}", args.memory_limit);
    if cfg!(debug_assertions) {
        println!("note: this is not a release build, and the program next to it is not either");
    }
    print_kernels(&time_kernels(args.seed));
    let data = workspace.subfolder("data")?;
    let scratch = workspace.subfolder("near-dup-speed")?;
    let mut results = Vec::new();
    for rows in &args.rows {
        let table = CustomerTable::open(&data, *rows, args.seed, args.near_duplicates)?;
        eprintln!("{rows} rows");
        let (usage, score) = table.clean(&sanitizer, &args.memory_limit, &scratch)?;
        results.push((*rows, usage, score));
    }
    print_customers(&results, cores);
    if let Some(rows) = args.rows.first() {
        let table = CustomerTable::open(&data, *rows, args.seed, args.near_duplicates)?;
        eprintln!("{rows} rows in two parts");
        let (usages, score) = table.clean_in_parts(&sanitizer, &args.memory_limit, &scratch)?;
        print_parts(*rows, &usages, &score);
    }
    if args.documents == 0 {
        return Ok(());
    }
    let documents = DocumentSet::open(&data, args.documents, args.seed)?;
    eprintln!("{} documents", args.documents);
    let (found, usage) = documents.find(&sanitizer, &args.memory_limit, &scratch)?;
    let mut finishes = vec![("sanitizer", found, usage)];
    let mut failures = Failures::default();
    if !args.no_peers {
        println!(
            "peers: {}\n",
            PythonPeers::versions(&["rensa", "datatrove"])
        );
        for (name, script) in PythonPeers::prepare(&workspace)?.documents() {
            eprintln!("{} documents: {name}", args.documents);
            let finish = find_documents_with(script, &documents, &scratch);
            if let Some((found, usage)) = failures.note(name, finish) {
                finishes.push((name, found, usage));
            }
        }
    }
    print_documents(&documents, &finishes, cores);
    failures.into_result()
}

fn print_kernels(times: &[KernelTime]) {
    println!("\nkernels, one thread");
    let mut table = figure_table(&["kernel", "ns", "of one", "known", "ratio"]);
    for time in times {
        let figure = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
        };
        table.add_row(vec![
            time.name.to_owned(),
            format!("{:.1}", time.nanoseconds),
            time.unit.to_owned(),
            figure(time.limit, 1),
            figure(time.limit.map(|limit| time.nanoseconds / limit), 2),
        ]);
    }
    println!("{table}\n");
}

fn print_customers(results: &[(u64, Usage, CustomerScore)], cores: usize) {
    println!("the standard clean-up with near duplicates: CSV to Parquet, provenance and clusters");
    let mut table = figure_table(&[
        "rows",
        "seconds",
        "rows/s",
        "rows/s/core",
        "peak MB",
        "precision",
        "recall",
        "F1",
        "typo",
        "abbreviation",
        "swap",
        "missing",
    ]);
    for (rows, usage, score) in results {
        let speed = *rows as f64 / usage.wall_seconds;
        let mut row = vec![
            rows.to_string(),
            format!("{:.1}", usage.wall_seconds),
            format!("{speed:.0}"),
            format!("{:.0}", speed / cores as f64),
            megabytes(usage),
            figure(score.pairs.precision()),
            figure(score.pairs.recall()),
            figure(score.pairs.f1()),
        ];
        row.extend(Alteration::ALL.map(|kind| figure(score.recall_of(kind))));
        table.add_row(row);
    }
    println!("{table}\n");
    if let Some((rows, usage, _)) = results.last() {
        let ours = *rows as f64 / usage.wall_seconds / cores as f64;
        for (tool, theirs) in KNOWN_SPEEDS {
            let ratio = ours / theirs;
            println!("{tool}: {theirs:.0} records/s/core, ours {ratio:.1} times that");
        }
        println!();
    }
    if let [(few, small, _), .., (many, large, _)] = results {
        let time = large.wall_seconds / small.wall_seconds;
        let size = *many as f64 / *few as f64;
        println!("{size:.1} times the rows took {time:.1} times the time\n");
    }
}

fn print_parts(rows: u64, usages: &[Usage; 2], score: &CustomerScore) {
    println!("the same in two jobs: nine tenths with an index, and the last tenth against it");
    let mut table = figure_table(&["job", "rows", "seconds", "rows/s", "peak MB"]);
    let (first, second) = (rows * 9 / 10, rows - rows * 9 / 10);
    let jobs = ["index: true", "against"].into_iter().zip([first, second]);
    for ((job, rows), usage) in jobs.zip(usages) {
        table.add_row(vec![
            job.to_owned(),
            rows.to_string(),
            format!("{:.1}", usage.wall_seconds),
            format!("{:.0}", rows as f64 / usage.wall_seconds),
            megabytes(usage),
        ]);
    }
    println!("{table}");
    println!(
        "both together: precision {}, recall {}, F1 {}\n",
        figure(score.pairs.precision()),
        figure(score.pairs.recall()),
        figure(score.pairs.f1())
    );
}

fn print_documents(documents: &DocumentSet, finishes: &[(&str, Found, Usage)], cores: usize) {
    println!(
        "{} documents of about 5 KB, near copies by 5 words",
        documents.documents
    );
    let mut table = figure_table(&[
        "tool",
        "seconds",
        "documents/s/core",
        "ours is",
        "peak MB",
        "precision",
        "recall",
    ]);
    let ours = finishes.first().map_or(0.0, |(_, found, _)| found.seconds);
    for (name, found, usage) in finishes {
        let (precision, recall) = documents.score(&found.clusters);
        table.add_row(vec![
            (*name).to_owned(),
            format!("{:.1}", found.seconds),
            format!(
                "{:.0}",
                documents.documents as f64 / found.seconds / cores as f64
            ),
            format!("{:.2}x", found.seconds / ours),
            megabytes(usage),
            figure(precision),
            figure(recall),
        ]);
    }
    println!("{table}");
}

fn megabytes(usage: &Usage) -> String {
    let peak = usage.peak_bytes;
    peak.map_or("-".to_owned(), |bytes| format!("{:.0}", bytes as f64 / 1e6))
}

fn figure(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{share:.4}"))
}
