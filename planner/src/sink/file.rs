//! A file of an output, with its size and digest.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::FileEntry;
use crate::error::{Error, Result};

/// Counts and digests what it passes on.
pub(super) struct DigestWriter<W: Write> {
    inner: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.digest.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Where the bytes of a file go.
pub(super) type FileSink = DigestWriter<BufWriter<File>>;

/// Where the files of an attempt are written: under a name of their own first, then moved to where
/// they belong. So a task that died leaves nothing among the files, and twins of a task, which write
/// the same bytes, do not disturb each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFolder {
    /// Where files belong.
    pub files: PathBuf,
    /// Where they are written; of the same file system.
    pub unfinished: PathBuf,
}

impl PartFolder {
    /// Makes the folders. Tasks make none: one that outlives its job finds them gone.
    pub fn prepare(&self, tables: &[&str]) -> Result<()> {
        let tables = tables.iter().map(|table| self.files.join(table));
        for path in tables.chain([self.unfinished.clone()]) {
            std::fs::create_dir_all(&path).map_err(|error| Error::io(path, error))?;
        }
        Ok(())
    }
}

/// Name and place of a file that is being written.
pub(super) struct OutputFile {
    unfinished: PathBuf,
    path: PathBuf,
    name: String,
}

impl OutputFile {
    /// Begins the file `name` (a path such as `data/part-00000.parquet`).
    pub(super) fn create(folder: &PartFolder, name: String) -> Result<(Self, FileSink)> {
        let path = folder.files.join(&name);
        let unfinished = folder.unfinished.join(Uuid::now_v7().simple().to_string());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&unfinished);
        let file = file.map_err(|error| Error::io(&path, error))?;
        let sink = DigestWriter {
            inner: BufWriter::with_capacity(1 << 20, file),
            digest: Sha256::new(),
            bytes: 0,
        };
        let file = Self {
            unfinished,
            path,
            name,
        };
        Ok((file, sink))
    }

    /// Where it will lie.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the file: everything is on disk, and the entry tells what it is.
    pub(super) fn finish(self, sink: FileSink, rows: u64) -> Result<FileEntry> {
        let file = sink
            .inner
            .into_inner()
            .map_err(|error| Error::io(&self.path, error.into_error()))?;
        file.sync_data()
            .and_then(|()| std::fs::rename(&self.unfinished, &self.path))
            .map_err(|error| Error::io(&self.path, error))?;
        Ok(FileEntry {
            path: self.name,
            rows: Some(rows),
            bytes: sink.bytes,
            sha256: hex(&sink.digest.finalize()),
        })
    }
}

/// An error of the Parquet writer, as an error of the file when the disk caused it.
pub(super) fn at(path: &Path, error: parquet::errors::ParquetError) -> Error {
    match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => Error::io(path, *error),
            Err(inner) => parquet::errors::ParquetError::External(inner).into(),
        },
        error => error.into(),
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
