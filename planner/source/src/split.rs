//! Reads a split: a range of rows that may span several files.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, StringViewArray, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::DataType;
use hashbrown::HashMap;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::batch::RawBatch;
use super::csv::CsvReader;
use super::dataset::{Content, Source, SourceFile};
use super::error::SourceError;
use super::index::Mark;
use super::jsonl::JsonReader;
use super::options::ContentLimits;
use super::parquet_rows::{ParquetReader, read_footer};
use super::rows::Rows;
use planner_storage::ByteFile;

/// The batches of a split, in order.
pub struct SplitReader {
    files: Vec<SourceFile>,
    types: Arc<[DataType]>,
    by_name: Arc<HashMap<String, usize>>,
    /// Rows of the dataset still to read.
    left: Range<u64>,
    batch_rows: u64,
    /// The file being read, by its place in `files`.
    open: Option<(usize, Reader)>,
}

enum Reader {
    Csv(Box<CsvReader>),
    Jsonl(Box<JsonReader>),
    Parquet(Box<ParquetReader>),
}

impl SplitReader {
    pub(super) fn new(source: &Source, rows: Range<u64>, batch_rows: usize) -> Self {
        let files = source
            .files
            .iter()
            .filter(|file| file.first_row < rows.end && file.first_row + file.rows > rows.start)
            .cloned()
            .collect();
        Self {
            files,
            types: source.columns.iter().map(|c| c.data_type.clone()).collect(),
            by_name: Arc::clone(&source.by_name),
            left: rows,
            batch_rows: batch_rows.max(1) as u64,
            open: None,
        }
    }

    /// The rows up to the next multiple of the batch size.
    fn read(&mut self) -> Result<RawBatch, SourceError> {
        let first_row = self.left.start;
        let until = (first_row / self.batch_rows)
            .saturating_add(1)
            .saturating_mul(self.batch_rows)
            .min(self.left.end);
        let mut parts: Vec<Rows> = Vec::new();
        while self.left.start < until {
            let part = self.read_part(until)?;
            self.left.start += part.rows as u64;
            parts.push(part);
        }
        self.join(first_row, parts)
    }

    /// Rows of one file, up to `until`.
    fn read_part(&mut self, until: u64) -> Result<Rows, SourceError> {
        let start = self.left.start;
        let place = self
            .files
            .iter()
            .position(|f| f.first_row <= start && start < f.first_row + f.rows);
        let Some(place) = place else {
            return Err(SourceError::Bug {
                path: "source".to_owned(),
                reason: format!("no file contains row {start}"),
            });
        };
        let file = &self.files[place];
        let file_end = file.first_row + file.rows;
        let local = start - file.first_row..self.left.end.min(file_end) - file.first_row;
        let rows = usize::try_from(until.min(file_end) - start).unwrap_or(usize::MAX);
        let opened = match self.open.take() {
            Some((at, reader)) if at == place => reader,
            _ => self.open_file(place, local)?,
        };
        let (_, reader) = self.open.insert((place, opened));
        let mut part = reader.next(rows)?;
        // A text has texts only; what it lacks of another file's columns is null in their type.
        for (column, data_type) in part.columns.iter_mut().zip(self.types.iter()) {
            if column.data_type() != data_type {
                *column = new_null_array(data_type, part.rows);
            }
        }
        for (column, value) in &self.files[place].constants {
            let texts = std::iter::repeat_n(value.as_deref(), part.rows);
            part.columns[*column] = Arc::new(StringViewArray::from_iter(texts));
        }
        if part.rows == 0 || part.rows > rows {
            let file = &self.files[place];
            let reason = if matches!(file.content, Content::Parquet { .. }) {
                "the file has fewer readable rows than its footer declares"
            } else {
                "the file has changed since it was indexed"
            };
            return Err(SourceError::content(&file.path, None, reason));
        }
        Ok(part)
    }

