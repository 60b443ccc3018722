//! One program that takes part, and how it is run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::CachedTable;
use crate::measure::{Usage, run_measured};
use crate::standard_job::StandardJob;
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
        remove_folder(&out)?;
        let report: Value = serde_json::from_str(&output)
            .with_context(|| format!("{} wrote no JSON", self.name()))?;
        Ok(self.finish(usage, &report))
    }

    fn finish(&self, usage: Usage, report: &Value) -> Finish {
        let phases = report
            .get("timings")
            .and_then(Value::as_object)
            .map(|timings| {
                timings
                    .iter()
                    .filter_map(|(phase, seconds)| Some((phase.clone(), seconds.as_f64()?)))
                    .collect()
            });
        let summary = report.get("summary");
        Finish {
            usage,
            seconds: report
                .get("work_seconds")
                .and_then(Value::as_f64)
                .unwrap_or(usage.wall_seconds),
            rows_written: report
                .get("rows_written")
                .or_else(|| summary?.get("cleaned_row_count"))
                .and_then(Value::as_u64),
            provenance_rows: report
                .get("provenance_rows")
                .or_else(|| report.get("quality_metrics")?.get("cells_modified"))
                .and_then(Value::as_u64),
            phases: phases.unwrap_or_default(),
        }
    }
}
