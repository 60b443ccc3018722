//! Lines of JSON objects to columns of text.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use hashbrown::HashMap;

use super::batch::{BadRow, RowOrigin, raw_text};
use super::blocks::{Block, Blocks};
use super::dialect::{Dialect, Step};
use super::error::SourceError;
use super::index::{Mark, TextIndex, index_text};
use super::json_text::{compact, object, unescape};
use super::options::ContentLimits;
use super::rows::Rows;
use planner_storage::ByteFile;

/// A file with more names is not a table.
const MAX_COLUMNS: usize = 10_000;

/// Lines are the records; nothing is quoted.
pub(super) const LINES: Dialect = Dialect {
    delimiter: b'\n',
    quote: None,
    escape: None,
    comment: None,
    terminator: b'\n',
};

/// Content of a file of JSON lines.
pub(super) struct JsonLines {
    pub names: Vec<String>,
    pub index: TextIndex,
    /// Whether some object has a name twice.
    pub repeated: bool,
}

/// Finds the columns, which are the names in order of first appearance, and where lines begin.
pub(super) fn index_json(
    file: &ByteFile,
    path: &str,
    start: Mark,
    limits: &ContentLimits,
) -> Result<JsonLines, SourceError> {
    let most = MAX_COLUMNS.min(limits.columns);
    let mut names: Vec<String> = Vec::new();
    let mut known: HashMap<String, u64> = HashMap::new();
    let mut repeated = false;
    let mut objects = 0_u64;
    let mut first_fault: Option<(u64, String)> = None;
    let mut name = String::new();
    let mut visit = |record: &str, line: u64| {
        let mut keys: Vec<&str> = Vec::new();
        let read = object(record, &mut |key, _| {
            keys.push(key);
            Ok(())
        });
        if let Err(fault) = read {
            first_fault.get_or_insert_with(|| (line, fault.reason()));
            return Ok(());
        }
        objects += 1;
        for key in keys {
            name.clear();
            unescape(key, &mut name);
            match known.get_mut(name.as_str()) {
                Some(seen) => {
                    repeated |= *seen == objects;
                    *seen = objects;
                }
                None if names.len() >= most => {
                    return Err(SourceError::content(
                        path,
                        Some(line),
                        format!("more than {most} distinct names: this is not a table"),
                    ));
                }
                None => {
                    known.insert(name.clone(), objects);
                    names.push(name.clone());
                }
            }
        }
        Ok(())
    };
    let lines = (LINES, limits.record);
    let index = index_text(file, path, start, lines, Some(&mut visit))?;
    if objects == 0 && index.rows > 0 {
        let (line, reason) = first_fault.unwrap_or((1, "not valid UTF-8".to_owned()));
        return Err(SourceError::content(
            path,
            Some(line),
            format!("no line is a JSON object: {reason}"),
        ));
    }
    Ok(JsonLines {
        names,
        index,
        repeated,
    })
}

/// Reads the lines of a byte range in order.
pub(super) struct JsonReader {
    blocks: Blocks,
    block: Block,
    pos: usize,
    line: u64,
    file: u32,
    /// Column of the dataset by name.
    columns: Arc<HashMap<String, usize>>,
    width: usize,
    limits: ContentLimits,
}

impl JsonReader {
    pub fn new(
        file: &ByteFile,
        path: &str,
        span: (Mark, u64),
        (columns, width): (Arc<HashMap<String, usize>>, usize),
        limits: ContentLimits,
        index: u32,
    ) -> Result<Self, SourceError> {
        Ok(Self {
            blocks: Blocks::new(file, path, span.0.offset..span.1, limits.record)?,
            limits,
            block: Block::default(),
            pos: 0,
            line: span.0.line,
            file: index,
            columns,
            width,
        })
    }

    /// Skips `rows` lines.
    ///
    /// # Errors
    /// When the file cannot be read or has changed.
    pub fn skip(&mut self, rows: u64) -> Result<(), SourceError> {
        for _ in 0..rows {
            let Some((_, end)) = self.next_line()? else {
                break;
            };
            self.pass(end);
        }
        Ok(())
    }

