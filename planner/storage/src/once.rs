//! Files that are written once: the first writer wins.

use std::io;
use std::io::Write as _;
use std::path::Path;

use object_store::{PutMode, PutOptions};

use super::Place;

impl Place {
    /// Writes a file durably unless one exists, and returns whether it was written. Missing folders of a file system
    /// are created.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_once(&self, content: &[u8]) -> io::Result<bool> {
        match self {
            Self::Local(path) => {
                if path.root().is_some() {
                    // Only the process's own files are written once.
                    return Err(io::ErrorKind::Unsupported.into());
                }
                let path = path.as_path();
                let folder = path.parent().unwrap_or(Path::new("."));
                std::fs::create_dir_all(folder)?;
                let mut file = tempfile::NamedTempFile::new_in(folder)?;
                file.write_all(content)?;
                file.as_file().sync_all()?;
                match file.persist_noclobber(path) {
                    Ok(_) => std::fs::File::open(folder)?.sync_all().map(|()| true),
                    Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                    Err(error) => Err(error.error),
                }
            }
            Self::Object(object) => {
                let content = content.to_vec();
                object.request(|store, path| async move {
                    let options = PutOptions::from(PutMode::Create);
                    match store.put_opts(&path, content.into(), options).await {
                        Ok(_) => Ok(true),
                        Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                        Err(error) => Err(error),
                    }
                })
            }
        }
    }
}
