//! Separated values to string views: the hot path of every job on text.
//!
//! A field that needs no unescaping is a view straight into the block that was read; the rest goes
//! to a side buffer. Memory held is the blocks of one batch.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::builder::make_view;
use arrow::array::{ArrayRef, StringViewArray, new_null_array};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use super::batch::{BadRow, RowOrigin, raw_text};
use super::blocks::{Block, Blocks};
use super::dialect::{Close, Dialect, QUOTED_LIMIT, Step};
use super::error::SourceError;
use super::fields::{Marks, plain_close, view};
use super::index::Mark;
use super::options::ContentLimits;
use super::rows::{Rows, null_rows};
use planner_storage::ByteFile;

/// A side buffer is closed at this size: offsets of views are 32 bits wide.
const SIDE_LIMIT: usize = 256 * 1024 * 1024;

/// Layout of a file, as the reader needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CsvLayout {
    pub dialect: Dialect,
    /// Fields of a whole record.
    pub fields: usize,
    /// Whether every record ends with a delimiter that no field follows.
    pub trailing_delimiter: bool,
}

impl CsvLayout {
    fn fits(&self, fields: usize, last_is_empty: bool) -> bool {
        fields == self.fields
            || (self.trailing_delimiter && last_is_empty && fields == self.fields + 1)
    }
}

/// Reads the records of a byte range in order.
pub(super) struct CsvReader {
    blocks: Blocks,
    limits: ContentLimits,
    layout: CsvLayout,
    /// For each column of the dataset, the field that holds it.
    places: Arc<[Option<usize>]>,
    file: u32,
    /// The current block, as a buffer that batches share.
    block: Buffer,
    len: usize,
    last: bool,
    pos: usize,
    line: u64,
    /// Whether the block is valid UTF-8 as far as records can end in it.
    valid: bool,
}

/// Columns under construction.
struct Columns {
    /// Row by row within each field: `views[field * capacity + row]`.
    views: Vec<u128>,
    capacity: usize,
    rows: usize,
    buffers: Vec<Buffer>,
    /// Index of the current block among the buffers.
    block: u32,
    side: Vec<u8>,
    side_index: Option<usize>,
    bad: Vec<BadRow>,
    origin: RowOrigin,
}

/// How a record was read.
enum Read {
    Record { end: usize, lines: u64 },
    Bad { end: usize, reason: String },
    NeedMore,
}

