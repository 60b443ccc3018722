//! Validates the metadata of a Parquet file before its decoder uses it: the footer, and the header of each page.
//!
//! A few kilobytes of a file may claim pages, dictionaries and lists of gigabytes, for which a decoder allocates memory
//! at once, or a schema so deep that a decoder overflows its stack.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::options::ContentLimits;
use super::thrift::{Fault, Walk, is_integer, is_list, is_struct};
use planner_storage::{ByteFile, CachedFile};

/// Bytes behind the footer: its length and the magic number.
const TAIL: u64 = 8;

/// Maximum nesting depth of groups in a schema.
const MAX_SCHEMA_DEPTH: usize = 64;

/// Bytes per read of a page header, and its maximum size.
const HEADER: usize = 4 << 10;
const MAX_HEADER: usize = 4 << 20;

/// Bytes that a decoder needs for each value of a nested column: its levels, and an offset.
const LEVEL_BYTES: u64 = 8;

/// Checks the footer of a file.
pub(super) fn check_footer(
    file: &ByteFile,
    limits: &ContentLimits,
) -> std::io::Result<Result<(), String>> {
    let read = |range: Range<u64>| {
        let mut bytes = Vec::new();
        file.open(range)?.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let size = file.size();
    let tail = read(size.saturating_sub(TAIL)..size)?;
    let Some((length, magic)) = tail.split_first_chunk::<4>() else {
        return Ok(Err("it is too short".to_owned()));
    };
    // Anything else the decoder refuses.
    if magic != b"PAR1" {
        return Ok(Ok(()));
    }
    let length = u64::from(u32::from_le_bytes(*length));
    if length > limits.held / 8 {
        return Ok(Err(format!("its footer has {length} bytes")));
    }
    let end = size - TAIL;
    let footer = read(end.saturating_sub(length)..end)?;
    Ok(walk_footer(&footer).map_err(|fault| format!("its footer: {}", fault.reason())))
}

/// Validates the metadata of a file: every list is complete, and the schema is not too deep.
fn walk_footer(footer: &[u8]) -> Result<(), Fault> {
    Walk::new(footer).fields(&mut |walk, number, kind| {
        if number != 2 || !is_list(kind) {
            return Ok(false);
        }
        let (count, kind) = walk.list()?;
        if !is_struct(kind) {
            return Err(Fault::Broken("its schema is invalid"));
        }
        // Children that are still to come, of each group that is open.
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..count {
            let mut children = 0;
            walk.fields(&mut |walk, number, kind| {
                if number == 5 && is_integer(kind) {
                    children = walk.integer()?;
                    return Ok(true);
                }
                Ok(false)
            })?;
            if let Some(last) = open.last_mut() {
                *last -= 1;
            }
            if children > 0 {
                open.push(children);
                if open.len() > MAX_SCHEMA_DEPTH {
                    return Err(Fault::Broken("its schema is nested too deeply"));
                }
            }
            while open.last().is_some_and(|left| *left <= 0) {
                open.pop();
            }
        }
        Ok(true)
    })
}

/// A column chunk of a row group in the file.
#[derive(Debug)]
struct Chunk {
    bytes: Range<u64>,
    nested: bool,
    /// Values of the pages that were begun.
    values: u64,
    /// Position of the content of the page whose header was read last, until it is read: a reader that has peeked at
    /// the header returns there, and finds no header.
    content: Option<u64>,
}

/// A file whose pages are checked when they are begun.
#[derive(Debug, Clone)]
pub(super) struct GuardedFile {
    file: CachedFile,
    held: u64,
    chunks: Arc<Mutex<Vec<Chunk>>>,
}

impl GuardedFile {
    /// Creates a guard of the pages of these row groups.
    ///
    /// # Errors
    /// When column chunks overlap: the content of one could be the header of another.
    pub fn new<'a>(
        file: &ByteFile,
        limits: &ContentLimits,
        groups: impl Iterator<Item = &'a RowGroupMetaData>,
    ) -> Result<Self, String> {
        let chunks = groups.flat_map(RowGroupMetaData::columns).map(|column| {
            let offset = column.dictionary_page_offset();
            let first = offset.unwrap_or(i64::MAX).min(column.data_page_offset());
            let start = u64::try_from(first).unwrap_or(0);
            let length = u64::try_from(column.compressed_size()).unwrap_or(0);
            Chunk {
                bytes: start..start.saturating_add(length),
                nested: column.column_descr().max_rep_level() > 0,
                values: 0,
                content: None,
            }
        });
        let mut chunks: Vec<Chunk> = chunks.collect();
        chunks.sort_by_key(|chunk| chunk.bytes.start);
        let overlap = |pair: &[Chunk]| pair[0].bytes.end > pair[1].bytes.start;
        if chunks.windows(2).any(overlap) {
            return Err("its column chunks overlap".to_owned());
        }
        Ok(Self {
            file: CachedFile::from(file),
            held: limits.held,
            chunks: Arc::new(Mutex::new(chunks)),
        })
    }

    /// Calls `take` with the column chunk that contains a position, if there is one.
    fn in_chunk<T>(&self, place: u64, take: impl FnOnce(&mut Chunk) -> T) -> Option<T> {
        let mut chunks = self.chunks.lock().ok()?;
        let after = chunks.partition_point(|chunk| chunk.bytes.start <= place);
        let chunk = chunks.get_mut(after.checked_sub(1)?)?;
        chunk.bytes.contains(&place).then(|| take(chunk))
    }

    fn check(&self, start: u64, header: &PageHeader) -> Result<(), String> {
        let held = self.held;
        if header.unpacked > held {
            let unpacked = header.unpacked;
            return Err(format!(
                "a page unpacks to {unpacked} bytes; at most {held} can be held in memory"
            ));
        }
        if header.dictionary && header.values > header.unpacked.saturating_mul(8) {
            let (values, unpacked) = (header.values, header.unpacked);
            return Err(format!(
                "a dictionary of {unpacked} bytes claims {values} values"
            ));
        }
        let values = self.in_chunk(start, |chunk| {
            // Behind a page without content is the next header.
            chunk.content = (header.packed > 0).then_some(start + header.length);
            if chunk.nested && !header.dictionary {
                chunk.values = chunk.values.saturating_add(header.values);
            }
            chunk.values
        });
        match values {
            Some(values) if values > held / LEVEL_BYTES => Err(format!(
                "a column of lists has {values} values in a row group"
            )),
            Some(_) => Ok(()),
            None => Err("a page is outside its column chunk".to_owned()),
        }
    }
}

