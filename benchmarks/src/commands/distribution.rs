//! `benchmarks distribution`: what a cluster costs beside one process on the same cores.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use benchmarks_generator::StandardJob;
use benchmarks_harness::{ClusterOptions, LocalCluster};
use clap::Args;
use serde_json::Value;

use crate::figure_table::figure_table;
use crate::measure::{Usage, run_measured};
use crate::speed::CachedTable;
use crate::workspace::{BENCHMARK_SALT, Workspace, remove_folder};

/// Time the standard clean-up on a local cluster beside one process.
#[derive(Args, Clone, Debug)]
pub struct DistributionArgs {
    /// Rows of the table.
    #[arg(long, default_value_t = 10_000_000)]
    pub rows: u64,
    /// Executors of the cluster.
    #[arg(long, default_value_t = 1)]
    pub executors: usize,
    /// Tasks at the same time, of each executor.
    #[arg(long, default_value_t = 2)]
    pub slots: usize,
    /// Memory limit of each executor's tasks, and of the job in one process.
    #[arg(long, default_value = "2GiB")]
    pub memory_limit: String,
    /// How many times each runs; the best run counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Leave the run in one process out.
    #[arg(long)]
    pub only_cluster: bool,
    /// The program to measure [default: the one built next to this one].
    #[arg(long, value_name = "PATH")]
    pub sanitizer: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &DistributionArgs) -> Result<()> {
    let workspace = Workspace::of_this_build()?;
    let program = workspace.sanitizer(args.sanitizer.as_deref())?;
    let table = CachedTable::open(&workspace.subfolder("data")?, args.rows, 42)?;
    table.warm_up()?;
    let folder = workspace.subfolder("distribution")?;
    let cluster = LocalCluster::start(
        &program,
        ClusterOptions {
            executors: args.executors,
            slots: args.slots,
            memory_limit: Some(args.memory_limit.clone()),
            executor_timeout_seconds: 60,
            no_executors_grace_seconds: 60,
            environment: vec![("SANITIZER_SALT".to_owned(), BENCHMARK_SALT.to_owned())],
            ..ClusterOptions::default()
        },
    )?;
    let url = cluster.url();
    let mut best: [Option<(Usage, Value)>; 2] = [None, None];
    for round in 1..=args.rounds {
        for (place, cluster) in [None, Some(url.as_str())].into_iter().enumerate() {
            if args.only_cluster && cluster.is_none() {
                continue;
            }
            eprintln!(
                "round {round} of {}: {}",
                args.rounds,
                cluster.unwrap_or("one process")
            );
            let run = clean(&program, &table, &folder, &args.memory_limit, cluster)?;
            let known = &mut best[place];
            if known
                .as_ref()
                .is_none_or(|known| run.0.wall_seconds < known.0.wall_seconds)
            {
                *known = Some(run);
            }
        }
    }
    let mut figures = figure_table(&["", "seconds", "pass 1", "write", "peak MB of the driver"]);
    let names = [
        "one process".to_owned(),
        format!("{} executor(s) of {} slots", args.executors, args.slots),
    ];
    let megabytes =
        |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), |b| (b / 1_000_000).to_string());
    for (name, run) in names.iter().zip(&best) {
        let Some((usage, timings)) = run else {
            continue;
        };
        let seconds = |phase: &str| timings[phase].as_f64().unwrap_or_default();
        figures.add_row([
            name.clone(),
            format!("{:.2}", usage.wall_seconds),
            format!("{:.2}", seconds("pass_1")),
            format!("{:.2}", seconds("write")),
            megabytes(usage.peak_bytes),
        ]);
    }
    println!("{} rows, {} bytes of CSV", table.rows, table.bytes);
    println!("{figures}");
    if let [Some((here, _)), Some((there, _))] = &best {
        let ratio = there.wall_seconds / here.wall_seconds;
        println!("cluster / one process: {ratio:.2}");
    }
    for (number, executor) in cluster.executors().iter().enumerate() {
        println!(
            "executor {number}: peak {} MB",
            megabytes(executor.peak_bytes())
        );
    }
    println!(
        "scheduler: peak {} MB",
        megabytes(cluster.scheduler().peak_bytes())
    );
    Ok(())
}

/// Runs the standard job once; gives what it used and the phases of its report.
fn clean(
    program: &Path,
    table: &CachedTable,
    folder: &Path,
    memory_limit: &str,
    cluster: Option<&str>,
) -> Result<(Usage, Value)> {
    let out = folder.join("out");
    remove_folder(&out)?;
    let mut job = StandardJob::new(&table.path.to_string_lossy(), &out.to_string_lossy());
    memory_limit.clone_into(&mut job.memory_limit);
    let spec = folder.join("job.yaml");
    std::fs::write(&spec, job.to_yaml())?;
    let mut command = Command::new(program);
    command.arg("run").arg(spec).arg("--json");
    command.args(cluster.iter().flat_map(|url| ["--cluster", url]));
    command.env("SANITIZER_SALT", BENCHMARK_SALT);
    let (usage, output) = run_measured(&mut command, folder)?;
    let report: Value = serde_json::from_str(&output).context("the job wrote no JSON")?;
    remove_folder(&out)?;
    Ok((usage, report["timings"].clone()))
}
