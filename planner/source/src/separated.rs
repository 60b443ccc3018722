//! What is found out about a text of separated values: dialect, columns, and its index.

use arrow::datatypes::DataType;

use super::csv::CsvLayout;
use super::dataset::{Content, SourceColumn};
use super::dialect::{Dialect, RECORD_LIMIT, Step};
use super::error::SourceError;
use super::header::{column_names, is_header, numbered_names};
use super::index::{Mark, PIECE, TextIndex, index_in_pieces};
use super::options::{Format, SourceOptions};
use super::sniff::{sample, sniff, split_fields, usual_fields};
use planner_storage::ByteFile;

/// Bytes of a file by which its dialect is judged.
const HEAD: usize = 256 * 1024;

/// Records below a header of one name fewer that have to agree on one field more.
const ROW_NAMES_EVIDENCE: usize = 10;

/// Lines of one field above a table that may be passed over, and the records of the table that have
/// to agree before they are.
const PREAMBLE_RECORDS: usize = 20;
const PREAMBLE_EVIDENCE: usize = 3;

/// A text of separated values, ready to be read.
pub(super) struct Separated {
    pub columns: Vec<SourceColumn>,
    pub content: Content,
    pub header: bool,
    pub index: TextIndex,
}

/// The head of a text and the position of its first record.
struct Opening {
    head: Vec<u8>,
    last: bool,
    first: usize,
    first_end: usize,
    line: u64,
}

/// Detects the dialect of `file`, given what is known of it in `dialect`; `first_line` is the number of its first line.
/// `None` when it has no record.
pub(super) fn separated(
    file: &ByteFile,
    path: &str,
    format: Format,
    (dialect, first_line): (Option<Dialect>, u64),
    options: &SourceOptions,
    notes: &mut Vec<String>,
) -> Result<Option<Separated>, SourceError> {
    let read = |limit| {
        file.head(limit)
            .map_err(|e| SourceError::io(path, "read", e))
    };
    let head = read(HEAD)?;
    let last = head.len() as u64 >= file.size();
    let mut dialect = dialect.unwrap_or_else(|| {
        sniff(&head, last, format, options, |terminator| {
            skip_lines(&head, options.skip_rows, terminator).0
        })
    });
    loop {
        let mut found = notes.clone();
        let Some(mut opening) = open(file, path, &dialect, options.skip_rows)? else {
            return Ok(None);
        };
        opening.line += first_line - 1;
        if options.header != Some(false) && options.skip_rows == 0 {
            opening.pass_preamble(&dialect, &mut found);
        }
        let (names, layout, header) = opening.columns(dialect, options, &mut found);
        let start = opening.start(&dialect, header);
        let index = index_in_pieces(file, path, start, (dialect, options.limits.record), PIECE)?;
        if dialect.terminator == b'\r' && index.line_feeds {
            // The first line feed lies beyond the head: carriage returns end no records here.
            dialect.terminator = b'\n';
            continue;
        }
        *notes = found;
        let columns = names
            .into_iter()
            .map(|name| SourceColumn {
                name,
                data_type: DataType::Utf8View,
            })
            .collect();
        let content = Content::Csv {
            file: file.clone(),
            layout,
            marks: index.marks.clone(),
        };
        return Ok(Some(Separated {
            columns,
            content,
            header,
            index,
        }));
    }
}

/// Reads as much of a file as its first record needs.
fn open(
    file: &ByteFile,
    path: &str,
    dialect: &Dialect,
    skip_rows: usize,
) -> Result<Option<Opening>, SourceError> {
    let mut limit = HEAD;
    loop {
        let head = file
            .head(limit)
            .map_err(|e| SourceError::io(path, "read", e))?;
        let last = head.len() as u64 >= file.size();
        let (mut pos, skipped) = skip_lines(&head, skip_rows, dialect.terminator);
        let mut complete = skipped == skip_rows;
        while complete && pos < head.len() {
            match dialect.next_record(&head, pos, last) {
                Step::Skip { end } => pos = end,
                Step::NeedMore => complete = false,
                Step::Record { end } | Step::Unclosed { end } => {
                    let line = 1 + lines(&head[..pos], dialect.terminator);
                    return Ok(Some(Opening {
                        first: pos,
                        first_end: end,
                        head,
                        last,
                        line,
                    }));
                }
            }
        }
        if last {
            return Ok(None);
        }
        if limit > RECORD_LIMIT {
            return Err(SourceError::content(
                path,
                Some(1),
                format!(
                    "no record ends within {} MiB: this is not a table",
                    RECORD_LIMIT >> 20
                ),
            ));
        }
        limit *= 4;
    }
}

