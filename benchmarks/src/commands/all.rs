//! `benchmarks all`: every measurement in one go, as pages and as data.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::record::{Machine, Record, Section, html_page, markdown_page, tables_of};
use crate::speed::PythonPeers;
use crate::workspace::Workspace;

/// Run all benchmarks and write what they found: report.md, report.html with charts, record.json.
#[derive(Args, Clone, Debug)]
pub struct AllArgs {
    /// Where the pages go [default: target/benchmarks/report].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Small tables and few rounds: whether everything works, in minutes.
    #[arg(long)]
    pub quick: bool,
    /// Run these commands only.
    #[arg(long, value_delimiter = ',', value_name = "COMMAND")]
    pub only: Vec<String>,
    /// Leave the other engines out (they need Python 3 and PyPI).
    #[arg(long)]
    pub no_peers: bool,
    /// An empty Postgres database for `soak`; SQLite when left out.
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}

/// A command, and how it is run.
struct Part {
    name: &'static str,
    about: &'static str,
    full: &'static [&'static str],
    quick: &'static [&'static str],
    /// Whether it can leave peers out.
    has_peers: bool,
}

const PARTS: &[Part] = &[
    Part {
        name: "speed",
        about: "The standard clean-up beside Polars and DuckDB: seconds, memory, and how both grow with the table",
        full: &[],
        quick: &["--rows", "20000", "--rows", "60000", "--rounds", "1"],
        has_peers: true,
    },
    Part {
        name: "near-dup-speed",
        about: "Near duplicates in customers and in documents: seconds, and what was found",
        full: &["--rows", "1000000"],
        quick: &["--rows", "5000", "--documents", "1000"],
        has_peers: true,
    },
    Part {
        name: "near-dup-quality",
        about: "Precision and recall of near duplicates in public tables",
        full: &[],
        quick: &[],
        has_peers: true,
    },
    Part {
        name: "quality",
        about: "Repairs, outliers and notations against the truth of real data",
        full: &[],
        quick: &[],
        has_peers: false,
    },
    Part {
        name: "determinism",
        about: "Every table of twelve jobs, byte by byte, of one process and of clusters",
        full: &[],
        quick: &["--rows", "5000", "--clusters", "2x1"],
        has_peers: false,
    },
    Part {
        name: "distribution",
        about: "What a cluster costs beside one process on the same cores",
        full: &[],
        quick: &["--rows", "50000", "--rounds", "1"],
        has_peers: false,
    },
    Part {
        name: "flight-sql",
        about: "A table read through Flight SQL, by SQL in the process, and by the Parquet reader alone",
        full: &[],
        quick: &["--rows", "50000", "--rounds", "1"],
        has_peers: false,
    },
    Part {
        name: "soak",
        about: "Jobs of many tenants at the service, with faults all along: success, waiting, fairness",
        full: &[],
        quick: &[
            "--jobs",
            "30",
            "--tenants",
            "3",
            "--rows",
            "500",
            "--queued",
            "200",
        ],
        has_peers: false,
    },
];

/// Runs the command.
pub fn run(args: &AllArgs) -> Result<()> {
    let parts = chosen(&args.only)?;
    let workspace = Workspace::of_this_build()?;
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => workspace.subfolder("report")?,
    };
    std::fs::create_dir_all(&folder)?;
    let mut record = Record {
        begun_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        machine: Machine::this(),
        versions: versions(args.no_peers),
        sections: Vec::new(),
    };
    for part in parts {
        eprintln!("{}: {}", part.name, part.about);
        record.sections.push(measure(part, args)?);
        // What is there is kept, should a later one take too long.
        std::fs::write(folder.join("report.md"), markdown_page(&record))?;
        std::fs::write(folder.join("report.html"), html_page(&record)?)?;
        let data = serde_json::to_vec_pretty(&record)?;
        std::fs::write(folder.join("record.json"), data)?;
    }
    println!("{}", folder.join("report.html").display());
    let failed = record.sections.iter().filter(|section| !section.succeeded);
    let failed: Vec<&str> = failed.map(|section| section.name.as_str()).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("failed: {}", failed.join(", ")),
    }
}

fn chosen(only: &[String]) -> Result<Vec<&'static Part>> {
    if only.is_empty() {
        return Ok(PARTS.iter().collect());
    }
    let find = |name: &String| {
        let names = || {
            PARTS
                .iter()
                .map(|part| part.name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let part = PARTS.iter().find(|part| part.name == *name);
        part.with_context(|| format!("there is no {name:?}; there are {}", names()))
    };
    only.iter().map(find).collect()
}

fn versions(no_peers: bool) -> Vec<(String, String)> {
    let build = if cfg!(debug_assertions) {
        "a debug build: its times mean nothing"
    } else {
        "a release build"
    };
    let mut versions = vec![(
        "sanitizer".to_owned(),
        format!("{}, {build}", env!("CARGO_PKG_VERSION")),
    )];
    let commit = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    if let Ok(commit) = commit
        && commit.status.success()
    {
        let commit = String::from_utf8_lossy(&commit.stdout).trim().to_owned();
        versions.push(("commit".to_owned(), commit));
    }
    if !no_peers {
        let peers = PythonPeers::versions(&["polars", "duckdb"]);
        versions.push(("peers".to_owned(), peers));
    }
    versions
}

fn measure(part: &Part, args: &AllArgs) -> Result<Section> {
    let mut arguments = vec![part.name.to_owned()];
    let own = if args.quick { part.quick } else { part.full };
    arguments.extend(own.iter().map(|argument| (*argument).to_owned()));
    if args.no_peers && part.has_peers {
        arguments.push("--no-peers".to_owned());
    }
    if part.name == "soak"
        && let Some(database) = &args.database
    {
        arguments.extend(["--database".to_owned(), database.clone()]);
    }
    let begun = Instant::now();
    let child = Command::new(std::env::current_exe()?)
        .args(&arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("{} cannot be started", part.name))?;
    let mut output = String::from_utf8_lossy(&child.stdout).into_owned();
    if !child.status.success() {
        let complaints = String::from_utf8_lossy(&child.stderr);
        let last: Vec<&str> = complaints.lines().rev().take(20).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        output = format!("{output}\n{}", last.join("\n"));
        eprintln!("{} failed", part.name);
    }
    // A database's URL may hold a password.
    let shown = arguments
        .iter()
        .map(|argument| match argument.contains("://") {
            true => "URL",
            false => argument.as_str(),
        });
    Ok(Section {
        name: part.name.to_owned(),
        about: part.about.to_owned(),
        command: format!(
            "cargo run {}-p benchmarks -- {}",
            if cfg!(debug_assertions) {
                ""
            } else {
                "--release "
            },
            shown.collect::<Vec<_>>().join(" ")
        ),
        seconds: begun.elapsed().as_secs_f64(),
        succeeded: child.status.success(),
        tables: tables_of(&output),
        output,
    })
}
