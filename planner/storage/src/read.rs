//! Sequential reads of an object.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc;

use bytes::{Buf, Bytes};

use super::client::{io_error, requests};
use super::file::Fetcher;

/// Bytes of the first request, which is enough for many readers, and of the largest one.
const FIRST: u64 = 256 << 10;
const LARGEST: u64 = 8 << 20;

/// A range of an object, fetched in pieces; each is prefetched while the one before is read.
pub(super) struct AheadReader {
    fetcher: Fetcher,
    /// The range that was not requested yet.
    left: Range<u64>,
    size: u64,
    at_hand: Bytes,
    coming: Option<mpsc::Receiver<io::Result<Bytes>>>,
}

impl AheadReader {
    pub(super) fn new(fetcher: Fetcher, range: Range<u64>) -> io::Result<Self> {
        let mut reader = Self {
            fetcher,
            left: range,
            size: FIRST,
            at_hand: Bytes::new(),
            coming: None,
        };
        reader.ask()?;
        Ok(reader)
    }

    /// Requests the next piece.
    fn ask(&mut self) -> io::Result<()> {
        let end = (self.left.start + self.size).min(self.left.end);
        let piece = self.left.start..end;
        self.left.start = end;
        self.size = (self.size * 2).min(LARGEST);
        if piece.is_empty() {
            return Ok(());
        }
        let fetcher = self.fetcher.clone();
        let (sender, receiver) = mpsc::sync_channel(1);
        requests()?.spawn(async move {
            let expected = piece.end - piece.start;
            let fetched = fetcher.fetch(piece).await.map_err(io_error);
            let whole = fetched.and_then(|bytes| match bytes.len() as u64 == expected {
                true => Ok(bytes),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            });
            // A reader that was dropped needs nothing any more.
            let _ = sender.send(whole);
        });
        self.coming = Some(receiver);
        Ok(())
    }
}

impl Read for AheadReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at_hand.is_empty() {
            let Some(coming) = self.coming.take() else {
                return Ok(0);
            };
            let lost = |_| io::Error::other("a transfer ended without a result");
            self.at_hand = coming.recv().map_err(lost)??;
            self.ask()?;
        }
        let count = self.at_hand.len().min(buffer.len());
        self.at_hand.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
