//! One program that takes part, and how it is run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use benchmarks_generator::StandardJob;
use serde_json::Value;

use super::CachedTable;
use crate::measure::{Usage, run_measured};
use crate::workspace::{BENCHMARK_SALT, remove_folder};

/// A program that does the standard clean-up.
#[derive(Clone, Debug)]
pub enum Contender {
    /// This project's program.
    Sanitizer {
        /// The executable.
        program: PathBuf,
        /// Whether it records every changed cell.
        provenance: bool,
        /// What the job gives as its limit.
        memory_limit: String,
    },
    /// A Python script that gets the table, the output folder and these arguments.
    Script {
        /// What it is called in the results.
        name: &'static str,
        /// The interpreter of the environment that has the engine.
        python: PathBuf,
        /// The script.
        script: PathBuf,
        /// Further arguments.
        arguments: &'static [&'static str],
    },
}

/// What one run of a contender took and gave.
#[derive(Clone, Debug)]
pub struct Finish {
    /// What the process used.
    pub usage: Usage,
    /// The seconds that count: for a script without the start of the interpreter and its imports.
    pub seconds: f64,
    /// The rows of the cleaned table, if the program tells.
    pub rows_written: Option<u64>,
    /// The rows of provenance, if the program tells.
    pub provenance_rows: Option<u64>,
    /// Where the time went, by the program's own account, in its order.
    pub phases: Vec<(String, f64)>,
}

impl Contender {
    /// What it is called in the results.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sanitizer {
                provenance: true, ..
            } => "sanitizer, full provenance",
            Self::Sanitizer {
                provenance: false, ..
            } => "sanitizer, no provenance",
            Self::Script { name, .. } => name,
        }
    }

    /// Cleans the table into a fresh folder below `folder` and removes the result.
    pub fn run(&self, table: &CachedTable, folder: &Path) -> Result<Finish> {
        let out = folder.join("out");
        remove_folder(&out)?;
        let mut command = match self {
            Self::Sanitizer {
                program,
                provenance,
                memory_limit,
            } => {
                let mut job =
                    StandardJob::new(&table.path.to_string_lossy(), &out.to_string_lossy());
                job.provenance = *provenance;
                job.memory_limit.clone_from(memory_limit);
                let spec = folder.join("job.yaml");
                std::fs::write(&spec, job.to_yaml())
                    .with_context(|| format!("cannot write {}", spec.display()))?;
                let mut command = Command::new(program);
                command
                    .arg("run")
                    .arg(spec)
                    .arg("--output")
                    .arg(&out)
                    .arg("--json");
                command
            }
            Self::Script {
                python,
                script,
                arguments,
                ..
            } => {
                let mut command = Command::new(python);
                command
                    .arg(script)
                    .arg(&table.path)
                    .arg(&out)
                    .args(*arguments);
                command
            }
        };
        command.env("SANITIZER_SALT", BENCHMARK_SALT);
        let (usage, output) = run_measured(&mut command, folder).with_context(|| self.name())?;
        let report: Value = serde_json::from_str(&output)
            .with_context(|| format!("{} wrote no JSON", self.name()))?;
        let finish = match self {
            Self::Sanitizer { .. } => sanitizer_finish(usage, &report, &manifest(&out)?),
            Self::Script { .. } => script_finish(usage, &report),
        };
        remove_folder(&out)?;
        Ok(finish)
    }
}

/// The manifest of a job's output, which lists its files and their rows.
fn manifest(out: &Path) -> Result<Value> {
    let path = out.join("metadata.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("the job left no {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}

fn sanitizer_finish(usage: Usage, report: &Value, manifest: &Value) -> Finish {
    let rows_below = |folder: &str| {
        let files = manifest.get("files")?.as_array()?;
        let below = files.iter().filter(|file| {
            file["path"]
                .as_str()
                .is_some_and(|path| path.starts_with(folder))
        });
        below.map(|file| file["rows"].as_u64()).sum()
    };
    let timings = report.get("timings").and_then(Value::as_object);
    let phases = timings.into_iter().flatten();
    Finish {
        usage,
        seconds: usage.wall_seconds,
        rows_written: rows_below("data/"),
        provenance_rows: rows_below("provenance/"),
        phases: phases
            .filter_map(|(phase, seconds)| Some((phase.clone(), seconds.as_f64()?)))
            .collect(),
    }
}

fn script_finish(usage: Usage, report: &Value) -> Finish {
    Finish {
        usage,
        seconds: report["work_seconds"]
            .as_f64()
            .unwrap_or(usage.wall_seconds),
        rows_written: report["rows_written"].as_u64(),
        provenance_rows: report["provenance_rows"].as_u64(),
        phases: Vec::new(),
    }
}
