//! Files of known size, read in ranges.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use serde::{Deserialize, Serialize};

use super::local::{FileKind, LocalPath};
use super::place::{ObjectPlace, Place};
use super::read::AheadReader;

/// Bytes per request where parts of an object are read in any order.
const BLOCK: u64 = 2 << 20;

/// Blocks that a [`CachedFile`] keeps.
const BLOCKS_KEPT: usize = 32;

/// Bytes per request of a [`SeekableFile`] over an object that is not held in memory.
const SEEK_BLOCK: usize = 256 << 10;

/// Objects of up to this many bytes are fetched as a whole, in one request.
const SMALL: u64 = 1 << 20;

/// A file of known size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteFile {
    place: Place,
    size: u64,
    /// Version of the object that was found; another version is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

impl ByteFile {
    /// Finds the file at a place.
    ///
    /// # Errors
    /// When it does not exist, is not a regular file, or its metadata may not be read.
    pub fn find(place: &Place) -> io::Result<Self> {
        match place {
            Place::Local(path) => Self::local(path),
            Place::Object(object) => {
                let found = object.head()?;
                Ok(Self {
                    place: place.clone(),
                    size: found.size,
                    version: found.e_tag,
                })
            }
        }
    }

    fn local(path: &LocalPath) -> io::Result<Self> {
        let facts = path.facts()?;
        if facts.kind != FileKind::File {
            // A pipe or a device can be read once only and would block for ever.
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a regular file",
            ));
        }
        Ok(Self {
            place: Place::Local(path.clone()),
            size: facts.bytes,
            version: None,
        })
    }

    /// Returns a fingerprint of the content, as far as the metadata distinguishes versions.
    #[must_use]
    pub fn stamp(&self) -> String {
        let changed = self.place.local_path().and_then(|path| {
            let changed = path.facts().ok()?.modified?;
            changed.duration_since(std::time::UNIX_EPOCH).ok()
        });
        let changed = changed.map(|time| time.as_nanos().to_string());
        let version = self.version.clone().or(changed).unwrap_or_default();
        let folder = self.place.local_path().and_then(LocalPath::root);
        let folder = folder.map(|root| root.display().to_string());
        let folder = folder.unwrap_or_default();
        format!("{folder} {} {} {version}", self.place, self.size)
    }

    /// Returns the size in bytes when the file was found.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the place of the file.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Opens a stream over the bytes of `range`; it ends early if the file has shrunk.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(&self, range: Range<u64>) -> io::Result<Box<dyn Read + Send>> {
        match &self.place {
            Place::Local(path) => {
                let mut file = path.open()?;
                if range.start > 0 {
                    file.seek(SeekFrom::Start(range.start))?;
                }
                Ok(Box::new(file.take(range.end.saturating_sub(range.start))))
            }
            Place::Object(_) => {
                let range = range.start.min(self.size)..range.end.min(self.size);
                Ok(Box::new(AheadReader::new(self.fetcher()?, range)?))
            }
        }
    }

    /// Reads the first `limit` bytes, or fewer if the file is shorter.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn head(&self, limit: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.open(0..limit as u64)?.read_to_end(&mut head)?;
        Ok(head)
    }

    fn bytes(&self, range: Range<u64>) -> io::Result<Bytes> {
        match &self.place {
            Place::Local(_) => {
                let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                let mut bytes = Vec::with_capacity(length);
                self.open(range)?.read_to_end(&mut bytes)?;
                Ok(bytes.into())
            }
            Place::Object(_) => {
                let fetcher = self.fetcher()?;
                super::wait(async move { fetcher.fetch(range).await })
            }
        }
    }

    fn fetcher(&self) -> io::Result<Fetcher> {
        match &self.place {
            Place::Local(_) => Err(io::Error::other("a local file cannot be fetched")),
            Place::Object(object) => Ok(Fetcher {
                store: object.store()?,
                object: object.clone(),
                version: self.version.clone(),
            }),
        }
    }
}

/// Fetches ranges of one version of an object.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    store: Arc<dyn ObjectStore>,
    object: ObjectPlace,
    version: Option<String>,
}

impl Fetcher {
    pub(super) async fn fetch(&self, range: Range<u64>) -> object_store::Result<Bytes> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: self.version.clone(),
            ..GetOptions::default()
        };
        let found = self.store.get_opts(&self.object.path(), options).await?;
        found.bytes().await
    }
}

/// A file for the Parquet reader, which makes small reads in any order: reads of an object are served from cached
/// blocks.
#[derive(Debug, Clone)]
pub struct CachedFile {
    file: ByteFile,
    blocks: Arc<Mutex<VecDeque<(u64, Bytes)>>>,
}

impl From<&ByteFile> for CachedFile {
    fn from(file: &ByteFile) -> Self {
        Self {
            file: file.clone(),
            blocks: Arc::default(),
        }
    }
}

