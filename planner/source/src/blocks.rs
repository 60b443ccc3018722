//! A text file read in large blocks; a record that crosses a block boundary is carried over to the next block.

use std::io::Read;
use std::ops::Range;

use super::error::SourceError;
use planner_base::ByteSize;
use planner_storage::ByteFile;

/// Bytes read at a time.
pub(super) const BLOCK: usize = 1024 * 1024;

/// Zero bytes after the text of a block, so that words may be loaded beyond its end.
pub(super) const PADDING: usize = 64;

/// Some text of a file.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// The text, followed by [`PADDING`] zeros.
    pub bytes: Vec<u8>,
    /// Bytes of text.
    pub len: usize,
    /// Whether nothing follows.
    pub last: bool,
}

/// The blocks of a byte range.
pub(super) struct Blocks {
    reader: Box<dyn Read + Send>,
    path: String,
    longest: usize,
    done: bool,
}

impl Blocks {
    /// Creates a reader of the bytes of `range`, in which no record is longer than `longest`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn new(
        file: &ByteFile,
        path: &str,
        range: Range<u64>,
        longest: usize,
    ) -> Result<Self, SourceError> {
        let reader = file
            .open(range)
            .map_err(|e| SourceError::io(path, "open", e))?;
        Ok(Self {
            reader,
            path: path.to_owned(),
            longest,
            done: false,
        })
    }

    /// Returns the next block; it begins with `carried`, the unused text of the block before. `line` is the line number
    /// of its first byte. The allocation of `reuse` is reused.
    ///
    /// # Errors
    /// When the file cannot be read, or a record is too long.
    pub fn next(
        &mut self,
        carried: &[u8],
        mut reuse: Vec<u8>,
        line: u64,
    ) -> Result<Block, SourceError> {
        if carried.len() > self.longest {
            return Err(SourceError::content(
                &self.path,
                Some(line),
                format!(
                    "a record of more than {} begins here: this is not a table of text",
                    ByteSize(self.longest as u64)
                ),
            ));
        }
        // Doubling keeps a long record from being searched again and again.
        let left = self.longest - carried.len();
        let fresh = carried.len().min(left).max(BLOCK);
        reuse.clear();
        reuse.reserve_exact(carried.len() + fresh + PADDING);
        reuse.extend_from_slice(carried);
        let read = (&mut self.reader)
            .take(fresh as u64)
            .read_to_end(&mut reuse)
            .map_err(|e| SourceError::io(&self.path, "read", e))?;
        self.done |= read < fresh;
        let len = reuse.len();
        reuse.resize(len + PADDING, 0);
        Ok(Block {
            bytes: reuse,
            len,
            last: self.done,
        })
    }
}
