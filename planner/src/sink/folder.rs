//! The output folder: whose it is, where an attempt writes, and how an attempt is published.
//!
//! An attempt writes under `_sanitizer/attempt-…`. Publishing takes the old manifest away, puts the
//! attempt's files in place and writes the new manifest last, by renaming it. Whenever the process
//! dies, the folder has either a manifest whose files are all there, or none.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::Manifest;
use super::manifest::write_durably;
use crate::error::{Error, Result};

/// Folder of attempts inside an output folder; it marks the folder as ours.
const WORK: &str = "_sanitizer";

/// Everything that an output may hold.
const CONTENT: &[&str] = &[
    "data",
    "provenance",
    "removed",
    "quarantine",
    "clusters",
    "report.json",
    "report.html",
    "audit.json",
];

/// An output folder that this process alone writes to.
#[derive(Debug)]
pub struct OutputFolder {
    root: PathBuf,
    // Held open: the lock goes with it.
    _lock: File,
}

/// Where one attempt writes.
#[derive(Debug)]
pub struct Attempt {
    /// Files of the output to be.
    pub files: PathBuf,
    /// Temporary files.
    pub staging: PathBuf,
}

impl OutputFolder {
    /// Takes a folder: a new or empty one, an earlier output, or what a crashed attempt left.
    pub fn open(root: &Path) -> Result<Self> {
        if root.exists() {
            check_ours(root)?;
        }
        let work = root.join(WORK);
        std::fs::create_dir_all(&work).map_err(|error| Error::io(&work, error))?;
        let path = work.join("lock");
        let lock = File::create(&path).map_err(|error| Error::io(&path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Output {
                    path: root.to_owned(),
                    problem: "another job is writing to this folder".to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(&path, error)),
        }
        Ok(Self {
            root: root.to_owned(),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Begins an attempt, after sweeping what earlier ones left behind.
    pub fn begin(&self, attempt: &str) -> Result<Attempt> {
        self.sweep()?;
        if !self.root.join(Manifest::NAME).exists() {
            self.remove_content()?;
        }
        let folder = self.root.join(WORK).join(format!("attempt-{attempt}"));
        let attempt = Attempt {
            files: folder.join("files"),
            staging: folder.join("staging"),
        };
        for path in [&attempt.files, &attempt.staging] {
            std::fs::create_dir_all(path).map_err(|error| Error::io(path, error))?;
        }
        Ok(attempt)
    }

    /// Publishes an attempt. The manifest is the commit.
    pub fn publish(self, attempt: &Attempt, manifest: &Manifest) -> Result<()> {
        let content = serde_json::to_vec_pretty(manifest)?;
        let draft = attempt.files.join(Manifest::NAME);
        write_durably(&draft, &content)?;
        let place = self.root.join(Manifest::NAME);
        remove(&place)?;
        self.remove_content()?;
        for name in CONTENT {
            let from = attempt.files.join(name);
            if from.exists() {
                let to = self.root.join(name);
                std::fs::rename(&from, &to).map_err(|error| Error::io(&to, error))?;
            }
        }
        sync_folder(&self.root)?;
        std::fs::rename(&draft, &place).map_err(|error| Error::io(&place, error))?;
        sync_folder(&self.root)?;
        remove(&self.root.join(WORK))
    }

    /// Ends without an output: what the attempt wrote is removed.
    pub fn abandon(self) -> Result<()> {
        self.sweep()?;
        if self.root.join(Manifest::NAME).exists() {
            return remove(&self.root.join(WORK));
        }
        // A folder that was made for this job goes with it.
        remove(&self.root.join(WORK))?;
        match std::fs::remove_dir(&self.root) {
            Err(error) if error.kind() != std::io::ErrorKind::DirectoryNotEmpty => {
                Err(Error::io(&self.root, error))
            }
            _ => Ok(()),
        }
    }

    fn sweep(&self) -> Result<()> {
        let work = self.root.join(WORK);
        for entry in std::fs::read_dir(&work).map_err(|error| Error::io(&work, error))? {
            let path = entry.map_err(|error| Error::io(&work, error))?.path();
            if path.file_name().is_some_and(|name| name != "lock") {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn remove_content(&self) -> Result<()> {
        CONTENT
            .iter()
            .try_for_each(|name| remove(&self.root.join(name)))
    }
}

/// Refuses a folder that holds what no job of ours wrote.
fn check_ours(root: &Path) -> Result<()> {
    let foreign = |problem: String| Error::Output {
        path: root.to_owned(),
        problem,
    };
    if !root.is_dir() {
        return Err(foreign("is not a folder".to_owned()));
    }
    let ours = root.join(WORK).is_dir() || is_manifest(&root.join(Manifest::NAME));
    for entry in std::fs::read_dir(root).map_err(|error| Error::io(root, error))? {
        let name = entry.map_err(|error| Error::io(root, error))?.file_name();
        let name = name.to_string_lossy();
        let known = CONTENT.contains(&&*name) || name == WORK || name == Manifest::NAME;
        if !ours || !known {
            return Err(foreign(format!(
                "is not empty and not an output of this program (it holds {name:?}); choose another folder"
            )));
        }
    }
    Ok(())
}

fn is_manifest(path: &Path) -> bool {
    let content = std::fs::read(path).ok();
    content.is_some_and(|content| serde_json::from_slice::<Manifest>(&content).is_ok())
}

fn remove(path: &Path) -> Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|error| Error::io(path, error))
}

/// Makes renames inside a folder last through a power cut.
fn sync_folder(path: &Path) -> Result<()> {
    let folder = File::open(path).map_err(|error| Error::io(path, error))?;
    folder.sync_all().map_err(|error| Error::io(path, error))
}