impl CachedFile {
    /// Returns the block of this number; the last one may be shorter.
    fn block(&self, number: u64) -> io::Result<Bytes> {
        let mut blocks = self
            .blocks
            .lock()
            .map_err(|_| io::Error::other("a lock was poisoned"))?;
        if let Some(at) = blocks.iter().position(|(known, _)| *known == number) {
            // What was used last is dropped last.
            if let Some(block) = blocks.remove(at) {
                blocks.push_back(block.clone());
                return Ok(block.1);
            }
        }
        let start = number * BLOCK;
        let bytes = self
            .file
            .bytes(start..(start + BLOCK).min(self.file.size))?;
        if blocks.len() == BLOCKS_KEPT {
            blocks.pop_front();
        }
        blocks.push_back((number, bytes.clone()));
        Ok(bytes)
    }
}

impl Length for CachedFile {
    fn len(&self) -> u64 {
        self.file.size
    }
}

impl ChunkReader for CachedFile {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        match self.file.place {
            Place::Local(_) => Ok(self.file.open(start..self.file.size)?),
            Place::Object(_) => Ok(Box::new(BlockReader {
                file: self.clone(),
                at: start,
            })),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let size = self.file.size;
        // A broken footer asks for more than there is: look before allocating.
        let end = start.checked_add(length as u64);
        let Some(end) = end.filter(|end| *end <= size) else {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} requested from a file of {size}"
            )));
        };
        if matches!(self.file.place, Place::Object(_)) && (length as u64) < BLOCK {
            let mut reader = self.get_read(start)?.take(length as u64);
            let mut bytes = Vec::with_capacity(length);
            reader.read_to_end(&mut bytes)?;
            return Ok(bytes.into());
        }
        let bytes = self.file.bytes(start..end)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF("the file has shrunk".to_owned()));
        }
        Ok(bytes)
    }
}

/// Reads sequentially from an offset of a cached file.
struct BlockReader {
    file: CachedFile,
    at: u64,
}

impl Read for BlockReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.file.file.size || buffer.is_empty() {
            return Ok(0);
        }
        let block = self.file.block(self.at / BLOCK)?;
        let within = usize::try_from(self.at % BLOCK).unwrap_or(usize::MAX);
        let rest = block.get(within..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

/// A file whose parts are read in any order.
pub enum SeekableFile {
    /// Of a file system.
    Local(BufReader<File>),
    /// Of a store.
    Object(BufReader<ObjectReader>),
    /// Of a store, and small.
    Whole(io::Cursor<Bytes>),
}

impl SeekableFile {
    /// Opens the file at a place.
    pub(super) fn at(place: &Place) -> io::Result<Self> {
        let object = match place {
            Place::Local(path) => return Ok(Self::Local(BufReader::new(path.open()?))),
            Place::Object(object) => object,
        };
        let (found, bytes) = object.request(|store, path| async move {
            let options = GetOptions {
                range: Some(GetRange::Bounded(0..SMALL)),
                ..GetOptions::default()
            };
            let found = store.get_opts(&path, options).await?;
            let meta = found.meta.clone();
            Ok((meta, found.bytes().await?))
        })?;
        if found.size == bytes.len() as u64 {
            return Ok(Self::Whole(io::Cursor::new(bytes)));
        }
        Self::open(&ByteFile {
            place: place.clone(),
            size: found.size,
            version: found.e_tag,
        })
    }

    /// Opens a file that was found before.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(file: &ByteFile) -> io::Result<Self> {
        Ok(match &file.place {
            Place::Local(path) => Self::Local(BufReader::new(path.open()?)),
            Place::Object(_) => {
                let reader = ObjectReader {
                    file: file.clone(),
                    at: 0,
                };
                Self::Object(BufReader::with_capacity(SEEK_BLOCK, reader))
            }
        })
    }
}

impl Read for SeekableFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Local(file) => file.read(buffer),
            Self::Object(file) => file.read(buffer),
            Self::Whole(file) => file.read(buffer),
        }
    }
}

impl io::BufRead for SeekableFile {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Local(file) => file.fill_buf(),
            Self::Object(file) => file.fill_buf(),
            Self::Whole(file) => file.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::Local(file) => file.consume(count),
            Self::Object(file) => file.consume(count),
            Self::Whole(file) => file.consume(count),
        }
    }
}

impl Seek for SeekableFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Local(file) => file.seek(to),
            Self::Object(file) => file.seek(to),
            Self::Whole(file) => file.seek(to),
        }
    }
}

/// A reader of an object; each read is one request.
pub struct ObjectReader {
    file: ByteFile,
    at: u64,
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = (self.at + buffer.len() as u64).min(self.file.size);
        if self.at >= end {
            return Ok(0);
        }
        let bytes = self.file.bytes(self.at..end)?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "a position before the start of the file",
            )
        })?;
        Ok(self.at)
    }
}
