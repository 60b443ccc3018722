//! Reading a split: a run of rows, whatever files they lie in.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::concat;
use arrow::datatypes::DataType;

use super::batch::RawBatch;
use super::csv::CsvReader;
use super::dataset::{Content, Source, SourceFile};
use super::error::SourceError;
use super::index::Mark;
use super::rows::Rows;

/// The batches of a split, in order.
pub struct SplitReader {
    files: Vec<(u32, SourceFile)>,
    types: Arc<[DataType]>,
    /// Rows of the dataset still to read.
    left: Range<u64>,
    batch_rows: u64,
    /// The file being read, by its place in `files`.
    open: Option<(usize, Reader)>,
}

enum Reader {
    Csv(Box<CsvReader>),
}

impl SplitReader {
    pub(super) fn new(source: &Source, rows: Range<u64>, batch_rows: usize) -> Self {
        let files = source
            .files
            .iter()
            .enumerate()
            .filter(|(_, file)| {
                file.first_row < rows.end && file.first_row + file.rows > rows.start
            })
            .map(|(index, file)| (index as u32, file.clone()))
            .collect();
        Self {
            files,
            types: source.columns.iter().map(|c| c.data_type.clone()).collect(),
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
            .position(|(_, f)| f.first_row <= start && start < f.first_row + f.rows);
        let Some(place) = place else {
            return Err(SourceError::Bug {
                path: "source".to_owned(),
                reason: format!("no file holds row {start}"),
            });
        };
        let (index, file) = &self.files[place];
        let local =
            start - file.first_row..self.left.end.min(file.first_row + file.rows) - file.first_row;
        let rows =
            usize::try_from(until.min(file.first_row + file.rows) - start).unwrap_or(usize::MAX);
        let reader = match &mut self.open {
            Some((at, reader)) if *at == place => reader,
            open => {
                let reader = Reader::open(file, *index, local, &self.types)?;
                &mut open.insert((place, reader)).1
            }
        };
        let part = reader.next(rows)?;
        if part.rows == 0 || part.rows > rows {
            return Err(SourceError::content(
                &file.path,
                None,
                "the file has changed since it was indexed",
            ));
        }
        Ok(part)
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
    /// Opens the rows `local` of a file.
    fn open(
        file: &SourceFile,
        index: u32,
        local: Range<u64>,
        _types: &Arc<[DataType]>,
    ) -> Result<Self, SourceError> {
        match &file.content {
            Content::Empty => Err(SourceError::Bug {
                path: file.path.clone(),
                reason: "a file without rows is read".to_owned(),
            }),
            Content::Csv {
                file: bytes,
                layout,
                marks,
            } => {
                let (start, end) = span(marks, &local);
                let mut reader = CsvReader::new(
                    bytes,
                    &file.path,
                    (start, end),
                    layout.clone(),
                    Arc::clone(&file.places),
                    index,
                )?;
                reader.skip(local.start - start.row)?;
                Ok(Self::Csv(Box::new(reader)))
            }
        }
    }

    fn next(&mut self, rows: usize) -> Result<Rows, SourceError> {
        match self {
            Self::Csv(reader) => reader.next(rows),
        }
    }
}

/// The mark to start at for `rows`, and the byte offset behind which none of them lies.
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
