//! The one place where bytes come from: a file of known size that is read in ranges.
//!
//! Only the local file system for now; an object store becomes another kind of [`ByteFile`].

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use serde::{Deserialize, Serialize};

/// A file of known size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteFile {
    path: PathBuf,
    size: u64,
}

impl ByteFile {
    /// The local file at `path`.
    ///
    /// # Errors
    /// When it is not there, not a regular file, or may not be looked at.
    pub fn local(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            // A pipe or a device can be read once only and would block for ever.
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a regular file",
            ));
        }
        Ok(Self {
            path: path.to_path_buf(),
            size: metadata.len(),
        })
    }

    /// Size in bytes when the file was found.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A stream over the bytes of `range`; it ends early if the file has shrunk.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(&self, range: Range<u64>) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.path)?;
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start))?;
        }
        Ok(Box::new(file.take(range.end.saturating_sub(range.start))))
    }

    /// The first `limit` bytes, or fewer.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn head(&self, limit: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.open(0..limit as u64)?.read_to_end(&mut head)?;
        Ok(head)
    }
}

impl Length for ByteFile {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for ByteFile {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.open(start..self.size)?)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        // A broken footer asks for more than there is: look before allocating.
        if start
            .checked_add(length as u64)
            .is_none_or(|end| end > self.size)
        {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} asked of a file of {}",
                self.size
            )));
        }
        let mut bytes = Vec::with_capacity(length);
        self.open(start..start + length as u64)?
            .read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF("the file has shrunk".to_owned()));
        }
        Ok(bytes.into())
    }
}
