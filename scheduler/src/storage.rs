//! The place where the service keeps what is sent to it and what comes of it.
//!
//! Files are read and written by blocking threads, a few chunks ahead of, or behind, the connection.

use std::io::{Read, Write};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use planner::spec::Secret;
use planner::storage::{ByteFile, LocationPolicy, Place};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// Chunks that wait between a connection and a file.
const AHEAD: usize = 4;

/// Where the service keeps its files: a folder, or what the names of objects begin with.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: Place,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Store {
    pub(crate) fn new(location: &str, credentials: Option<&Secret>) -> Result<Self, String> {
        let here = std::env::current_dir().map_err(|error| error.to_string())?;
        // Whoever runs the service says where it keeps its files.
        let root = LocationPolicy::everything(here).place(location, credentials);
        let root = root.map_err(|error| error.to_string())?;
        if let Some(path) = root.local() {
            planner::private::folder(path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let path = path.canonicalize();
            let path = path.map_err(|error| format!("{location}: {error}"))?;
            return Ok(Self {
                root: Place::own(path),
            });
        }
        Ok(Self { root })
    }

    /// A file or folder of the store.
    pub(crate) fn place(&self, name: &str) -> Place {
        self.root.join(name)
    }

    /// Writes a file from a stream. A stream that fails, or a caller that goes, leaves nothing.
    pub(crate) async fn write<E: Send + 'static>(
        &self,
        name: &str,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Stored, WriteError<E>> {
        self.write_checked(name, content, None).await
    }

    /// The same, but what has another digest than the one expected (in hexadecimal) is not kept.
    pub(crate) async fn write_checked<E: Send + 'static>(
        &self,
        name: &str,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
        expected: Option<String>,
    ) -> Result<Stored, WriteError<E>> {
        let place = self.place(name);
        let (sender, mut receiver) = mpsc::channel::<Option<Bytes>>(AHEAD);
        let written = tokio::task::spawn_blocking(move || -> std::io::Result<Option<Stored>> {
            let mut file = place.begin_whole()?;
            let mut digest = Sha256::new();
            let mut bytes = 0;
            // Only a stream that has ended is whole; one that was broken off says nothing more.
            while let Some(chunk) = receiver.blocking_recv() {
                let Some(chunk) = chunk else {
                    let sha256 = hexadecimal(&digest.finalize());
                    if expected.is_some_and(|expected| !expected.eq_ignore_ascii_case(&sha256)) {
                        return Ok(None);
                    }
                    file.finish()?;
                    return Ok(Some(Stored { bytes, sha256 }));
                };
                bytes += chunk.len() as u64;
                digest.update(&chunk);
                file.write_all(&chunk)?;
            }
            Ok(None)
        });
        let mut failure = None;
        futures::pin_mut!(content);
        while let Some(chunk) = content.next().await {
            match chunk {
                Ok(chunk) => {
                    if sender.send(Some(chunk)).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if failure.is_none() {
            // Whoever writes has failed if nobody listens, and says so below.
            let _ = sender.send(None).await;
        }
        drop(sender);
        let written = written.await.map_err(|error| {
            WriteError::Store(std::io::Error::other(format!("writing ended: {error}")))
        })?;
        match (failure, written) {
            (Some(error), _) => Err(WriteError::Content(error)),
            (None, Ok(Some(stored))) => Ok(stored),
            (None, Ok(None)) => Err(WriteError::Damaged),
            (None, Err(error)) => Err(WriteError::Store(error)),
        }
    }

    /// The bytes of a file, as they are read.
    pub(crate) async fn read(
        &self,
        name: &str,
    ) -> std::io::Result<(u64, ReceiverStream<std::io::Result<Bytes>>)> {
        let place = self.place(name);
        let file = blocking(move || ByteFile::find(&place)).await?;
        let size = file.size();
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            let copied = (|| -> std::io::Result<()> {
                let mut reader = file.open(0..size)?;
                loop {
                    let mut chunk = BytesMut::zeroed(CHUNK);
                    let count = reader.read(&mut chunk)?;
                    if count == 0 {
                        return Ok(());
                    }
                    chunk.truncate(count);
                    if sender.blocking_send(Ok(chunk.freeze())).is_err() {
                        return Ok(());
                    }
                }
            })();
            if let Err(error) = copied {
                // Nobody listens any more, perhaps.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok((size, ReceiverStream::new(receiver)))
    }

    /// A small file.
    pub(crate) async fn load(&self, name: &str) -> std::io::Result<Vec<u8>> {
        let place = self.place(name);
        blocking(move || {
            let file = ByteFile::find(&place)?;
            let mut content = Vec::new();
            file.open(0..file.size())?.read_to_end(&mut content)?;
            Ok(content)
        })
        .await
    }

    /// Removes a file or folder.
    pub(crate) async fn remove(&self, name: &str) -> std::io::Result<()> {
        let place = self.place(name);
        blocking(move || place.remove_all()).await
    }
}

/// Why a stream was not written.
#[derive(Debug)]
pub(crate) enum WriteError<E> {
    /// The stream failed.
    Content(E),
    /// What came has another digest.
    Damaged,
    /// The store failed.
    Store(std::io::Error),
}

/// Runs what blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| std::io::Error::other(format!("a thread ended: {error}")))?
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is read again; a stream that breaks off leaves nothing.
    #[tokio::test]
    async fn whole_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_str().unwrap(), None).unwrap();
        let chunks = [
            Ok::<_, ()>(Bytes::from_static(b"a,b\n")),
            Ok(Bytes::from_static(b"1,2\n")),
        ];
        let stored = store.write("x/y.csv", futures::stream::iter(chunks)).await;
        let stored = stored.unwrap();
        assert_eq!(stored.bytes, 8);
        assert_eq!(store.load("x/y.csv").await.unwrap(), b"a,b\n1,2\n");
        let (size, content) = store.read("x/y.csv").await.unwrap();
        let read: Vec<Bytes> = content.map(Result::unwrap).collect().await;
        assert_eq!((size, read.concat().len()), (8, 8));

        let broken = [Ok(Bytes::from_static(b"a,b\n")), Err("gone")];
        let failed = store.write("x/z.csv", futures::stream::iter(broken)).await;
        assert!(
            matches!(failed, Err(WriteError::Content("gone"))),
            "{failed:?}"
        );
        let left: Vec<_> = std::fs::read_dir(folder.path().join("x"))
            .unwrap()
            .collect();
        assert_eq!(left.len(), 1, "{left:?}");
        store.remove("x").await.unwrap();
        store.remove("x").await.unwrap();
        assert!(!folder.path().join("x").exists());
    }
}