impl CsvReader {
    /// Creates a reader from `start` to byte `end`, both boundaries of records; lines count from `start`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn new(
        file: &ByteFile,
        path: &str,
        span: (Mark, u64),
        (layout, limits): (CsvLayout, ContentLimits),
        places: Arc<[Option<usize>]>,
        index: u32,
    ) -> Result<Self, SourceError> {
        let range: Range<u64> = span.0.offset..span.1;
        Ok(Self {
            blocks: Blocks::new(file, path, range, limits.record)?,
            limits,
            layout,
            places,
            file: index,
            block: Buffer::from_vec(Vec::<u8>::new()),
            len: 0,
            last: false,
            pos: 0,
            line: span.0.line,
            valid: true,
        })
    }

    /// Skips `rows` records.
    ///
    /// # Errors
    /// When the file cannot be read or has changed.
    pub fn skip(&mut self, rows: u64) -> Result<(), SourceError> {
        let mut left = rows;
        while left > 0 {
            if self.pos >= self.len && !self.refill()? {
                break;
            }
            let dialect = self.layout.dialect;
            let (end, counts) =
                match dialect.next_record(&self.block[..self.len], self.pos, self.last) {
                    Step::Record { end } | Step::Unclosed { end } => (end, 1),
                    Step::Skip { end } => (end, 0),
                    Step::NeedMore if self.refill()? => continue,
                    Step::NeedMore => break,
                };
            self.line += self.line_ends(self.pos, end);
            self.pos = end;
            left -= counts;
        }
        Ok(())
    }

    /// Reads the next `rows` records, fewer at the end of the range.
    ///
    /// # Errors
    /// When the file cannot be read or has changed.
    pub fn next(&mut self, rows: usize) -> Result<Rows, SourceError> {
        let mut columns = Columns::new(self.layout.fields, rows, self.file);
        columns.enter(&self.block);
        let mut marks = Marks::new(
            self.layout.dialect.delimiter,
            self.layout.dialect.terminator,
        );
        marks.seek(&self.block, self.pos);
        while columns.rows < rows {
            if self.pos >= self.len {
                if !self.refill()? {
                    break;
                }
                columns.enter(&self.block);
                marks.seek(&self.block, self.pos);
                continue;
            }
            if self.at_special_start() {
                match self
                    .layout
                    .dialect
                    .next_record(&self.block[..self.len], self.pos, self.last)
                {
                    Step::Skip { end } => {
                        self.line += self.line_ends(self.pos, end);
                        self.pos = end;
                        marks.seek(&self.block, self.pos);
                        continue;
                    }
                    Step::NeedMore => {
                        if !self.refill()? {
                            break;
                        }
                        columns.enter(&self.block);
                        marks.seek(&self.block, self.pos);
                        continue;
                    }
                    Step::Record { .. } | Step::Unclosed { .. } => {}
                }
            }
            let read = self.read_record(&mut columns, &mut marks);
            let (end, lines) = match read {
                Read::Record { end, lines } => (end, lines),
                Read::Bad { end, reason } => {
                    columns.bad.push(BadRow {
                        row: columns.rows as u32,
                        reason,
                        raw: raw_text(&self.block[self.pos..end]),
                    });
                    columns.clear_row();
                    marks.seek(&self.block, end);
                    (end, self.line_ends(self.pos, end))
                }
                Read::NeedMore => {
                    if !self.refill()? {
                        break;
                    }
                    columns.enter(&self.block);
                    marks.seek(&self.block, self.pos);
                    continue;
                }
            };
            columns.origin.push(self.line);
            columns.rows += 1;
            self.line += lines;
            self.pos = end;
        }
        Ok(columns.finish(&self.places))
    }

    #[inline(always)]
    fn at_special_start(&self) -> bool {
        let first = self.block[self.pos];
        let dialect = &self.layout.dialect;
        first == dialect.terminator || first == b'\r' || Some(first) == dialect.comment
    }

    fn line_ends(&self, from: usize, to: usize) -> u64 {
        memchr::memchr_iter(self.layout.dialect.terminator, &self.block[from..to]).count() as u64
    }

    /// Appends the next block to the rest of this one; `false` at the end.
    fn refill(&mut self) -> Result<bool, SourceError> {
        if self.last {
            return Ok(false);
        }
        let carried = &self.block[self.pos.min(self.len)..self.len];
        let Block { bytes, len, last } = self.blocks.next(carried, Vec::new(), self.line)?;
        let ends = if last {
            len
        } else {
            memchr::memrchr(self.layout.dialect.terminator, &bytes[..len]).map_or(0, |at| at + 1)
        };
        self.valid = simdutf8::basic::from_utf8(&bytes[..ends]).is_ok();
        self.block = Buffer::from_vec(bytes);
        self.len = len;
        self.last = last;
        self.pos = 0;
        Ok(len > 0)
    }

    /// Reads the record at `self.pos` into row `columns.rows`.
    #[inline(always)]
    fn read_record(&self, columns: &mut Columns, marks: &mut Marks) -> Read {
        let text: &[u8] = &self.block;
        let len = self.len;
        let dialect = self.layout.dialect;
        let quote = dialect.quote.unwrap_or(0);
        let quoting = dialect.quote.is_some();
        let buffer = columns.block;
        let expected = self.layout.fields;
        let mut start = self.pos;
        let mut field = 0;
        let mut lines = 0;
        loop {
            let (value, found) = if quoting && start < len && text[start] == quote {
                match self.read_quoted(columns, marks, start) {
                    Quoted::Field { view, end, inner } => {
                        lines += inner;
                        (view, end)
                    }
                    Quoted::NeedMore => return Read::NeedMore,
                    Quoted::Never { end } => {
                        return Read::Bad {
                            end,
                            reason: "a quote that opens here is never closed".to_owned(),
                        };
                    }
                }
            } else {
                let found = marks.next(text, len);
                if found == len && !self.last {
                    return Read::NeedMore;
                }
                let end = self.trim_end(start, found);
                (view(text, start, end, buffer), found)
            };
            if field < expected {
                columns.views[field * columns.capacity + columns.rows] = value;
            }
            field += 1;
            if found < len && text[found] != dialect.terminator {
                start = found + 1;
                continue;
            }
            let ended = found < len;
            let end = found + usize::from(ended);
            let last_is_empty = value as u32 == 0;
            if field != expected && !self.layout.fits(field, last_is_empty) {
                let reason = format!(
                    "{field} field{} where {expected} {} expected",
                    if field == 1 { "" } else { "s" },
                    if expected == 1 { "is" } else { "are" },
                );
                return Read::Bad { end, reason };
            }
            if (end - self.pos) as u64 > self.limits.cell
                && let Some(reason) = self.too_long(columns)
            {
                return Read::Bad { end, reason };
            }
            if !self.valid && std::str::from_utf8(&text[self.pos..end]).is_err() {
                return Read::Bad {
                    end,
                    reason: "not valid UTF-8".to_owned(),
                };
            }
            return Read::Record {
                end,
                lines: lines + u64::from(ended),
            };
        }
    }

    /// Returns why the current row has a cell that is too long, if it has one.
    #[cold]
    fn too_long(&self, columns: &Columns) -> Option<String> {
        let rows = columns.views.chunks_exact(columns.capacity);
        // The lower half of a view is its length.
        let mut lengths = rows.map(|views| views[columns.rows] as u32 as usize);
        lengths.find_map(|length| self.limits.too_long(length))
    }

    /// Returns the end of a field that is followed by a mark at `found`: a `\r` belongs to the line end.
    #[inline(always)]
    fn trim_end(&self, start: usize, found: usize) -> usize {
        let text: &[u8] = &self.block;
        let crlf = found > start
            && text[found - 1] == b'\r'
            && self.layout.dialect.terminator == b'\n'
            && (found == self.len || text[found] == b'\n');
        found - usize::from(crlf)
    }

    #[inline(always)]
    fn read_quoted(&self, columns: &mut Columns, marks: &mut Marks, open: usize) -> Quoted {
        let text: &[u8] = &self.block;
        let dialect = &self.layout.dialect;
        let quote = text[open];
        let seen = plain_close(
            &text[..self.len],
            open + 1,
            quote,
            dialect.escape,
            dialect.terminator,
        );
        // Most fields: a delimiter or a line end right behind the closing quote.
        if let Some(position) = seen
            && position - open <= QUOTED_LIMIT
            && (text[position + 1] == dialect.delimiter || text[position + 1] == dialect.terminator)
        {
            marks.seek(text, position + 2);
            return Quoted::Field {
                view: view(text, open + 1, position, columns.block),
                end: position + 1,
                inner: 0,
            };
        }
        let (position, plain) = match dialect.close(&text[..self.len], open, self.last) {
            Close::At { position, plain } => (position, plain),
            Close::NeedMore => return Quoted::NeedMore,
            Close::Never => {
                let at = memchr::memchr(dialect.terminator, &text[open..self.len]);
                return match at {
                    Some(at) => Quoted::Never { end: open + at + 1 },
                    None if self.last => Quoted::Never { end: self.len },
                    None => Quoted::NeedMore,
                };
            }
        };
        marks.seek(text, position + 1);
        let end = marks.next(text, self.len);
        if end == self.len && !self.last {
            return Quoted::NeedMore;
        }
        let inner = self.line_ends(open, position);
        let rest = position + 1..self.trim_end(position + 1, end);
        let buffer = columns.block;
        let view = if plain && rest.is_empty() {
            view(text, open + 1, position, buffer)
        } else {
            let from = columns.open_side();
            unescape(
                &mut columns.side,
                &text[open + 1..position],
                text[open],
                dialect.escape,
            );
            columns.side.extend_from_slice(&text[rest]);
            columns.side_view(from)
        };
        Quoted::Field { view, end, inner }
    }
}

