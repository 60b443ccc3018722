//! `benchmarks speed`: the standard clean-up, timed beside other engines.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::speed::{
    CachedTable, Contender, Floors, Measured, PythonPeers, print_floors, print_growth,
    print_results,
};
use crate::workspace::Workspace;

/// Time the standard clean-up beside DuckDB and Polars.
#[derive(Args, Clone, Debug)]
pub struct SpeedArgs {
    /// Sizes of the tables; may be given more than once.
    #[arg(long, default_values_t = [2_000_000, 10_000_000])]
    pub rows: Vec<u64>,
    /// The seed of the tables.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// How many times each program runs; the best run counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// The memory limit of our jobs.
    #[arg(long, default_value = "2GiB")]
    pub memory_limit: String,
    /// Leave the other engines out (they need Python 3 and PyPI).
    #[arg(long, conflicts_with = "only_peers")]
    pub no_peers: bool,
    /// Run only the other engines.
    #[arg(long)]
    pub only_peers: bool,
    /// The program to measure [default: the one built next to this one].
    #[arg(long, value_name = "PATH")]
    pub sanitizer: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &SpeedArgs) -> Result<()> {
    let workspace = Workspace::of_this_build()?;
    let contenders = contenders(args, &workspace)?;
    println!(
        "{} processors; best of {} rounds; peers: {}",
        std::thread::available_parallelism().map_or(1, usize::from),
        args.rounds,
        if args.no_peers {
            "none".to_owned()
        } else {
            PythonPeers::versions(&["duckdb", "polars"])
        },
    );
    if cfg!(debug_assertions) {
        println!("note: this is not a release build, and the program next to it is not either");
    }
    let data = workspace.subfolder("data")?;
    let scratch = workspace.subfolder("speed")?;
    let mut tables = Vec::new();
    for rows in &args.rows {
        let table = CachedTable::open(&data, *rows, args.seed)?;
        table.warm_up()?;
        let mut results: Vec<Measured> = Vec::new();
        // Interleaved, so that a change of the machine's mood meets all of them.
        for round in 1..=args.rounds {
            for (index, contender) in contenders.iter().enumerate() {
                eprintln!(
                    "{rows} rows, round {round} of {}: {}",
                    args.rounds,
                    contender.name()
                );
                let finish = contender.run(&table, &scratch)?;
                match results.get_mut(index) {
                    Some(measured) => measured.add(finish),
                    None => results.push(Measured::first(contender.clone(), finish)),
                }
            }
        }
        print_results(&table, &results);
        if !args.only_peers {
            print_floors(&table, &Floors::measure(&table)?);
        }
        tables.push((table, results));
    }
    print_growth(&tables);
    Ok(())
}

fn contenders(args: &SpeedArgs, workspace: &Workspace) -> Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    if !args.only_peers {
        let program = workspace.sanitizer(args.sanitizer.as_deref())?;
        contenders.extend([true, false].map(|provenance| Contender::Sanitizer {
            program: program.clone(),
            provenance,
            memory_limit: args.memory_limit.clone(),
        }));
    }
    if !args.no_peers {
        contenders.extend(PythonPeers::prepare(workspace)?.contenders());
    }
    Ok(contenders)
}
