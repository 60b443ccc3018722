//! Index of a text file: one pass that finds where its records begin, exactly as the reader does.

use std::io::Read;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memrchr};
use serde::{Deserialize, Serialize};

use super::blocks::{Block, Blocks};
use super::dialect::{Dialect, Step};
use super::error::SourceError;
use planner_base::{ThreadDied, in_threads};
use planner_storage::ByteFile;

/// A mark is kept every this many records.
const MARK_ROWS: u64 = 4096;

/// Bytes that are scanned at a time, so that they stay in the L1 cache for several searches.
const WINDOW: usize = 32 * 1024;

/// A position in a file where a record begins, or the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Number of the record in its file.
    pub row: u64,
    /// Byte offset.
    pub offset: u64,
    /// 1-based line.
    pub line: u64,
}

/// Where the records of a text file begin.
#[derive(Debug, Clone)]
pub(super) struct TextIndex {
    pub rows: u64,
    /// Ascending; the first is the first record, the last the end of the file.
    pub marks: Vec<Mark>,
    /// Records that are not valid UTF-8.
    pub invalid: u64,
    /// Valid records beyond ASCII, counted by the block where all records of a block are valid.
    pub multibyte: u64,
    /// Whether the file has a `\n`.
    pub line_feeds: bool,
}

/// Called with every record that is valid UTF-8, and its line number.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&str, u64) -> Result<(), SourceError>;

/// Bytes of a file that one thread indexes.
pub(super) const PIECE: u64 = 32 * 1024 * 1024;

/// Indexes `file` like [`index_text`], with more marks, in concurrent pieces.
///
/// A piece begins after a line end near a multiple of [`PIECE`] bytes. This is a guess, because the line end may be
/// inside quotes. It is confirmed if the piece before, read from a confirmed start, has a record that ends there;
/// otherwise the file is read in one go. The pieces depend on the file only.
pub(super) fn index_in_pieces(
    file: &ByteFile,
    path: &str,
    start: Mark,
    (dialect, longest): (Dialect, usize),
    piece: u64,
) -> Result<TextIndex, SourceError> {
    let whole = || index_text(file, path, start, (dialect, longest), None);
    let Some(starts) = guess_starts(file, path, (start.offset, piece), dialect.terminator)? else {
        return whole();
    };
    let ends = starts[1..].iter().copied().chain([file.size()]);
    let spans: Vec<(u64, u64)> = starts.iter().copied().zip(ends).collect();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let pieces = in_threads(threads, spans, |(from, to)| {
        let start = Mark {
            row: 0,
            offset: from,
            line: 0,
        };
        // A piece that fails is read again with the whole file, which tells the true line.
        Ok::<_, ThreadDied>(index_span(file, path, (start, to), (dialect, longest), None).ok())
    });
    let pieces =
        pieces.map_err(|died| SourceError::io(path, "read", std::io::Error::other(died)))?;
    let mut index = TextIndex {
        rows: 0,
        marks: Vec::new(),
        invalid: 0,
        multibyte: 0,
        line_feeds: false,
    };
    let mut lines = start.line;
    for piece in pieces {
        let Some((piece, true)) = piece else {
            return whole();
        };
        let lines_of_piece = piece.marks.last().map_or(0, |mark| mark.line);
        // The end of a piece is the start of the next.
        let places = piece
            .marks
            .split_last()
            .map_or(&[][..], |(_, places)| places);
        let moved = places.iter().map(|mark| Mark {
            row: start.row + index.rows + mark.row,
            offset: mark.offset,
            line: lines + mark.line,
        });
        index.marks.extend(moved);
        index.rows += piece.rows;
        index.invalid += piece.invalid;
        index.multibyte += piece.multibyte;
        index.line_feeds |= piece.line_feeds;
        lines += lines_of_piece;
    }
    index.rows += start.row;
    index.marks.push(Mark {
        row: index.rows,
        offset: file.size(),
        line: lines,
    });
    Ok(index)
}

