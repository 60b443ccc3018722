//! One pass over a text file that finds where its records begin, exactly as the reader will.

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memrchr};

use super::blocks::{Block, Blocks};
use super::dialect::{Dialect, Step};
use super::error::SourceError;
use super::store::ByteFile;

/// A place is kept every so many records.
const MARK_ROWS: u64 = 4096;

/// Bytes that are looked at as a whole: they stay in the first-level cache for the few searches.
const WINDOW: usize = 32 * 1024;

/// A place in a file where a record begins, or where the file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Sees every record that is valid UTF-8, with its line.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&str, u64) -> Result<(), SourceError>;

struct Scan<'a, 'v> {
    dialect: Dialect,
    at: Mark,
    index: TextIndex,
    blank: [Finder<'a>; 2],
    visit: Option<Visit<'v>>,
}

/// Indexes `file` from `start` on, the place of its first record after the header.
pub(super) fn index_text(
    file: &ByteFile,
    path: &str,
    start: Mark,
    dialect: Dialect,
    visit: Option<Visit<'_>>,
) -> Result<TextIndex, SourceError> {
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
    let mut blocks = Blocks::new(file, path, start.offset..file.size())?;
    let mut carried = Vec::new();
    let mut reuse = Vec::new();
    loop {
        let Block { bytes, len, last } = blocks.next(&carried, reuse, scan.at.line)?;
        let used = scan.block(&bytes[..len], last)?;
        if last {
            break;
        }
        carried.clear();
        carried.extend_from_slice(&bytes[used..len]);
        reuse = bytes;
    }
    scan.index.rows = scan.at.row;
    if scan.index.marks.last() != Some(&scan.at) {
        scan.index.marks.push(scan.at);
    }
    Ok(scan.index)
}

impl Scan<'_, '_> {
    /// Takes in the records that end within `text`; how much of it they are.
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

    /// The end of the longest run of whole lines from `pos`, up to a window, in which every line is
    /// a record: no quote, no comment, no blank line. `pos` when there is none.
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

    /// Takes in a plain window: each line is a record.
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