enum Quoted {
    Field { view: u128, end: usize, inner: u64 },
    Never { end: usize },
    NeedMore,
}

/// Unescapes doubled and escaped quotes; an escape before any other character is kept, so that no text is lost.
pub(super) fn unescape(out: &mut Vec<u8>, text: &[u8], quote: u8, escape: Option<u8>) {
    let escape = escape.filter(|e| *e != quote);
    let mut at = 0;
    while at < text.len() {
        let found = match escape {
            Some(escape) => memchr::memchr2(quote, escape, &text[at..]),
            None => memchr::memchr(quote, &text[at..]),
        };
        let Some(found) = found else { break };
        let found = at + found;
        out.extend_from_slice(&text[at..found]);
        let Some(follows) = text.get(found + 1).copied() else {
            out.push(text[found]);
            return;
        };
        if follows != quote && Some(follows) != escape {
            out.push(text[found]);
        }
        out.push(follows);
        at = found + 2;
    }
    out.extend_from_slice(&text[at.min(text.len())..]);
}

impl Columns {
    fn new(fields: usize, capacity: usize, file: u32) -> Self {
        Self {
            views: vec![0; fields * capacity],
            capacity,
            rows: 0,
            buffers: Vec::new(),
            block: 0,
            side: Vec::new(),
            side_index: None,
            bad: Vec::new(),
            origin: RowOrigin {
                file,
                ..RowOrigin::default()
            },
        }
    }