    /// Opens the rows `local` of a file.
    fn open_file(&self, place: usize, local: Range<u64>) -> Result<Reader, SourceError> {
        let file = &self.files[place];
        let places = Arc::clone(&file.places);
        match &file.content {
            Content::Empty => Err(SourceError::Bug {
                path: file.path.clone(),
                reason: "a file without rows was to be read".to_owned(),
            }),
            Content::Csv {
                file: bytes,
                layout,
                marks,
            } => {
                let span = span(marks, &local);
                let layout = layout.clone();
                let mut reader = CsvReader::new(
                    bytes,
                    &file.path,
                    span,
                    (layout, file.limits),
                    places,
                    file.number,
                )?;
                reader.skip(local.start - span.0.row)?;
                Ok(Reader::Csv(Box::new(reader)))
            }
            Content::Jsonl { file: bytes, marks } => {
                let span = span(marks, &local);
                let by_name = Arc::clone(&self.by_name);
                let width = self.types.len();
                let mut reader = JsonReader::new(
                    bytes,
                    &file.path,
                    span,
                    (by_name, width),
                    file.limits,
                    file.number,
                )?;
                reader.skip(local.start - span.0.row)?;
                Ok(Reader::Jsonl(Box::new(reader)))
            }
            Content::Parquet {
                file: bytes,
                footer,
            } => {
                let footer = known_footer(footer, (bytes, &file.path), &file.limits)?;
                let target = (places, Arc::clone(&self.types));
                let batch_rows = usize::try_from(self.batch_rows).unwrap_or(usize::MAX);
                let reader = ParquetReader::new(
                    bytes,
                    &file.path,
                    (footer, file.limits),
                    local,
                    target,
                    file.number,
                    batch_rows,
                )?;
                Ok(Reader::Parquet(Box::new(reader)))
            }
        }
    }

    fn join(&self, first_row: u64, mut parts: Vec<Rows>) -> Result<RawBatch, SourceError> {
        if parts.len() == 1
            && let Some(part) = parts.pop()
        {
            return Ok(RawBatch {
                first_row,
                columns: part.columns,
                rows: part.rows,
                bad: part.bad,
                origin: vec![part.origin],
            });
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.types.len());
        for at in 0..self.types.len() {
            let pieces: Vec<&dyn arrow::array::Array> =
                parts.iter().map(|part| part.columns[at].as_ref()).collect();
            columns.push(concat(&pieces).map_err(|e| SourceError::Bug {
                path: "source".to_owned(),
                reason: e.to_string(),
            })?);
        }
        let mut bad = Vec::new();
        let mut origin = Vec::with_capacity(parts.len());
        let mut rows = 0;
        for part in parts {
            bad.extend(part.bad.into_iter().map(|mut b| {
                b.row += rows as u32;
                b
            }));
            rows += part.rows;
            origin.push(part.origin);
        }
        Ok(RawBatch {
            first_row,
            columns,
            rows,
            bad,
            origin,
        })
    }
}

impl Iterator for SplitReader {
    type Item = Result<RawBatch, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.left.start = self.left.end;
        }
        Some(read)
    }
}

impl Reader {
    fn next(&mut self, rows: usize) -> Result<Rows, SourceError> {
        match self {
            Self::Csv(reader) => reader.next(rows),
            Self::Jsonl(reader) => reader.next(rows),
            Self::Parquet(reader) => reader.next(rows),
        }
    }
}

/// The footer of a Parquet file, read if it is not known yet.
fn known_footer<'a>(
    footer: &'a OnceLock<ArrowReaderMetadata>,
    (file, path): (&ByteFile, &str),
    limits: &ContentLimits,
) -> Result<&'a ArrowReaderMetadata, SourceError> {
    if let Some(known) = footer.get() {
        return Ok(known);
    }
    let read = read_footer(file, path, limits, &mut Vec::new())?.metadata;
    Ok(footer.get_or_init(|| read))
}

/// Returns the mark to start at for `rows`, and the byte offset after which none of them lies.
fn span(marks: &[Mark], rows: &Range<u64>) -> (Mark, u64) {
    let after = marks.partition_point(|mark| mark.row <= rows.start);
    let start = marks[..after].last().copied().unwrap_or(Mark {
        row: 0,
        offset: 0,
        line: 1,
    });
    let end = marks
        .iter()
        .skip(after)
        .find(|mark| mark.row >= rows.end)
        .or(marks.last())
        .map_or(start.offset, |mark| mark.offset);
    (start, end)
}
