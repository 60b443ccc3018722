//! The output folder: whose it is, where an attempt writes, and how an attempt is published.
//!
//! An attempt writes under `_sanitizer/attempt-…`. Publishing is a list of renames: the old manifest
//! goes first and the old files after it, to `_sanitizer/replaced`; then the attempt's files come,
//! and the new manifest last. Whenever the process dies, the folder has either a manifest whose
//! files are all there, or none.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::Manifest;
use super::output::{Attempt, CONTENT, WORK, attempt_in};
use crate::error::{Error, Result};
use crate::storage::Place;

/// An output folder that this process alone writes to.
#[derive(Debug)]
pub struct OutputFolder {
    root: PathBuf,
    // Held open: the lock goes with it.
    _lock: File,
}

/// One change on the way to a published output.
#[derive(Debug)]
enum Change {
    /// Renames a file or a folder to where nothing is.
    Move { from: PathBuf, to: PathBuf },
    /// Makes the changes inside a folder last through a power cut.
    Sync(PathBuf),
    /// Removes a folder.
    Remove(PathBuf),
}

impl Change {
    fn carry_out(&self) -> Result<()> {
        match self {
            Self::Move { from, to } => {
                std::fs::rename(from, to).map_err(|error| Error::io(to, error))
            }
            Self::Sync(folder) => File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| Error::io(folder, error)),
            Self::Remove(folder) => remove(folder),
        }
    }
}

impl OutputFolder {
    pub(super) fn open(root: &Path) -> Result<Self> {
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

    pub(super) fn begin(&self, attempt: &str) -> Result<Attempt> {
        self.sweep()?;
        if !self.root.join(Manifest::NAME).exists() {
            self.remove_content()?;
        }
        let folder = self.root.join(WORK).join(format!("attempt-{attempt}"));
        let attempt = attempt_in(&Place::own(folder));
        for place in [&attempt.parts.files, &attempt.learned, &attempt.staging] {
            place
                .make_folder()
                .map_err(|error| Error::io(place, error))?;
        }
        Ok(attempt)
    }

    pub(super) fn publish(self, attempt: &Attempt, manifest: &Manifest) -> Result<()> {
        let changes = self.prepare(attempt, manifest)?;
        changes.iter().try_for_each(Change::carry_out)
    }

    /// Readies an attempt; gives the changes that publish it.
    fn prepare(&self, attempt: &Attempt, manifest: &Manifest) -> Result<Vec<Change>> {
        let content = serde_json::to_vec_pretty(manifest)?;
        let new = attempt.parts.files.join(Manifest::NAME);
        new.write(&content)
            .map_err(|error| Error::io(&new, error))?;
        let files = attempt.parts.files.local();
        let files = files.ok_or(Error::Bug("an attempt outside of the output's file system"))?;
        let work = self.root.join(WORK);
        let replaced = work.join("replaced");
        std::fs::create_dir_all(&replaced).map_err(|error| Error::io(&replaced, error))?;
        let moves = |names: &[&str], from: &Path, to: &Path| -> Vec<Change> {
            let found = names.iter().filter(|name| from.join(name).exists());
            let moved = found.map(|name| Change::Move {
                from: from.join(name),
                to: to.join(name),
            });
            moved.collect()
        };
        let folders = CONTENT.iter().map(|name| files.join(name));
        let mut changes: Vec<Change> = folders
            .filter(|path| path.is_dir())
            .map(Change::Sync)
            .collect();
        changes.extend(moves(&[Manifest::NAME], &self.root, &replaced));
        changes.push(Change::Sync(self.root.clone()));
        changes.extend(moves(CONTENT, &self.root, &replaced));
        changes.extend(moves(CONTENT, files, &self.root));
        changes.push(Change::Sync(self.root.clone()));
        changes.extend(moves(&[Manifest::NAME], files, &self.root));
        changes.push(Change::Sync(self.root.clone()));
        changes.push(Change::Remove(work));
        Ok(changes)
    }

    pub(super) fn abandon(self) -> Result<()> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use serde_json::Value;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::sink::file::hex;
    use crate::sink::{FileEntry, Software};

    /// Publishing that stops between any two changes leaves the old output whole, or no manifest,
    /// or the new output whole; and the next job leaves what it leaves in an empty folder.
    #[test]
    fn publishing_stops_anywhere() {
        let mut seen = Vec::new();
        for done in 0.. {
            let temp = tempfile::tempdir().unwrap();
            let root = temp.path().join("out");
            let (folder, changes) = begin(&root, "old", &["clusters", "data", "report.json"]);
            carry_out(&changes);
            drop(folder);
            let tables = ["audit.json", "data", "provenance", "report.json"];
            let (folder, changes) = begin(&root, "new", &tables);
            if done > changes.len() {
                break;
            }
            carry_out(&changes[..done]);
            drop(folder);
            seen.push(published(&root));

            let (folder, changes) = begin(&root, "next", &["data", "removed"]);
            carry_out(&changes);
            drop(folder);
            assert_eq!(published(&root).as_deref(), Some("next"), "after {done}");
            assert!(!root.join(WORK).exists(), "after {done}");
        }
        seen.dedup();
        assert_eq!(seen, [Some("old".to_owned()), None, Some("new".to_owned())]);
    }

    fn carry_out(changes: &[Change]) {
        changes.iter().try_for_each(Change::carry_out).unwrap();
    }

    /// An attempt with these files, or tables of three parts, and the changes that publish it.
    fn begin(root: &Path, job: &str, names: &[&str]) -> (OutputFolder, Vec<Change>) {
        let folder = OutputFolder::open(root).unwrap();
        let attempt = folder.begin(job).unwrap();
        let mut files = Vec::new();
        for name in names {
            let parts = (0..3).map(|part| format!("{name}/part-{part:05}.parquet"));
            let paths: Vec<String> = if name.contains('.') {
                vec![(*name).to_owned()]
            } else {
                attempt.parts.files.join(name).make_folder().unwrap();
                parts.collect()
            };
            let write = |path: &String| {
                let content = format!("{path} of {job}");
                FileEntry::write(&attempt.parts.files, path, content.as_bytes()).unwrap()
            };
            files.extend(paths.iter().map(write));
        }
        let manifest = Manifest {
            version: 1,
            job_id: job.to_owned(),
            created_at: String::new(),
            spec: Value::Null,
            contract: Value::Null,
            software: Software {
                data_sanitizer: String::new(),
                datafusion: String::new(),
            },
            first_row_id: 0,
            files,
        };
        let changes = folder.prepare(&attempt, &manifest).unwrap();
        (folder, changes)
    }

    /// The job whose output the folder has; its files are just those that it lists.
    fn published(root: &Path) -> Option<String> {
        let content = std::fs::read(root.join(Manifest::NAME)).ok()?;
        let manifest: Manifest = serde_json::from_slice(&content).unwrap();
        for file in &manifest.files {
            let content = std::fs::read(root.join(&file.path)).unwrap();
            assert_eq!(file.sha256, hex(&Sha256::digest(&content)), "{}", file.path);
        }
        let listed: BTreeSet<PathBuf> = manifest.files.iter().map(|f| root.join(&f.path)).collect();
        let mut there = BTreeSet::new();
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with(WORK) || path.ends_with(Manifest::NAME) {
                continue;
            }
            match std::fs::read_dir(&path) {
                Ok(parts) => there.extend(parts.map(|part| part.unwrap().path())),
                Err(_) => drop(there.insert(path)),
            }
        }
        assert_eq!(there, listed, "{}", manifest.job_id);
        Some(manifest.job_id)
    }
}
