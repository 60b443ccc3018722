//! Files and folders that only the user of the process may access: modes 0600 and 0700.
//!
//! The program's own files (its home, databases, keys, uploads, staged rows) are created here; the output of `sanitizer
//! run` belongs to its user and follows the umask.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Sticky bit of a shared folder, such as `/tmp`.
const STICKY: u32 = 0o1000;

/// Creates a folder and its missing parents with mode 0700. An existing folder loses the permissions of others, unless
/// it has another owner or is shared.
///
/// # Errors
/// When it cannot be created.
pub fn folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(FOLDER).create(path)?;
    close(path, FOLDER)
}

/// Creates or truncates a file with mode 0600.
///
/// # Errors
/// When it cannot be created.
pub fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true);
    let file = options.mode(FILE).open(path)?;
    close(path, FILE)?;
    Ok(file)
}

/// Creates the file of a SQLite database with mode 0600 before SQLite opens it; SQLite gives its other files the same
/// mode. Files of an existing database lose the permissions of others.
///
/// # Errors
/// When it cannot be created.
pub fn database(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        folder(parent)?;
    }
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE)
        .open(path)?;
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match close(&PathBuf::from(name), FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Removes the permissions of group and others.
fn close(path: &Path, mode: u32) -> io::Result<()> {
    let found = std::fs::metadata(path)?.permissions().mode();
    if found & OTHERS == 0 || found & STICKY != 0 {
        return Ok(());
    }
    match std::fs::set_permissions(path, Permissions::from_mode(mode)) {
        // It is somebody else's, who decides about it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// What is made is its owner's alone, and what was open before is closed.
    #[test]
    fn m9_for_the_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        folder(&at("a/b")).unwrap();
        assert_eq!((mode(&at("a")), mode(&at("a/b"))), (0o700, 0o700));
        file(&at("a/key")).unwrap();
        assert_eq!(mode(&at("a/key")), 0o600);
        database(&at("c/new.sqlite")).unwrap();
        assert_eq!((mode(&at("c")), mode(&at("c/new.sqlite"))), (0o700, 0o600));
        for name in ["old.sqlite", "old.sqlite-wal"] {
            std::fs::write(at(name), "kept").unwrap();
            std::fs::set_permissions(at(name), Permissions::from_mode(0o644)).unwrap();
        }
        database(&at("old.sqlite")).unwrap();
        assert_eq!(
            (mode(&at("old.sqlite")), mode(&at("old.sqlite-wal"))),
            (0o600, 0o600)
        );
        assert_eq!(std::fs::read(at("old.sqlite")).unwrap(), b"kept");
        std::fs::set_permissions(at("a"), Permissions::from_mode(0o755)).unwrap();
        folder(&at("a")).unwrap();
        assert_eq!(mode(&at("a")), 0o700);
    }
}
