//! The place where the service keeps what is sent to it and what comes of it.
//!
//! Files are read and written chunk by chunk: a thread that may block has each chunk for as long as the store takes, and
//! none is held while a connection is waited for, however slow it is and however many there are.

use std::io::{Read, Write};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use planner::spec::Secret;
use planner::storage::{ByteFile, LocationPolicy, Place, WholeFile};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes that are read or written at a time.
const CHUNK: usize = 256 << 10;

/// Chunks that wait between a file and a connection.
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
        let mut file = WrittenFile::new(self.place(name));
        futures::pin_mut!(content);
        while let Some(chunk) = content.next().await {
            match chunk {
                Ok(chunk) => file.append(chunk).await.map_err(WriteError::Store)?,
                // Only a stream that has ended is whole: the file is dropped.
                Err(error) => return Err(WriteError::Content(error)),
            }
        }
        let stored = file.finish(expected).await.map_err(WriteError::Store)?;
        stored.ok_or(WriteError::Damaged)
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
        tokio::spawn(async move {
            let opened = blocking(move || file.open(0..size)).await;
            let mut reader = match opened {
                Ok(reader) => reader,
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            loop {
                let read = blocking(move || {
                    let mut chunk = BytesMut::zeroed(CHUNK);
                    let count = read_full(&mut reader, &mut chunk)?;
                    chunk.truncate(count);
                    Ok((reader, chunk.freeze()))
                });
                let (back, chunk) = match read.await {
                    Ok((_, chunk)) if chunk.is_empty() => return,
                    Ok((back, chunk)) => (back, Ok(chunk)),
                    Err(error) => {
                        let _ = sender.send(Err(error)).await;
                        return;
                    }
                };
                reader = back;
                // Nobody listens any more, perhaps.
                if sender.send(chunk).await.is_err() {
                    return;
                }
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

/// Reads until the buffer is full or the file ends; gives the bytes that were read.
fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// A file that is written by threads that may block, each for one chunk; the next chunk is received meanwhile.
///
/// The file is begun with its first chunk: one of which nothing has come costs nothing. One that is dropped leaves
/// nothing.
struct WrittenFile {
    place: Option<Place>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    writing: Option<JoinHandle<std::io::Result<Begun>>>,
}

/// The part of a file that is there.
struct Begun {
    file: WholeFile,
    digest: Sha256,
    bytes: u64,
}

impl Begun {
    fn new(place: &Place) -> std::io::Result<Self> {
        Ok(Self {
            file: place.begin_whole()?,
            digest: Sha256::new(),
            bytes: 0,
        })
    }

    fn write(&mut self, chunks: &[Bytes]) -> std::io::Result<()> {
        for chunk in chunks {
            self.bytes += chunk.len() as u64;
            self.digest.update(chunk);
            self.file.write_all(chunk)?;
        }
        Ok(())
    }
}

impl WrittenFile {
    fn new(place: Place) -> Self {
        Self {
            place: Some(place),
            waiting: Vec::new(),
            waiting_bytes: 0,
            writing: None,
        }
    }

    async fn append(&mut self, chunk: Bytes) -> std::io::Result<()> {
        self.waiting_bytes += chunk.len();
        self.waiting.push(chunk);
        if self.waiting_bytes < CHUNK {
            return Ok(());
        }
        let chunks = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let begun = self.begun().await?;
        let place = self.place.take();
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let mut begun = opened(begun, place)?;
            begun.write(&chunks)?;
            Ok(begun)
        }));
        Ok(())
    }

    /// What was written so far, once it is; none before the first chunk.
    async fn begun(&mut self) -> std::io::Result<Option<Begun>> {
        match self.writing.take() {
            None => Ok(None),
            Some(writing) => writing.await.map_err(thread_ended)?.map(Some),
        }
    }

    /// Ends the file; gives none, and keeps none, when it has another digest than the one expected.
    async fn finish(mut self, expected: Option<String>) -> std::io::Result<Option<Stored>> {
        let begun = self.begun().await?;
        let (place, chunks) = (self.place.take(), std::mem::take(&mut self.waiting));
        blocking(move || {
            let mut begun = opened(begun, place)?;
            begun.write(&chunks)?;
            let sha256 = hexadecimal(&begun.digest.finalize());
            if expected.is_some_and(|expected| !expected.eq_ignore_ascii_case(&sha256)) {
                return Ok(None);
            }
            begun.file.finish()?;
            let bytes = begun.bytes;
            Ok(Some(Stored { bytes, sha256 }))
        })
        .await
    }
}

/// The file that was begun, or is begun now.
fn opened(begun: Option<Begun>, place: Option<Place>) -> std::io::Result<Begun> {
    match (begun, place) {
        (Some(begun), _) => Ok(begun),
        (None, Some(place)) => Begun::new(&place),
        (None, None) => Err(std::io::Error::other("a file that failed is written to")),
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
    done.map_err(thread_ended)?
}

fn thread_ended(error: tokio::task::JoinError) -> std::io::Error {
    std::io::Error::other(format!("a thread ended: {error}"))
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

    /// Thousands of senders that fall asleep hold no thread: another file is written and read meanwhile.
    #[test]
    fn h3_sleeping_senders_hold_no_thread() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(4)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_str().unwrap(), None).unwrap();
        runtime.block_on(async {
            let mut asleep = tokio::task::JoinSet::new();
            for number in 0..1000 {
                let store = store.clone();
                asleep.spawn(async move {
                    let sent = if number % 2 == 0 { CHUNK + 1 } else { 3 };
                    let begun = futures::stream::iter([Ok::<_, ()>(Bytes::from(vec![0; sent]))]);
                    let name = format!("parts/{number}");
                    store
                        .write(&name, begun.chain(futures::stream::pending()))
                        .await
                });
            }
            let other = async {
                let chunks = (0..40).map(|_| Ok::<_, ()>(Bytes::from(vec![7; 100_000])));
                let stored = store.write("whole", futures::stream::iter(chunks)).await;
                assert_eq!(stored.unwrap().bytes, 4_000_000);
                let (size, content) = store.read("whole").await.unwrap();
                let read: Vec<Bytes> = content.map(Result::unwrap).collect().await;
                assert_eq!((size, read.concat().len()), (4_000_000, 4_000_000));
            };
            let patience = std::time::Duration::from_secs(30);
            tokio::time::timeout(patience, other).await.unwrap();
            asleep.shutdown().await;
        });
        // What was dropped leaves nothing.
        runtime.shutdown_timeout(std::time::Duration::from_secs(30));
        let left = std::fs::read_dir(folder.path().join("parts"));
        assert_eq!(left.map_or(0, Iterator::count), 0);
    }
}