    /// Reads the next `rows` rows, fewer at the end of the range.
    ///
    /// # Errors
    /// When the file cannot be read or has changed.
    pub fn next(&mut self, rows: usize) -> Result<Rows, SourceError> {
        let mut builders: Vec<StringViewBuilder> = (0..self.width)
            .map(|_| StringViewBuilder::with_capacity(rows))
            .collect();
        let columns = Arc::clone(&self.columns);
        let mut bad = Vec::new();
        let mut origin = RowOrigin {
            file: self.file,
            ..RowOrigin::default()
        };
        let mut scratch = Scratch::new(self.limits);
        let mut count = 0;
        while count < rows {
            let Some((start, end)) = self.next_line()? else {
                break;
            };
            let record = &self.block.bytes[start..end];
            if let Err(reason) = scratch.append(record, &columns, &mut builders) {
                bad.push(BadRow {
                    row: count as u32,
                    reason,
                    raw: raw_text(record),
                });
                for builder in &mut builders {
                    builder.append_null();
                }
            }
            origin.push(self.line);
            count += 1;
            self.pass(end);
        }
        Ok(Rows {
            columns: builders
                .into_iter()
                .map(|mut b| Arc::new(b.finish()) as ArrayRef)
                .collect(),
            rows: count,
            bad,
            origin,
        })
    }

    /// Moves to the line after the one that ends at `end`.
    fn pass(&mut self, end: usize) {
        let line = &self.block.bytes[self.pos..end];
        self.line += memchr::memchr_iter(b'\n', line).count() as u64;
        self.pos = end;
    }

    /// Returns the position in the block of the next line that is not blank.
    fn next_line(&mut self) -> Result<Option<(usize, usize)>, SourceError> {
        loop {
            if self.pos < self.block.len {
                let text = &self.block.bytes[..self.block.len];
                match LINES.next_record(text, self.pos, self.block.last) {
                    Step::Record { end } | Step::Unclosed { end } => {
                        return Ok(Some((self.pos, end)));
                    }
                    Step::Skip { end } => {
                        self.pass(end);
                        continue;
                    }
                    Step::NeedMore => {}
                }
            }
            if self.block.last {
                return Ok(None);
            }
            let carried = &self.block.bytes[self.pos.min(self.block.len)..self.block.len];
            self.block = self.blocks.next(carried, Vec::new(), self.line)?;
            self.pos = 0;
        }
    }
}

/// Buffers that are reused for every line.
struct Scratch {
    limits: ContentLimits,
    name: String,
    text: String,
    bytes: Vec<u8>,
}

impl Scratch {
    fn new(limits: ContentLimits) -> Self {
        Self {
            limits,
            name: String::new(),
            text: String::new(),
            bytes: Vec::new(),
        }
    }

    /// Appends one value to every column, or returns why the line is invalid.
    fn append(
        &mut self,
        record: &[u8],
        columns: &HashMap<String, usize>,
        builders: &mut [StringViewBuilder],
    ) -> Result<(), String> {
        let record = std::str::from_utf8(record).map_err(|_| "not valid UTF-8".to_owned())?;
        let mut cells: Vec<Option<&str>> = vec![None; builders.len()];
        let name = &mut self.name;
        object(record, &mut |key, value| {
            let place = if key.contains('\\') {
                name.clear();
                unescape(key, name);
                columns.get(name.as_str())
            } else {
                columns.get(key)
            };
            // Of a name that is there twice the last value counts, as in most parsers.
            if let Some(cell) = place.and_then(|p| cells.get_mut(*p)) {
                *cell = Some(value);
            }
            Ok(())
        })
        .map_err(super::json_text::Fault::reason)?;
        if record.len() as u64 > self.limits.cell {
            let mut lengths = cells.iter().flatten().map(|value| value.len());
            if let Some(reason) = lengths.find_map(|length| self.limits.too_long(length)) {
                return Err(reason);
            }
        }
        for (cell, builder) in cells.into_iter().zip(builders) {
            match cell {
                None | Some("null") => builder.append_null(),
                Some(value) => builder.append_value(self.text_of(value)),
            }
        }
        Ok(())
    }

    /// Returns a value as text: the content of a string, anything else as written.
    fn text_of<'a>(&'a mut self, value: &'a str) -> &'a str {
        let string = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        match string {
            Some(plain) if !plain.contains('\\') => plain,
            Some(escaped) => {
                self.text.clear();
                unescape(escaped, &mut self.text);
                &self.text
            }
            None if value.starts_with(['{', '[']) => {
                self.bytes.clear();
                compact(value.as_bytes(), &mut self.bytes);
                std::str::from_utf8(&self.bytes).unwrap_or(value)
            }
            None => value,
        }
    }
}
