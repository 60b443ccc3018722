//! `benchmarks near-dup-quality`: near duplicates found in tables whose true pairs are known, beside Splink.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::data_sets::{DATA, open_data};
use super::failures::Failures;
use crate::figure_table::figure_table;
use crate::near_duplicates::{
    Found, LabelledTable, LabelledTables, PairScore, find_with_sanitizer, find_with_splink,
};
use crate::speed::PythonPeers;
use crate::workspace::Workspace;

/// Measure how well near duplicates are found, beside Splink.
#[derive(Args, Clone, Debug)]
pub struct NearDupQualityArgs {
    /// The folder of the data sets.
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// Leave Splink out (it needs Python 3 and PyPI).
    #[arg(long)]
    pub no_peers: bool,
    /// The program to measure [default: the one built next to this one].
    #[arg(long, value_name = "PATH")]
    pub sanitizer: Option<PathBuf>,
}

/// Runs the command. A goal that is missed is no failure.
pub fn run(args: &NearDupQualityArgs) -> Result<()> {
    let Some(data) = open_data(&args.data)? else {
        return Ok(());
    };
    let workspace = Workspace::of_this_build()?;
    let sanitizer = workspace.sanitizer(args.sanitizer.as_deref())?;
    let tables = LabelledTables::open(&data)?;
    for file in &tables.missing {
        println!("skipped: no {file} in {}", data.display());
    }
    let mut contest = Contest {
        sanitizer,
        splink: splink(args, &workspace),
        folder: workspace.subfolder("near-dup-quality")?,
        failures: Failures::default(),
    };
    print_pairs(&tables.with_duplicates, &mut contest);
    print_false_merges(&tables.without_duplicates, &mut contest);
    contest.failures.into_result()
}

/// The environment with Splink; nothing, with a word why, where it cannot be made.
fn splink(args: &NearDupQualityArgs, workspace: &Workspace) -> Option<PythonPeers> {
    if args.no_peers {
        return None;
    }
    let peers = PythonPeers::prepare(workspace);
    peers
        .inspect(|_| println!("peer: {}", PythonPeers::versions(&["splink", "duckdb"])))
        .inspect_err(|error| println!("without Splink: {error:#}"))
        .ok()
}

/// Who takes part, and what has failed so far.
struct Contest {
    sanitizer: PathBuf,
    splink: Option<PythonPeers>,
    folder: PathBuf,
    failures: Failures,
}

impl Contest {
    /// What the sanitizer and Splink make of a table; nothing where one failed, or does not take part.
    fn run<T>(
        &mut self,
        table: &LabelledTable,
        measure: impl Fn(Found) -> Result<T>,
    ) -> [Option<T>; 2] {
        eprintln!("{}", table.name);
        let ours = find_with_sanitizer(table, &self.sanitizer, &self.folder).and_then(&measure);
        let ours = self.failures.note(&table.name, ours);
        let splink = self.splink.as_ref().and_then(|peers| {
            find_with_splink(table, peers, &self.folder)
                .and_then(&measure)
                .inspect_err(|error| println!("without Splink: {}: {error:#}", table.name))
                .ok()
        });
        [ours, splink]
    }
}

fn print_pairs(tables: &[LabelledTable], contest: &mut Contest) {
    println!("near duplicates, pair by pair, with one configuration for all tables");
    let mut output = figure_table(&[
        "table",
        "rows",
        "true pairs",
        "precision",
        "recall",
        "F1",
        "seconds",
        "Splink: precision",
        "recall",
        "F1",
        "seconds",
        "goal",
    ]);
    let mut missed = Vec::new();
    for table in tables {
        let [ours, splink] = contest.run(table, |found| {
            Ok((table.score(&found.clusters)?, found.seconds))
        });
        let mut row = vec![
            table.name.clone(),
            table.rows().to_string(),
            table.true_pairs().to_string(),
        ];
        row.extend(figures(ours));
        row.extend(figures(splink));
        row.push(figure(table.goal));
        output.add_row(row);
        if let (Some(goal), Some((score, _))) = (table.goal, ours)
            && in_ten_thousands(score.f1().unwrap_or(0.0)) < in_ten_thousands(goal)
        {
            let f1 = figure(score.f1());
            missed.push(format!("{} ({f1} of {goal:.4})", table.name));
        }
    }
    println!("{output}");
    if missed.is_empty() {
        println!("no goal was missed\n");
    } else {
        println!("goals missed: {}\n", missed.join("; "));
    }
}

/// Goals and figures compare as they are printed.
fn in_ten_thousands(share: f64) -> i64 {
    (share * 10_000.0).round() as i64
}

fn figure(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{share:.4}"))
}

fn figures(result: Option<(PairScore, f64)>) -> [String; 4] {
    let score = result.map(|(score, _)| score);
    [
        figure(score.and_then(|score| score.precision())),
        figure(score.and_then(|score| score.recall())),
        figure(score.and_then(|score| score.f1())),
        result.map_or("-".to_owned(), |(_, seconds)| format!("{seconds:.1}")),
    ]
}

fn print_false_merges(tables: &[LabelledTable], contest: &mut Contest) {
    println!("tables without duplicates: every row that goes is a mistake");
    let mut output = figure_table(&["table", "rows", "wrongly removed", "Splink"]);
    for table in tables {
        let results = contest.run(table, |found| {
            // Clusters that cannot be are a failure here as well.
            table.score(&found.clusters)?;
            Ok(found.removed().to_string())
        });
        let mut row = vec![table.name.clone(), table.rows().to_string()];
        row.extend(results.map(|removed| removed.unwrap_or("-".to_owned())));
        output.add_row(row);
    }
    println!("{output}");
}
