//! Sequential writes of a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use object_store::buffered::BufWriter as ObjectBuffer;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::client::{io_error, requests, transfer};
use super::place::Place;

/// Bytes per chunk that is passed to the upload.
const CHUNK: usize = 1 << 20;

/// Bytes per part of a multipart upload; smaller objects are put in one request.
const PART: usize = 8 << 20;

/// Parts of an object that are uploaded concurrently.
const PARTS_AT_ONCE: usize = 2;

/// A file that is being written. Only [`finish`](Self::finish) makes it durable; an object does not exist before.
pub enum PlaceWriter {
    /// Of a file system.
    Local(BufWriter<File>),
    /// Of a store.
    Object(Box<ObjectWriter>),
}

impl PlaceWriter {
    /// Creates a file that must not exist yet, readable by its owner only.
    pub(super) fn create(place: &Place) -> io::Result<Self> {
        Self::begin(place, 0o600)
    }

    fn begin(place: &Place, mode: u32) -> io::Result<Self> {
        Ok(match place {
            Place::Local(path) => {
                Self::Local(BufWriter::with_capacity(CHUNK, path.create_new(mode)?))
            }
            Place::Object(object) => {
                let buffer = ObjectBuffer::with_capacity(object.store()?, object.path(), PART);
                Self::Object(Box::new(ObjectWriter {
                    buffer: Some(buffer.with_max_concurrency(PARTS_AT_ONCE)),
                    chunk: Vec::new(),
                }))
            }
        })
    }

    /// Ends a file that need not survive a power failure.
    ///
    /// # Errors
    /// When the remaining bytes cannot be written.
    pub fn close(self) -> io::Result<()> {
        match self {
            Self::Local(mut buffer) => buffer.flush(),
            Self::Object(object) => object.finish(),
        }
    }

    /// Ends the file and makes all of it durable.
    ///
    /// # Errors
    /// When the remaining bytes cannot be written or synced.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::Local(buffer) => {
                let file = buffer
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)?;
                file.sync_data()
            }
            Self::Object(object) => object.finish(),
        }
    }
}

impl Write for PlaceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Local(file) => file.write(bytes),
            Self::Object(object) => object.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Local(file) => file.flush(),
            // What has no end yet cannot be stored.
            Self::Object(_) => Ok(()),
        }
    }
}

/// A file that appears at its place once it is complete: on a file system it is written under a unique name and then
/// renamed, so tasks that write the same file concurrently do not interfere.
///
/// A file that is dropped before it is complete leaves nothing behind.
pub struct WholeFile {
    /// `None` once the file has ended.
    writer: Option<PlaceWriter>,
    written: Place,
    place: Place,
}

impl WholeFile {
    /// Begins the file at `place`; until it is complete it is in `unfinished`, a folder of the same file system.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(place: &Place, unfinished: &Place) -> io::Result<Self> {
        let written = match place {
            Place::Local(_) => unfinished.join(&format!("{}.unfinished", Uuid::now_v7().simple())),
            Place::Object(_) => place.clone(),
        };
        Ok(Self {
            writer: Some(PlaceWriter::begin(&written, 0o666)?),
            written,
            place: place.clone(),
        })
    }

    /// Ends the file: all of it is durable, at its place.
    ///
    /// # Errors
    /// When the remaining bytes cannot be written, or the file cannot be renamed.
    pub fn finish(mut self) -> io::Result<()> {
        let writer = self.writer.take().ok_or_else(ended)?;
        let done = writer.finish();
        match (&self.written, &self.place) {
            (Place::Local(from), Place::Local(to)) => {
                let done = done.and_then(|()| from.rename(to));
                done.inspect_err(|_| drop(from.remove_file()))
            }
            _ => done,
        }
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let (Some(_), Place::Local(path)) = (self.writer.take(), &self.written) {
            // What cannot be removed is a file that nobody reads.
            drop(path.remove_file());
        }
    }
}

fn ended() -> io::Error {
    io::Error::other("the file is closed already")
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.as_mut().ok_or_else(ended)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().ok_or_else(ended)?.flush()
    }
}

/// A writer of an object, in parts if it is large.
pub struct ObjectWriter {
    /// `None` after a failure.
    buffer: Option<ObjectBuffer>,
    chunk: Vec<u8>,
}

impl ObjectWriter {
    fn hand_on(&mut self) -> io::Result<()> {
        let bytes = Bytes::from(std::mem::take(&mut self.chunk));
        let mut buffer = self.take()?;
        let (buffer, put) = transfer(async move {
            let put = buffer.put(bytes).await.map_err(io_error);
            Ok((buffer, put))
        })?;
        self.buffer = Some(buffer);
        put
    }

    fn take(&mut self) -> io::Result<ObjectBuffer> {
        let gone = || io::Error::other("an earlier write of the object failed");
        self.buffer.take().ok_or_else(gone)
    }

    fn finish(mut self) -> io::Result<()> {
        if !self.chunk.is_empty() {
            self.hand_on()?;
        }
        let mut buffer = self.take()?;
        transfer(async move { buffer.shutdown().await })
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.hand_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ObjectWriter {
    /// Aborts the upload, so that the store drops its parts.
    fn drop(&mut self) {
        if let (Some(mut buffer), Ok(requests)) = (self.buffer.take(), requests()) {
            requests.spawn(async move {
                // The store's own rules sweep what cannot be taken off now.
                let _ = buffer.abort().await;
            });
        }
    }
}