fn lines(text: &[u8], terminator: u8) -> u64 {
    memchr::memchr_iter(terminator, text).count() as u64
}

/// Returns where the text begins after a byte order mark and `rows` lines, and how many there were.
pub(super) fn skip_lines(text: &[u8], rows: usize, terminator: u8) -> (usize, usize) {
    let mut pos = if text.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    for skipped in 0..rows {
        match memchr::memchr(terminator, &text[pos..]) {
            Some(found) => pos += found + 1,
            None => return (text.len(), skipped),
        }
    }
    (pos, rows)
}

impl Opening {
    /// Passes over lines of one field above a table of more: a title, a remark.
    fn pass_preamble(&mut self, dialect: &Dialect, notes: &mut Vec<String>) {
        let records = sample(&self.head, self.first, self.last, dialect);
        let usual = usual_fields(&records);
        let lines_above = records.iter().take_while(|r| r.len() == 1).count();
        let table = records.get(lines_above..).unwrap_or_default();
        let agree = table.iter().filter(|r| r.len() == usual).count();
        if lines_above == 0
            || lines_above > PREAMBLE_RECORDS
            || usual < 2
            || agree < PREAMBLE_EVIDENCE
            || table.first().is_none_or(|r| r.len() != usual)
        {
            return;
        }
        let mut passed = 0;
        let mut pos = self.first;
        while pos < self.head.len() {
            match dialect.next_record(&self.head, pos, self.last) {
                Step::Skip { end } => pos = end,
                Step::Record { end } | Step::Unclosed { end } if passed < lines_above => {
                    pos = end;
                    passed += 1;
                }
                Step::Record { end } | Step::Unclosed { end } => {
                    self.line += lines(&self.head[self.first..pos], dialect.terminator);
                    (self.first, self.first_end) = (pos, end);
                    notes.push(format!(
                        "{lines_above} line(s) above the table were skipped"
                    ));
                    return;
                }
                Step::NeedMore => return,
            }
        }
    }

    /// Where the first row begins.
    fn start(&self, dialect: &Dialect, header: bool) -> Mark {
        let offset = if header { self.first_end } else { self.first };
        let within = lines(&self.head[self.first..offset], dialect.terminator);
        Mark {
            row: 0,
            offset: offset as u64,
            line: self.line + within,
        }
    }

    /// Names of the columns, what the reader has to know, and whether there is a header.
    fn columns(
        &self,
        dialect: Dialect,
        options: &SourceOptions,
        notes: &mut Vec<String>,
    ) -> (Vec<String>, CsvLayout, bool) {
        let records = sample(&self.head, self.first, self.last, &dialect);
        let header = options.header.unwrap_or_else(|| is_header(&records));
        let layout = |fields, trailing_delimiter| CsvLayout {
            dialect,
            fields,
            trailing_delimiter,
        };
        if !header {
            if options.header.is_none() {
                notes.push(
                    "the first record looks like data, not like a header: the columns are numbered"
                        .to_owned(),
                );
            }
            let fields = usual_fields(&records);
            let trailing = fields > 1
                && records
                    .iter()
                    .all(|r| r.len() == fields && r.last().is_some_and(String::is_empty));
            let fields = fields - usize::from(trailing);
            return (numbered_names(fields), layout(fields, trailing), false);
        }
        let mut names = split_fields(&self.head, self.first, self.first_end, &dialect);
        let below = records.get(1..).unwrap_or_default();
        let ends_empty = |len: usize| {
            !below.is_empty()
                && below
                    .iter()
                    .all(|r| r.len() == len && r.last().is_some_and(String::is_empty))
        };
        let mut trailing = false;
        if names.len() > 1
            && names.last().is_some_and(|n| n.trim().is_empty())
            && (ends_empty(names.len()) || below.is_empty())
        {
            names.pop();
            trailing = true;
        } else if ends_empty(names.len() + 1) {
            trailing = true;
        } else if below.len() >= ROW_NAMES_EVIDENCE
            && below.iter().all(|r| r.len() == names.len() + 1)
        {
            names.insert(0, String::new());
            notes.push(
                "the header has one name fewer than the rows have fields: the first column is taken as row names"
                    .to_owned(),
            );
        }
        let names = column_names(names, notes);
        let fields = names.len();
        (names, layout(fields, trailing), true)
    }
}
