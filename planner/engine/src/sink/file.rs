//! A file of an output, with its size and digest.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::FileEntry;
use crate::error::{Error, Result};
use crate::storage::{Place, WholeFile};

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
pub(super) type FileSink = DigestWriter<WholeFile>;

/// Where the files of an attempt are written. On a file system that is under a name of their own
/// first, then they are moved to where they belong; an object is there in full or not at all. So a
/// task that died leaves nothing among the files, and twins of a task, which write the same bytes, do
/// not disturb each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFolder {
    /// Where files belong.
    pub files: Place,
    /// Where they are written; of the same file system.
    pub unfinished: Place,
}

impl PartFolder {
    /// Makes the folders. Tasks make none: one that outlives its job finds them gone.
    pub fn prepare(&self, tables: &[&str]) -> Result<()> {
        let tables = tables.iter().map(|table| self.files.join(table));
        for place in tables.chain([self.unfinished.clone()]) {
            place
                .make_folder()
                .map_err(|error| Error::io(&place, error))?;
        }
        Ok(())
    }
}

impl PartFolder {
    /// Copies a file of another output, of so many rows, to this name.
    pub(crate) fn copy(&self, from: &Place, name: String, rows: Option<u64>) -> Result<FileEntry> {
        let mut source = from.open().map_err(|error| Error::io(from, error))?;
        let (file, mut sink) = OutputFile::create(self, name)?;
        io::copy(&mut source, &mut sink).map_err(|error| Error::io(from, error))?;
        let entry = file.finish(sink, rows.unwrap_or_default())?;
        Ok(FileEntry { rows, ..entry })
    }
}

/// Name and place of a file that is being written.
pub(super) struct OutputFile {
    place: Place,
    name: String,
}

impl OutputFile {
    /// Begins the file `name` (a path such as `data/part-00000.parquet`).
    pub(super) fn create(folder: &PartFolder, name: String) -> Result<(Self, FileSink)> {
        let place = folder.files.join(&name);
        let file = WholeFile::create(&place, &folder.unfinished)
            .map_err(|error| Error::io(&place, error))?;
        let sink = DigestWriter {
            inner: file,
            digest: Sha256::new(),
            bytes: 0,
        };
        Ok((Self { place, name }, sink))
    }

    /// Where it will lie.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Ends the file: everything is stored, and the entry tells what it is.
    pub(super) fn finish(self, sink: FileSink, rows: u64) -> Result<FileEntry> {
        sink.inner
            .finish()
            .map_err(|error| Error::io(&self.place, error))?;
        Ok(FileEntry {
            path: self.name,
            rows: Some(rows),
            bytes: sink.bytes,
            sha256: hex(&sink.digest.finalize()),
        })
    }
}

/// An error of the Parquet writer, as an error of the file when the disk caused it.
pub(super) fn at(place: &Place, error: parquet::errors::ParquetError) -> Error {
    match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => Error::io(place, *error),
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