    fn clear_row(&mut self) {
        for field in self.views.chunks_exact_mut(self.capacity.max(1)) {
            field[self.rows] = 0;
        }
    }

    /// Makes this block the one that new views refer to.
    fn enter(&mut self, block: &Buffer) {
        self.block = self.buffers.len() as u32;
        self.buffers.push(block.clone());
    }

    /// Returns the position in the side buffer where text may be appended.
    fn open_side(&mut self) -> usize {
        if self.side.len() > SIDE_LIMIT {
            self.close_side();
        }
        if self.side_index.is_none() {
            self.side_index = Some(self.buffers.len());
            self.buffers.push(Buffer::from_vec(Vec::<u8>::new()));
        }
        self.side.len()
    }

    fn close_side(&mut self) {
        if let Some(place) = self.side_index.take()
            && let Some(buffer) = self.buffers.get_mut(place)
        {
            *buffer = Buffer::from_vec(std::mem::take(&mut self.side));
        }
    }

    fn side_view(&self, from: usize) -> u128 {
        let index = self.side_index.unwrap_or(0) as u32;
        make_view(&self.side[from..], index, from as u32)
    }

    fn finish(mut self, places: &[Option<usize>]) -> Rows {
        self.close_side();
        let nulls = null_rows(self.rows, &self.bad);
        let buffers: Arc<[Buffer]> = self.buffers.into();
        let views = Buffer::from_vec(self.views);
        let columns = places
            .iter()
            .map(|place| match place {
                None => new_null_array(&DataType::Utf8View, self.rows),
                Some(field) => {
                    let views = ScalarBuffer::new(views.clone(), field * self.capacity, self.rows);
                    // SAFETY: every view was made by `view` or `make_view` from a range of the
                    // buffer whose index it holds, or is zero, the empty string. A record was
                    // checked to be valid UTF-8 before it was kept (its block, or it alone), its
                    // fields are cut at ASCII bytes, and unescaping takes ASCII bytes away.
                    let array = unsafe {
                        StringViewArray::new_unchecked(views, Arc::clone(&buffers), nulls.clone())
                    };
                    Arc::new(array) as ArrayRef
                }
            })
            .collect();
        Rows {
            columns,
            rows: self.rows,
            bad: self.bad,
            origin: self.origin,
        }
    }
}