/// Returns where the pieces of a file may begin; empty for a file of one piece.
fn guess_starts(
    file: &ByteFile,
    path: &str,
    (first, piece): (u64, u64),
    terminator: u8,
) -> Result<Option<Vec<u64>>, SourceError> {
    if file.size() < 2 * piece {
        return Ok(None);
    }
    let mut starts = vec![first];
    for number in 1..file.size() / piece {
        let from = number * piece;
        let mut window = Vec::new();
        let read = file
            .open(from..(from + piece.min(WINDOW as u64)).min(file.size()))
            .and_then(|mut reader| reader.read_to_end(&mut window));
        read.map_err(|e| SourceError::io(path, "read", e))?;
        match memchr(terminator, &window) {
            Some(at) if from > first => starts.push(from + at as u64 + 1),
            // The piece before takes this one in.
            _ => {}
        }
    }
    Ok(Some(starts))
}

struct Scan<'a, 'v> {
    dialect: Dialect,
    at: Mark,
    index: TextIndex,
    blank: [Finder<'a>; 2],
    visit: Option<Visit<'v>>,
}

/// Indexes `file` from `start`, the position of its first record after the header.
pub(super) fn index_text(
    file: &ByteFile,
    path: &str,
    start: Mark,
    (dialect, longest): (Dialect, usize),
    visit: Option<Visit<'_>>,
) -> Result<TextIndex, SourceError> {
    let span = (start, file.size());
    Ok(index_span(file, path, span, (dialect, longest), visit)?.0)
}

/// Indexes the bytes from a mark to an end, and returns whether the last record ends there. At the end of the file it
/// always does.
fn index_span(
    file: &ByteFile,
    path: &str,
    (start, end): (Mark, u64),
    (dialect, longest): (Dialect, usize),
    visit: Option<Visit<'_>>,
) -> Result<(TextIndex, bool), SourceError> {
    let is_last = end == file.size();
    let terminator = dialect.terminator;
    let pairs = [[terminator, terminator], [terminator, b'\r']];
    let mut scan = Scan {
        dialect,
        at: start,
        index: TextIndex {
            rows: 0,
            marks: vec![start],
            invalid: 0,
            multibyte: 0,
            line_feeds: false,
        },
        blank: [Finder::new(&pairs[0]), Finder::new(&pairs[1])],
        visit,
    };
    let mut blocks = Blocks::new(file, path, start.offset..end, longest)?;
    let mut carried = Vec::new();
    let mut reuse = Vec::new();
    loop {
        let Block { bytes, len, last } = blocks.next(&carried, reuse, scan.at.line)?;
        let used = scan.block(&bytes[..len], last && is_last)?;
        carried.clear();
        carried.extend_from_slice(&bytes[used..len]);
        if last {
            break;
        }
        reuse = bytes;
    }
    scan.index.rows = scan.at.row;
    if scan.index.marks.last() != Some(&scan.at) {
        scan.index.marks.push(scan.at);
    }
    Ok((scan.index, is_last || carried.is_empty()))
}

impl Scan<'_, '_> {
    /// Indexes the records that end within `text` and returns their number of bytes.
    fn block(&mut self, text: &[u8], last: bool) -> Result<usize, SourceError> {
        let ends = if last {
            text.len()
        } else {
            memrchr(self.dialect.terminator, text).map_or(0, |at| at + 1)
        };
        self.index.line_feeds = self.index.line_feeds || memchr(b'\n', text).is_some();
        let valid = simdutf8::basic::from_utf8(&text[..ends]).is_ok();
        if valid && !text[..ends].is_ascii() {
            self.index.multibyte += 1;
        }
        let mut pos = 0;
        while pos < text.len() {
            if valid && self.visit.is_none() {
                let plain = self.plain_window(text, pos);
                if plain > pos {
                    self.count(text, pos, plain);
                    pos = plain;
                    continue;
                }
            }
            let until = (pos + WINDOW).min(text.len());
            while pos < until {
                let (end, rows) = match self.dialect.next_record(text, pos, last) {
                    Step::Record { end } | Step::Unclosed { end } => (end, 1),
                    Step::Skip { end } => (end, 0),
                    Step::NeedMore => return Ok(pos),
                };
                if rows > 0 {
                    self.record(&text[pos..end], valid)?;
                }
                self.advance(&text[pos..end], rows);
                pos = end;
            }
        }
        Ok(pos)
    }

