//! The directory of shuffle files and unfetched results: a folder for each job, in it one for each stage.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// Age after which the results of a job are removed, whoever may want them still.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Interval at which expired results are looked for.
const LOOKS: Duration = Duration::from_secs(600);

/// A folder of results.
#[derive(Debug, Clone)]
pub(crate) struct WorkFolder {
    path: PathBuf,
    // A temporary folder goes with the last one who knows it.
    _temporary: Option<Arc<TempDir>>,
}

impl WorkFolder {
    /// Makes the folder, or a temporary one.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        if let Some(path) = path {
            std::fs::create_dir_all(path)?;
            return Ok(Self {
                path: path.to_owned(),
                _temporary: None,
            });
        }
        let folder = TempDir::new()?;
        Ok(Self {
            path: folder.path().to_owned(),
            _temporary: Some(Arc::new(folder)),
        })
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the results of some stages of a job; of all where none are named. Results that are not there are no error.
    pub(crate) async fn remove(&self, job: String, stages: Vec<u32>) -> io::Result<()> {
        // A name that is not exactly one part of a path would lead out of the folder.
        let plain = Path::new(&job)
            .file_name()
            .is_some_and(|name| name == job.as_str());
        if !plain {
            let problem = format!("{job:?} is not the name of a job");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let folder = self.path.join(job);
        let folders: Vec<PathBuf> = match stages.is_empty() {
            true => vec![folder],
            false => stages
                .iter()
                .map(|stage| folder.join(stage.to_string()))
                .collect(),
        };
        for folder in folders {
            remove_folder(&folder).await?;
        }
        Ok(())
    }

    /// Removes the results of all jobs.
    pub(crate) async fn clear(&self) -> io::Result<()> {
        self.remove_older(SystemTime::now() + KEPT).await
    }

    /// Removes old results now and then, for as long as it is waited for.
    pub(crate) async fn keep_tidy(&self) {
        loop {
            tokio::time::sleep(LOOKS).await;
            if let Err(error) = self.remove_older(SystemTime::now()).await {
                tracing::warn!(%error, "failed to remove old results");
            }
        }
    }

    /// Removes the results of jobs that nobody has changed for long before `now`.
    async fn remove_older(&self, now: SystemTime) -> io::Result<()> {
        let Some(before) = now.checked_sub(KEPT) else {
            return Ok(());
        };
        let folder = self.path.clone();
        let old = tokio::task::spawn_blocking(move || -> io::Result<Vec<PathBuf>> {
            let mut old = Vec::new();
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() && !changed_since(&entry.path(), before)? {
                    old.push(entry.path());
                }
            }
            Ok(old)
        });
        for folder in old.await.map_err(io::Error::other)?? {
            remove_folder(&folder).await?;
        }
        Ok(())
    }
}

async fn remove_folder(folder: &Path) -> io::Result<()> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns whether a folder or something in it was changed at `time` or later.
fn changed_since(folder: &Path, time: SystemTime) -> io::Result<bool> {
    if folder.metadata()?.modified()? >= time {
        return Ok(true);
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let changed = if entry.file_type()?.is_dir() {
            changed_since(&entry.path(), time)?
        } else {
            entry.metadata()?.modified()? >= time
        };
        if changed {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn job(work: &WorkFolder, name: &str) -> PathBuf {
        let folder = work.path().join(name);
        for stage in ["1", "2"] {
            std::fs::create_dir_all(folder.join(stage)).unwrap();
            std::fs::write(folder.join(stage).join("data"), "x").unwrap();
        }
        folder
    }

    /// Stages and jobs go as they are asked to, what is not there is no error, and no name leads out of the folder.
    #[tokio::test]
    async fn results_go() {
        let outer = TempDir::new().unwrap();
        let work = WorkFolder::open(Some(&outer.path().join("work"))).unwrap();
        let beside = outer.path().join("beside");
        std::fs::create_dir(&beside).unwrap();
        let folder = job(&work, "j1");
        work.remove("j1".to_owned(), vec![1, 9]).await.unwrap();
        assert!(!folder.join("1").exists());
        assert!(folder.join("2/data").exists());
        work.remove("j1".to_owned(), Vec::new()).await.unwrap();
        assert!(!folder.exists());
        work.remove("j1".to_owned(), Vec::new()).await.unwrap();
        for name in ["../beside", "..", ".", "", "/", "a/../../beside", "j1/"] {
            let refused = work.remove(name.to_owned(), Vec::new()).await;
            assert!(refused.is_err(), "{name}");
        }
        assert!(beside.exists() && work.path().exists());
    }

    /// Results that are old go, others stay; at the end all go.
    #[tokio::test]
    async fn old_results_go() {
        let work = WorkFolder::open(None).unwrap();
        let folder = job(&work, "j1");
        work.remove_older(SystemTime::now()).await.unwrap();
        assert!(folder.exists());
        let later = SystemTime::now() + KEPT + Duration::from_secs(5);
        work.remove_older(later).await.unwrap();
        assert!(!folder.exists());
        let folder = job(&work, "j2");
        std::thread::sleep(Duration::from_millis(20));
        work.clear().await.unwrap();
        assert!(!folder.exists());
    }
}
