//! Paths of a file system: chosen by the process itself, or confined to a root folder.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, FileType, OpenOptions as CapOptions};
use serde::{Deserialize, Serialize};

/// A path of a file system.
///
/// A path beneath a root was named by a user. Every access opens the root and then each folder in turn without
/// following links, so neither `..` nor a link, whenever it was created, leads outside. A path without a root was
/// chosen by this process or its operator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LocalPath {
    path: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<PathBuf>,
}

/// The kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Anything else: a link that is not followed, a pipe, or a device.
    Other,
}

/// Metadata of a path.
#[derive(Debug, Clone, Copy)]
pub struct FileFacts {
    /// What it is.
    pub kind: FileKind,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of the last change, where the file system keeps it.
    pub modified: Option<SystemTime>,
}

/// The end of an access beneath a root: the last folder on the way, and the name in it; no name for the root itself.
type Reached = (Dir, Option<OsString>);

impl LocalPath {
    /// Returns a path that this process chose itself.
    pub fn own(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            root: None,
        }
    }

    /// Returns the path of a relative name beneath `root`. The root must be free of links, as [`std::fs::canonicalize`]
    /// returns it.
    ///
    /// # Errors
    /// When the name leads outside the root.
    pub(crate) fn beneath(root: &Path, name: &Path) -> io::Result<Self> {
        let path = Self {
            path: root.join(name),
            root: Some(root.to_owned()),
        };
        path.steps()?;
        Ok(path)
    }

    /// Returns the path, for display and comparison.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// Returns the root that confines every access, if the path has one.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Returns the name beneath the root; the whole path if there is no root.
    pub fn name(&self) -> &Path {
        match &self.root {
            Some(root) => self.path.strip_prefix(root).unwrap_or(Path::new("")),
            None => &self.path,
        }
    }

    /// Returns the path of this name below it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> Self {
        Self {
            path: self.path.join(name),
            root: self.root.clone(),
        }
    }

    /// Returns the folder that contains it.
    pub fn parent(&self) -> Self {
        let parent = self.path.parent().unwrap_or(Path::new("."));
        match &self.root {
            Some(root) if !parent.starts_with(root) => self.clone(),
            root => Self {
                path: parent.to_owned(),
                root: root.clone(),
            },
        }
    }

    /// Returns the components of the name, from the root on.
    fn steps(&self) -> io::Result<Vec<OsString>> {
        let left = || {
            let text = "the path leads outside its root folder";
            io::Error::new(io::ErrorKind::PermissionDenied, text)
        };
        let root = self.root.as_ref().ok_or_else(left)?;
        let rest = self.path.strip_prefix(root).map_err(|_| left())?;
        let steps = rest.components().map(|component| match component {
            Component::Normal(name) => Ok(name.to_owned()),
            _ => Err(left()),
        });
        steps.collect()
    }

    /// Walks from the root to the folder that contains the name, creating missing folders on request; `None` without a
    /// root.
    fn reach(&self, make_folders: bool) -> io::Result<Option<Reached>> {
        let Some(root) = &self.root else {
            return Ok(None);
        };
        let mut steps = self.steps()?;
        let name = steps.pop();
        let mut folder = Dir::open_ambient_dir(root, ambient_authority())?;
        for step in &steps {
            folder = enter(&folder, step, make_folders)?;
        }
        Ok(Some((folder, name)))
    }

    /// Returns the metadata. Links are followed only where there is no root.
    ///
    /// # Errors
    /// When nothing exists there, or access is denied.
    pub fn facts(&self) -> io::Result<FileFacts> {
        let Some((folder, name)) = self.reach(false)? else {
            let found = std::fs::metadata(&self.path)?;
            let kind = match found.file_type() {
                kind if kind.is_file() => FileKind::File,
                kind if kind.is_dir() => FileKind::Folder,
                _ => FileKind::Other,
            };
            return Ok(FileFacts {
                kind,
                bytes: found.len(),
                modified: found.modified().ok(),
            });
        };
        let found = match name {
            Some(name) => folder.symlink_metadata(name)?,
            None => folder.dir_metadata()?,
        };
        Ok(FileFacts {
            kind: kind_of(found.file_type()),
            bytes: found.len(),
            modified: found
                .modified()
                .ok()
                .map(cap_std::time::SystemTime::into_std),
        })
    }

    /// Returns whether anything exists there, a dangling link included.
    pub fn is_there(&self) -> bool {
        match self.root {
            Some(_) => self.facts().is_ok(),
            None => std::fs::symlink_metadata(&self.path).is_ok(),
        }
    }

    /// Opens a file for reading; beneath a root it must be a regular file.
    pub(crate) fn open(&self) -> io::Result<File> {
        let Some((folder, name)) = self.reach(false)? else {
            return File::open(&self.path);
        };
        let name = name.ok_or(io::ErrorKind::IsADirectory)?;
        // A pipe would block whoever opens it.
        if kind_of(folder.symlink_metadata(&name)?.file_type()) != FileKind::File {
            let text = "not a regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut options = CapOptions::new();
        options.read(true).follow(FollowSymlinks::No);
        Ok(folder.open_with(&name, &options)?.into_std())
    }

    /// Creates a file that must not exist yet, with these permissions less the process's umask.
    pub(crate) fn create_new(&self, mode: u32) -> io::Result<File> {
        let Some((folder, name)) = self.reach(false)? else {
            let mut options = OpenOptions::new();
            return options
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&self.path);
        };
        let name = name.ok_or(io::ErrorKind::AlreadyExists)?;
        let mut options = CapOptions::new();
        options
            .write(true)
            .create_new(true)
            .follow(FollowSymlinks::No);
        cap_std::fs::OpenOptionsExt::mode(&mut options, mode);
        Ok(folder.open_with(&name, &options)?.into_std())
    }

    /// Creates a file, or truncates an existing one.
    ///
    /// # Errors
    /// When the file cannot be created, or the path leads outside its root.
    pub fn create(&self) -> io::Result<File> {
        let Some((folder, name)) = self.reach(false)? else {
            return File::create(&self.path);
        };
        let name = name.ok_or(io::ErrorKind::IsADirectory)?;
        let mut options = CapOptions::new();
        options.write(true).create(true).truncate(true);
        options.follow(FollowSymlinks::No);
        Ok(folder.open_with(&name, &options)?.into_std())
    }

    /// Creates the folder and its missing parents.
    pub(crate) fn make_folder(&self) -> io::Result<()> {
        let Some((folder, name)) = self.reach(true)? else {
            return std::fs::create_dir_all(&self.path);
        };
        match name {
            Some(name) => enter(&folder, &name, true).map(drop),
            None => Ok(()),
        }
    }

    /// Moves a file to another path of the same root, replacing an existing one.
    pub(crate) fn rename(&self, to: &Self) -> io::Result<()> {
        match (self.reach(false)?, to.reach(false)?) {
            (None, None) => std::fs::rename(&self.path, &to.path),
            (Some((from, Some(name))), Some((folder, Some(new)))) => {
                from.rename(name, &folder, new)
            }
            _ => Err(io::ErrorKind::CrossesDevices.into()),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// When the file does not exist or cannot be removed.
    pub fn remove_file(&self) -> io::Result<()> {
        match self.reach(false)? {
            None => std::fs::remove_file(&self.path),
            Some((folder, Some(name))) => folder.remove_file(name),
            Some((_, None)) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// Removes a file, or a folder with its content; a missing one is not an error.
    pub(crate) fn remove_all(&self) -> io::Result<()> {
        let absent = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        };
        let reached = match self.reach(false) {
            Ok(reached) => reached,
            Err(error) => return absent(error),
        };
        let Some((folder, name)) = reached else {
            return match std::fs::symlink_metadata(&self.path) {
                Ok(found) if found.is_dir() => std::fs::remove_dir_all(&self.path).or_else(absent),
                Ok(_) => std::fs::remove_file(&self.path).or_else(absent),
                Err(error) => absent(error),
            };
        };
        let name = name.ok_or(io::ErrorKind::PermissionDenied)?;
        match folder.symlink_metadata(&name) {
            Ok(found) if found.is_dir() => folder.remove_dir_all(&name).or_else(absent),
            Ok(_) => folder.remove_file(&name).or_else(absent),
            Err(error) => absent(error),
        }
    }

    /// Returns the sorted names in a folder, with the kind of each.
    ///
    /// # Errors
    /// When it is not a folder or cannot be read.
    pub fn entries(&self) -> io::Result<Vec<(String, FileKind)>> {
        let mut entries = Vec::new();
        match self.reach(false)? {
            None => {
                for entry in std::fs::read_dir(&self.path)? {
                    let path = entry?.path();
                    let kind = match std::fs::metadata(&path) {
                        Ok(found) if found.is_dir() => FileKind::Folder,
                        Ok(found) if found.is_file() => FileKind::File,
                        _ => FileKind::Other,
                    };
                    let name = path.file_name().unwrap_or_default();
                    entries.push((name.to_string_lossy().into_owned(), kind));
                }
            }
            Some((folder, name)) => {
                let folder = match name {
                    Some(name) => folder.open_dir_nofollow(name)?,
                    None => folder,
                };
                for entry in folder.entries()? {
                    let entry = entry?;
                    // A name that is no text cannot be asked for.
                    let Ok(name) = entry.file_name().into_string() else {
                        continue;
                    };
                    entries.push((name, kind_of(entry.file_type()?)));
                }
            }
        }
        entries.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(entries)
    }
}

/// Opens a folder in another one, creating it on request; a link to a folder is not followed.
fn enter(folder: &Dir, name: &OsString, make: bool) -> io::Result<Dir> {
    if make {
        match folder.create_dir(name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    folder.open_dir_nofollow(name)
}

fn kind_of(kind: FileType) -> FileKind {
    match kind {
        kind if kind.is_file() => FileKind::File,
        kind if kind.is_dir() => FileKind::Folder,
        _ => FileKind::Other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Beneath a root, files are created, moved, listed, read and removed; links and pipes are not opened, and nothing
    /// outside is reached.
    #[test]
    fn stays_beneath_its_root() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().canonicalize().unwrap();
        let root = outside.join("root");
        std::fs::create_dir_all(root.join("in")).unwrap();
        std::fs::write(outside.join("secret"), "s").unwrap();
        std::fs::write(root.join("in/a.csv"), "a\n1\n").unwrap();
        symlink("../../secret", root.join("in/link.csv")).unwrap();
        symlink(&outside, root.join("up")).unwrap();
        symlink("in", root.join("sideways")).unwrap();
        let at = |name: &str| LocalPath::beneath(&root, Path::new(name));

        let mut text = String::new();
        let file = at("in/a.csv").unwrap();
        file.open().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\n1\n");
        let kinds = at("in").unwrap().entries().unwrap();
        let named = |name: &str, kind| (name.to_owned(), kind);
        assert_eq!(
            kinds,
            [
                named("a.csv", FileKind::File),
                named("link.csv", FileKind::Other)
            ]
        );
        for name in ["in/link.csv", "up/secret", "sideways/a.csv", "up"] {
            let path = at(name).unwrap();
            assert!(path.open().is_err(), "{name}");
            assert!(path.create().is_err(), "{name}");
            assert!(path.join("x").create_new(0o600).is_err(), "{name}");
            assert!(path.join("x").make_folder().is_err(), "{name}");
        }
        for name in ["..", "../secret", "in/../../secret", "/etc/passwd"] {
            assert!(at(name).is_err(), "{name}");
        }
        // Joined later on, or sent by another process: looked at when it is opened.
        assert!(at("in").unwrap().join("../../secret").open().is_err());
        let json = serde_json::json!({"path": outside.join("secret"), "root": root});
        let sent: LocalPath = serde_json::from_value(json).unwrap();
        assert!(sent.open().is_err());

        let made = at("new/b.csv").unwrap();
        made.parent().make_folder().unwrap();
        drop(made.create_new(0o600).unwrap());
        made.rename(&at("new/c.csv").unwrap()).unwrap();
        assert!(root.join("new/c.csv").exists());
        // Removing a link removes the link.
        at("in/link.csv").unwrap().remove_all().unwrap();
        at("new").unwrap().remove_all().unwrap();
        at("new").unwrap().remove_all().unwrap();
        assert!(outside.join("secret").exists() && !root.join("new").exists());
    }
}