    /// Returns the end of the longest run of whole lines from `pos`, up to a window, in which every line is a record:
    /// no quote, no comment, no blank line. `pos` when there is none.
    fn plain_window(&self, text: &[u8], pos: usize) -> usize {
        let until = (pos + WINDOW).min(text.len());
        let Some(end) = memrchr(self.dialect.terminator, &text[pos..until]) else {
            return pos;
        };
        let window = &text[pos..=pos + end];
        let odd = |mark: Option<u8>| mark.is_some_and(|m| memchr(m, window).is_some());
        let starts_blank = matches!(window.first(), Some(first)
            if *first == self.dialect.terminator || *first == b'\r');
        if starts_blank
            || odd(self.dialect.quote)
            || odd(self.dialect.comment)
            || self.blank.iter().any(|pair| pair.find(window).is_some())
        {
            return pos;
        }
        pos + end + 1
    }

    /// Indexes a plain window, in which each line is a record.
    fn count(&mut self, text: &[u8], pos: usize, end: usize) {
        let window = &text[pos..end];
        let lines = memchr_iter(self.dialect.terminator, window).count() as u64;
        let before = MARK_ROWS - self.at.row % MARK_ROWS;
        if lines >= before {
            let mut nth = before;
            let start = self.at;
            for (line, at) in (1..).zip(memchr_iter(self.dialect.terminator, window)) {
                if line == nth {
                    self.index.marks.push(Mark {
                        row: start.row + line,
                        offset: start.offset + at as u64 + 1,
                        line: start.line + line,
                    });
                    nth += MARK_ROWS;
                }
            }
        }
        self.at.row += lines;
        self.at.line += lines;
        self.at.offset += window.len() as u64;
    }

    fn record(&mut self, record: &[u8], valid: bool) -> Result<(), SourceError> {
        if valid && self.visit.is_none() {
            return Ok(());
        }
        match std::str::from_utf8(record) {
            Ok(text) => {
                if !valid && !text.is_ascii() {
                    self.index.multibyte += 1;
                }
                match &mut self.visit {
                    Some(visit) => visit(text, self.at.line),
                    None => Ok(()),
                }
            }
            Err(_) => {
                self.index.invalid += 1;
                Ok(())
            }
        }
    }

    fn advance(&mut self, text: &[u8], rows: u64) {
        self.at.offset += text.len() as u64;
        self.at.line += memchr_iter(self.dialect.terminator, text).count() as u64;
        self.at.row += rows;
        if rows > 0 && self.at.row.is_multiple_of(MARK_ROWS) {
            self.index.marks.push(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// Every place where a record begins or the text ends, one after another.
    fn places(text: &[u8], dialect: Dialect) -> Vec<Mark> {
        let mut at = Mark {
            row: 0,
            offset: 0,
            line: 1,
        };
        let mut places = vec![at];
        while (at.offset as usize) < text.len() {
            let start = at.offset as usize;
            let (end, rows) = match dialect.next_record(text, start, true) {
                Step::Record { end } | Step::Unclosed { end } => (end, 1),
                Step::Skip { end } => (end, 0),
                Step::NeedMore => panic!("nothing follows"),
            };
            at.row += rows;
            at.offset = end as u64;
            at.line += text[start..end]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count() as u64;
            places.push(at);
        }
        places
    }

    proptest! {
        /// However a text is cut, quotes and all, its index is that of the whole.
        #[test]
        fn pieces_are_the_whole(
            records in prop::collection::vec("[a-c]{0,6}|\"[a-c\n]{0,9}\"|\"|a\"|#b|\u{e9}", 0..60),
            crlf: bool,
            piece in 8..64_u64,
        ) {
            let text = records.join(if crlf { "\r\n" } else { "\n" });
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let file = ByteFile::find(&planner_storage::Place::own(file.path())).unwrap();
            let dialect = Dialect { comment: Some(b'#'), ..Dialect::default() };
            let start = Mark { row: 0, offset: 0, line: 1 };
            let index = index_in_pieces(&file, "text", start, (dialect, 1 << 20), piece).unwrap();
            let whole = index_text(&file, "text", start, (dialect, 1 << 20), None).unwrap();
            prop_assert_eq!(index.rows, whole.rows);
            prop_assert_eq!(index.line_feeds, whole.line_feeds);
            prop_assert_eq!(index.marks.last(), whole.marks.last());
            let places = places(text.as_bytes(), dialect);
            for mark in &index.marks {
                prop_assert!(places.contains(mark), "{:?} of {:?}", mark, text);
            }
        }
    }
}
