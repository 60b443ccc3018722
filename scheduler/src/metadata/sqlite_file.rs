//! The file of a SQLite database, checked from outside the connections: these keep answering from what they have in
//! memory when the file is removed, replaced or damaged under them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};

use super::error::{MetadataError, Result};

/// What a SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Bytes of the header that are looked at.
const HEADER: usize = 100;

/// Time for which a check waits for a writer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file of a database.
#[derive(Debug)]
pub(super) struct SqliteFile {
    path: PathBuf,
    /// The file that was opened, where the platform tells files apart.
    opened: Option<(u64, u64)>,
}

/// Device and number of a file.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<(u64, u64)> {
    None
}

/// Statements that reach into the tables that every request needs.
const READS: [&str; 3] = [
    "SELECT id FROM tenants LIMIT 1",
    "SELECT id FROM api_keys LIMIT 1",
    "SELECT id FROM jobs ORDER BY created_at DESC LIMIT 1",
];

impl SqliteFile {
    /// Remembers the file that was just opened.
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            opened: identity(path),
        }
    }

    /// Checks that the file is the one that was opened, looks like a database, and that a new connection, which has
    /// nothing in memory, reads its tables.
    ///
    /// # Errors
    /// [`MetadataError::Failed`] with what is wrong, without the path.
    pub(super) async fn probe(&self) -> Result<()> {
        let (path, opened) = (self.path.clone(), self.opened);
        let looked = tokio::task::spawn_blocking(move || look(&path, opened)).await;
        match looked {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => {
                return Err(MetadataError::Failed(format!("the SQLite file {problem}")));
            }
            Err(error) => return Err(MetadataError::Failed(error.to_string())),
        }
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(PATIENCE);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        for statement in READS {
            connection.fetch_all(statement).await?;
        }
        connection.close().await?;
        Ok(())
    }
}

/// Looks at the file itself; gives what is wrong with it.
fn look(path: &Path, opened: Option<(u64, u64)>) -> std::result::Result<(), &'static str> {
    if opened.is_some() && identity(path) != opened {
        return Err("was removed or replaced");
    }
    let damaged = "is damaged";
    let mut file = std::fs::File::open(path).map_err(|_| "cannot be opened")?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(|_| damaged)?;
    if !header.starts_with(MAGIC) {
        return Err(damaged);
    }
    // The header says how many pages of which size there are (https://www.sqlite.org/fileformat.html, 1.3).
    let page = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        bytes => bytes,
    };
    let pages = u64::from(u32::from_be_bytes([
        header[28], header[29], header[30], header[31],
    ]));
    let length = file.metadata().map_err(|_| damaged)?.len();
    if length < page * pages {
        return Err("is cut off");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::metadata::{Limits, MetadataStore};

    /// A file that is removed, replaced, overwritten or cut off is noticed, although open connections still answer.
    #[tokio::test]
    async fn low_a_broken_file_is_not_ready() {
        for breaks in ["remove", "replace", "overwrite", "cut"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("service.sqlite");
            let store = MetadataStore::open(&format!("sqlite:{}", path.display()))
                .await
                .unwrap();
            store
                .create_tenant("one", &Limits::default(), "test")
                .await
                .unwrap();
            store.ping().await.unwrap();
            match breaks {
                "remove" => std::fs::remove_file(&path).unwrap(),
                "replace" => {
                    let content = std::fs::read(&path).unwrap();
                    std::fs::write(folder.path().join("other"), content).unwrap();
                    std::fs::rename(folder.path().join("other"), &path).unwrap();
                }
                "overwrite" => {
                    let length = std::fs::metadata(&path).unwrap().len() as usize;
                    std::fs::write(&path, vec![7; length]).unwrap();
                }
                _ => std::fs::OpenOptions::new()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_len(512)
                    .unwrap(),
            }
            assert!(store.ping().await.is_err(), "{breaks}");
        }
    }
}