impl Length for GuardedFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for GuardedFile {
    type T = Box<dyn Read + Send>;

    /// Reads from the header of a page on, which is validated first.
    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let mut rest = self.file.get_read(start)?;
        let is_content = self.in_chunk(start, |chunk| chunk.content == Some(start));
        if is_content == Some(true) {
            return Ok(rest);
        }
        let mut head = Vec::new();
        let mut most = HEADER;
        let header = loop {
            let wanted = (most - head.len()) as u64;
            let read = (&mut rest).take(wanted).read_to_end(&mut head)?;
            match page_header(&head) {
                Err(Fault::Incomplete) if (read as u64) == wanted && most < MAX_HEADER => most *= 8,
                walked => break walked,
            }
        };
        let refused = |reason: &str| ParquetError::General(reason.to_owned());
        match header {
            Ok(header) => {
                let checked = self.check(start, &header);
                checked.map_err(|reason| refused(&reason))?;
            }
            Err(fault) => return Err(refused(fault.reason())),
        }
        Ok(Box::new(Cursor::new(head).chain(rest)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.in_chunk(start, |chunk| chunk.content = None);
        self.file.get_bytes(start, length)
    }
}

/// What the header of a page claims.
#[derive(Debug, Default, PartialEq, Eq)]
struct PageHeader {
    /// Bytes of the header itself.
    length: u64,
    unpacked: u64,
    packed: u64,
    values: u64,
    dictionary: bool,
}

fn page_header(bytes: &[u8]) -> Result<PageHeader, Fault> {
    /// Fields of `PageHeader` in Parquet's `parquet.thrift`: the kinds of pages, whose first field is the number of
    /// values.
    const DATA: i64 = 5;
    const DICTIONARY: i64 = 7;
    const DATA_V2: i64 = 8;
    let mut header = PageHeader::default();
    let size = |value: i64| u64::try_from(value).map_err(|_| Fault::Broken("a size is negative"));
    let mut walk = Walk::new(bytes);
    walk.fields(&mut |walk, number, kind| match number {
        2 if is_integer(kind) => {
            header.unpacked = size(walk.integer()?)?;
            Ok(true)
        }
        3 if is_integer(kind) => {
            header.packed = size(walk.integer()?)?;
            Ok(true)
        }
        DATA | DICTIONARY | DATA_V2 if is_struct(kind) => {
            header.dictionary = number == DICTIONARY;
            walk.fields(&mut |walk, number, kind| {
                if number == 1 && is_integer(kind) {
                    header.values = size(walk.integer()?)?;
                    return Ok(true);
                }
                Ok(false)
            })?;
            Ok(true)
        }
        _ => Ok(false),
    })?;
    header.length = walk.passed() as u64;
    Ok(header)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Page headers determine the cost of decompression.
    #[test]
    fn m3_page_headers() {
        // type 2 (dictionary), unpacked 2^31 - 1, packed 8; dictionary: 2^30 values.
        let bytes = [
            0x15, 0x04, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 0x10, 0x4c, 0x15, 0x80, 0x80,
            0x80, 0x80, 0x08, 0, 0,
        ];
        let header = page_header(&bytes).unwrap();
        let expected = PageHeader {
            length: 19,
            unpacked: 0x7fff_ffff,
            packed: 8,
            values: 1 << 30,
            dictionary: true,
        };
        assert_eq!(header, expected);
        assert_eq!(page_header(&bytes[..6]), Err(Fault::Incomplete));
        assert!(page_header(&[0x15, 0x04, 0x15, 0x01, 0]).is_err());
    }

    /// A schema may not be deeper than a decoder can call itself.
    #[test]
    fn m3_deep_schemas() {
        let schema = |depth: usize| {
            // version 1, then a list of groups with one child each, and a leaf.
            let mut footer = vec![0x15, 0x02, 0x19, 0xfc];
            let mut count = depth + 1;
            while count > 127 {
                footer.push((count & 0x7f) as u8 | 0x80);
                count >>= 7;
            }
            footer.push(count as u8);
            for _ in 0..depth {
                footer.extend([0x48, 1, b'a', 0x15, 0x02, 0]);
            }
            footer.extend([0x48, 1, b'b', 0, 0]);
            footer
        };
        walk_footer(&schema(20)).unwrap();
        let refused = walk_footer(&schema(50_000));
        assert_eq!(
            refused,
            Err(Fault::Broken("its schema is nested too deeply"))
        );
    }
}
