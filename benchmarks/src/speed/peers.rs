//! The other engines: a Python environment of their own, and their scripts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Contender;
use crate::workspace::Workspace;

const REQUIREMENTS: &str = include_str!("../../peers/requirements.txt");
const DUCKDB_SCRIPT: &str = include_str!("../../peers/duckdb_cleanup.py");
const POLARS_SCRIPT: &str = include_str!("../../peers/polars_cleanup.py");
const SPLINK_SCRIPT: &str = include_str!("../../peers/splink_near_duplicates.py");
const RENSA_SCRIPT: &str = include_str!("../../peers/rensa_documents.py");
const DATATROVE_SCRIPT: &str = include_str!("../../peers/datatrove_documents.py");

/// The peers, ready to run.
#[derive(Clone, Debug)]
pub struct PythonPeers {
    python: PathBuf,
    scripts: PathBuf,
}

impl PythonPeers {
    /// Makes the environment unless one with the same requirements is there, and writes out the scripts.
    pub fn prepare(workspace: &Workspace) -> Result<Self> {
        let environment = workspace.folder.join("venv");
        let python = environment.join(if cfg!(windows) {
            "Scripts/python.exe"
        } else {
            "bin/python"
        });
        // Written last: an environment without it was not finished.
        let installed = environment.join("requirements.txt");
        if std::fs::read_to_string(&installed).ok().as_deref() != Some(REQUIREMENTS) {
            eprintln!(
                "making a Python environment for the peers: {}",
                environment.display()
            );
            run(Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment))?;
            let wanted = environment.join("wanted.txt");
            write(&wanted, REQUIREMENTS)?;
            run(Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--requirement"])
                .arg(&wanted))?;
            write(&installed, REQUIREMENTS)?;
        }
        let scripts = workspace.subfolder("peers")?;
        write(&scripts.join("duckdb_cleanup.py"), DUCKDB_SCRIPT)?;
        write(&scripts.join("polars_cleanup.py"), POLARS_SCRIPT)?;
        write(&scripts.join("splink_near_duplicates.py"), SPLINK_SCRIPT)?;
        write(&scripts.join("rensa_documents.py"), RENSA_SCRIPT)?;
        write(&scripts.join("datatrove_documents.py"), DATATROVE_SCRIPT)?;
        Ok(Self { python, scripts })
    }

    /// The peers that do the standard clean-up.
    pub fn contenders(&self) -> Vec<Contender> {
        let script = |name, file, arguments| Contender::Script {
            name,
            python: self.python.clone(),
            script: self.scripts.join(file),
            arguments,
        };
        vec![
            script("DuckDB, provenance", "duckdb_cleanup.py", &["--provenance"]),
            script("DuckDB, no provenance", "duckdb_cleanup.py", &[]),
            script(
                "Polars, no provenance, cheap hash",
                "polars_cleanup.py",
                &[],
            ),
        ]
    }

    /// The start of the script that finds near duplicates with Splink; it gets a table and `dedupe` or `link`.
    pub fn splink(&self) -> Command {
        self.script("splink_near_duplicates.py")
    }

    /// The names and the starts of the scripts that find near duplicates among documents; they get a file of JSON
    /// lines and a similarity.
    pub fn documents(&self) -> [(&'static str, Command); 2] {
        [
            ("rensa", self.script("rensa_documents.py")),
            ("datatrove", self.script("datatrove_documents.py")),
        ]
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(self.scripts.join(name));
        command
    }

    /// The versions of these packages, in one line.
    pub fn versions(packages: &[&str]) -> String {
        REQUIREMENTS
            .split_whitespace()
            .filter(|pinned| {
                pinned
                    .split_once("==")
                    .is_some_and(|(package, _)| packages.contains(&package))
            })
            .collect::<Vec<_>>()
            .join(", ")
            .replace("==", " ")
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| {
        format!(
            "cannot start {program}: the peers need Python 3 with venv; --no-peers does without"
        )
    })?;
    if !status.success() {
        bail!(
            "{program} ended with {status}: the peers cannot be installed; --no-peers does without them"
        );
    }
    Ok(())
}
