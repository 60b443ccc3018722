//! Where the programs lie and where the benchmarks keep their files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The secret that the benchmarks hash with; it protects nothing.
pub const BENCHMARK_SALT: &str = "a salt for benchmarks only";

/// The folders of one run of the benchmarks.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Holds data, outputs and the Python environment: `target/benchmarks`.
    pub folder: PathBuf,
    binaries: PathBuf,
}

impl Workspace {
    /// The folder `benchmarks` in the target folder that this program was built into.
    pub fn of_this_build() -> Result<Self> {
        let program = std::env::current_exe().context("cannot find the program itself")?;
        let binaries = program
            .parent()
            .context("the program lies in no folder")?
            .to_path_buf();
        let target = binaries.parent().unwrap_or(&binaries);
        let folder = target.join("benchmarks");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder, binaries })
    }

    /// A folder of that name, made if it is not there.
    pub fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// The program `sanitizer` that was asked for, or the one next to this one, which is brought up to date first if
    /// cargo started us: figures of an old build would mislead.
    pub fn sanitizer(&self, asked: Option<&Path>) -> Result<PathBuf> {
        let path = match asked {
            Some(path) => path.to_path_buf(),
            None => {
                if let Some(cargo) = std::env::var_os("CARGO") {
                    self.build_sanitizer(&cargo)?;
                }
                self.binaries
                    .join(format!("sanitizer{}", std::env::consts::EXE_SUFFIX))
            }
        };
        if !path.is_file() {
            bail!(
                "there is no {}: build it in the same profile first (cargo build --release -p cli), or name it with \
                 --sanitizer",
                path.display()
            );
        }
        Ok(path)
    }

    /// Builds it with the profile of this program, into the same folder.
    fn build_sanitizer(&self, cargo: &OsStr) -> Result<()> {
        // The folder bears the name of the profile, but for that of development.
        let profile = match self.binaries.file_name() {
            Some(name) if name != "debug" => name,
            _ => OsStr::new("dev"),
        };
        let mut command = Command::new(cargo);
        // What `cargo run` says of this package is no news to the build of another: build scripts
        // that watch these variables would run again, and half of the engine be compiled anew.
        let told = |name: &OsStr| {
            let name = name.to_string_lossy();
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| told(name)) {
            command.env_remove(name);
        }
        command.args(["build", "--package", "cli", "--bin", "sanitizer"]);
        command.args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"),
        ]);
        command.arg("--profile").arg(profile);
        command
            .arg("--target-dir")
            .arg(self.binaries.parent().unwrap_or(&self.binaries));
        let status = command.status().context("cannot start cargo")?;
        ensure!(
            status.success(),
            "sanitizer does not build: cargo ended with {status}"
        );
        Ok(())
    }
}

/// Makes a file unless it is there. It gets its name when it is complete, so that a run that was stopped leaves
/// nothing that looks like it.
pub fn make_once(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    eprintln!("generating {}", path.display());
    let unfinished = path.with_extension("part");
    write(&unfinished)?;
    std::fs::rename(&unfinished, path).with_context(|| format!("cannot create {}", path.display()))
}

/// Removes a folder and all that is in it, if it is there.
pub fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
