//! A source: its files, the union of their columns, and its splits.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use hashbrown::HashMap;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use serde::{Deserialize, Serialize};

use super::csv::CsvLayout;
use super::error::SourceError;
use super::index::Mark;
use super::locate::{Located, locate};
use super::options::{ContentLimits, Format, SourceOptions};
use super::prepare::{Prepared, prepare};
use super::split::SplitReader;
use planner_storage::{ByteFile, Location, LocationPolicy, Place};

/// Maximum bytes of a split, counting its views and its rows: determines the number of rows per split.
const SPLIT_BYTES: u64 = 64 * 1024 * 1024;
const SPLIT_CONTENT: u64 = 128 * 1024 * 1024;
const VIEW_BYTES: u64 = 16;
const SPLIT_ROWS: std::ops::RangeInclusive<u64> = 8_192..=1_048_576;

/// A file with more columns is rejected; a window of rows must fit into memory.
const MAX_COLUMNS: usize = 100_000;

/// The folder of the rows without a value of a partition column.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Files that are indexed at the same time.
const INDEX_THREADS: usize = 4;

/// A dataset with the layout of its files.
#[derive(Debug, Clone)]
pub struct Source {
    /// The columns: those of the first file in its order, then what further files add.
    pub columns: Vec<SourceColumn>,
    /// The files in the order of their rows.
    pub files: Vec<SourceFile>,
    /// Rows of all files, unreadable ones included.
    pub total_rows: u64,
    /// Rows of every split but the last.
    pub rows_per_split: u64,
    /// Notes for the user: renamed columns, guessed encodings, staged files.
    pub notes: Vec<String>,
    /// Columns by name.
    pub(super) by_name: Arc<HashMap<String, usize>>,
}

/// A column of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Unique name.
    pub name: String,
    /// Type in every batch: `Utf8View` for text formats.
    pub data_type: DataType,
}

/// A file of a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceFile {
    /// Number among the files of the source.
    pub number: u32,
    /// Its location as the user wrote it.
    pub path: String,
    /// Its format.
    pub format: Format,
    /// Its size.
    pub bytes: u64,
    /// Its rows, unreadable ones included.
    pub rows: u64,
    /// Number of its first row in the dataset.
    pub first_row: u64,
    /// What the line numbers of its rows count.
    pub line_unit: LineUnit,
    pub(super) content: Content,
    /// Bounds of what the file holds.
    #[serde(default)]
    pub(super) limits: ContentLimits,
    /// For each column of the dataset, the column of the file that holds it.
    pub(super) places: Arc<[Option<usize>]>,
    /// Partition columns: columns with one value in the whole file, which the names of its folders define.
    #[serde(default)]
    pub(super) constants: Vec<(usize, Option<String>)>,
}

/// What line numbers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LineUnit {
    /// Lines of the (uncompressed) text.
    Line,
    /// Rows of a table or sheet, a sheet's header included.
    Row,
    /// Elements of a JSON array, or objects of a JSON text.
    Element,
}

/// How to read the rows of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Content {
    /// No rows.
    Empty,
    Csv {
        file: ByteFile,
        layout: CsvLayout,
        marks: Vec<Mark>,
    },
    Jsonl {
        file: ByteFile,
        marks: Vec<Mark>,
    },
    Parquet {
        file: ByteFile,
        /// Read again where the source was deserialized.
        #[serde(skip)]
        footer: Arc<OnceLock<ArrowReaderMetadata>>,
    },
}

impl Source {
    /// Discovers the files of `locations`, their format, and the positions of their rows.
    ///
    /// The policy decides which locations may be named. Files that cannot be read in ranges are decoded once into
    /// `staging`, which must outlive the source.
    ///
    /// # Errors
    /// When no file is found, or a file cannot be read or does not have its format.
    pub fn discover(
        locations: &[String],
        policy: &LocationPolicy,
        options: &SourceOptions,
        staging: &Place,
    ) -> Result<Self, SourceError> {
        options
            .check()
            .map_err(|(option, reason)| SourceError::Options {
                path: locations.join(", "),
                option,
                reason,
            })?;
        let mut notes = Vec::new();
        let files = locate(locations, policy, options, &mut notes)?;
        let prepared = prepare_all(&files, options, staging)?;
        let mut source = Self::unite(prepared, options.limits, notes)?;
        if !options.partition_columns.is_empty() {
            add_partition_columns(&mut source, &options.partition_columns)?;
        }
        Ok(source)
    }

    /// Returns the source with only these of its columns, by number, in this order.
    #[must_use]
    pub fn select(&self, columns: &[usize]) -> Self {
        let chosen = columns.iter().enumerate();
        let by_name = chosen
            .clone()
            .map(|(place, column)| (self.columns[*column].name.clone(), place))
            .collect();
        let files = self.files.iter().map(|file| SourceFile {
            places: columns.iter().map(|column| file.places[*column]).collect(),
            constants: chosen
                .clone()
                .filter_map(|(place, column)| {
                    let mut constants = file.constants.iter();
                    let (_, value) = constants.find(|(of, _)| of == column)?;
                    Some((place, value.clone()))
                })
                .collect(),
            ..file.clone()
        });
        Self {
            columns: columns
                .iter()
                .map(|column| self.columns[*column].clone())
                .collect(),
            files: files.collect(),
            total_rows: self.total_rows,
            rows_per_split: self.rows_per_split,
            notes: Vec::new(),
            by_name: Arc::new(by_name),
        }
    }

    /// Returns a fingerprint of the files of `locations` without reading them; `None` if one of them is a document of
    /// the web.
    ///
    /// # Errors
    /// When no file is found, or the metadata of a file cannot be read.
    pub fn stamp(
        locations: &[String],
        policy: &LocationPolicy,
        options: &SourceOptions,
    ) -> Result<Option<String>, SourceError> {
        let mut stamp = String::new();
        for file in locate(locations, policy, options, &mut Vec::new())? {
            let Location::Place(place) = &file.at else {
                return Ok(None);
            };
            let found = ByteFile::find(place);
            let found = found.map_err(|error| SourceError::io(&file.shown, "open", error))?;
            stamp.push_str(&found.stamp());
            stamp.push('\n');
        }
        Ok(Some(stamp))
    }

    /// Returns the names and types of the columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let columns = self.columns.iter();
        let fields = columns.map(|c| Field::new(&c.name, c.data_type.clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Returns whether there are partition columns.
    #[must_use]
    pub fn has_partition_columns(&self) -> bool {
        self.files.iter().any(|file| !file.constants.is_empty())
    }

    /// Returns the file with this number.
    #[must_use]
    pub fn file(&self, number: u32) -> Option<&SourceFile> {
        let place = self.files.binary_search_by_key(&number, |file| file.number);
        place.ok().and_then(|place| self.files.get(place))
    }

    /// Returns the number of splits; 0 for an empty source.
    #[must_use]
    pub fn split_count(&self) -> usize {
        usize::try_from(self.total_rows.div_ceil(self.rows_per_split)).unwrap_or(usize::MAX)
    }

    /// Returns the rows of split `k`.
    #[must_use]
    pub fn split_rows(&self, k: usize) -> Range<u64> {
        let start = (k as u64).saturating_mul(self.rows_per_split);
        let end = start.saturating_add(self.rows_per_split);
        start.min(self.total_rows)..end.min(self.total_rows)
    }

    /// Reads split `k` in batches that end where the row number is a multiple of `batch_rows`.
    ///
    /// # Errors
    /// When the split does not exist or a file cannot be opened.
    pub fn read_split(&self, k: usize, batch_rows: usize) -> Result<SplitReader, SourceError> {
        if k >= self.split_count() {
            return Err(SourceError::Bug {
                path: "source".to_owned(),
                reason: format!("split {k} of {}", self.split_count()),
            });
        }
        Ok(SplitReader::new(self, self.split_rows(k), batch_rows))
    }

    fn unite(
        prepared: Vec<Prepared>,
        limits: ContentLimits,
        mut notes: Vec<String>,
    ) -> Result<Self, SourceError> {
        let (columns, index) = unite_columns(&prepared, limits.columns, &mut notes)?;
        let mut first_row = 0;
        let mut files = Vec::with_capacity(prepared.len());
        for file in prepared {
            notes.extend(
                file.notes
                    .iter()
                    .map(|note| format!("{}: {note}", file.path)),
            );
            let mut places = vec![None; columns.len()];
            for (at, column) in file.columns.iter().enumerate() {
                if let Some(place) = index.get(&column.name) {
                    places[*place] = Some(at);
                }
            }
            files.push(SourceFile {
                number: files.len() as u32,
                path: file.path,
                format: file.format,
                bytes: file.bytes,
                rows: file.rows,
                first_row,
                line_unit: file.line_unit,
                content: file.content,
                limits,
                places: places.into(),
                constants: Vec::new(),
            });
            first_row += file.rows;
        }
        let content: u64 = files.iter().map(SourceFile::content_bytes).sum();
        let rows_per_split = rows_per_split(columns.len(), content / first_row.max(1));
        for file in &mut files {
            file.thin_out(rows_per_split);
        }
        Ok(Self {
            columns,
            files,
            total_rows: first_row,
            rows_per_split,
            notes,
            by_name: Arc::new(index),
        })
    }
}

/// Returns the columns of all files by name, and the position of each in every file.
fn unite_columns(
    prepared: &[Prepared],
    most: usize,
    notes: &mut Vec<String>,
) -> Result<(Vec<SourceColumn>, HashMap<String, usize>), SourceError> {
    let mut columns: Vec<SourceColumn> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for file in prepared {
        for column in &file.columns {
            match index.get(&column.name) {
                None => {
                    index.insert(column.name.clone(), columns.len());
                    columns.push(column.clone());
                }
                Some(at) => {
                    let known = &mut columns[*at];
                    if known.data_type != column.data_type && known.data_type != DataType::Utf8View
                    {
                        notes.push(format!(
                            "{}: column {:?} is {} here and {} before: it is read as text",
                            file.path, column.name, column.data_type, known.data_type
                        ));
                        known.data_type = DataType::Utf8View;
                    }
                }
            }
        }
    }
    let most = MAX_COLUMNS.min(most);
    if columns.len() > most {
        let path = prepared.first().map_or("source", |f| f.path.as_str());
        let reason = format!("{} columns; at most {most} are allowed", columns.len());
        return Err(SourceError::content(path, None, reason));
    }
    if columns.is_empty() {
        let path = prepared.first().map_or("source", |f| f.path.as_str());
        return Err(SourceError::content(
            path,
            None,
            "the source is empty: no column and no row",
        ));
    }
    Ok((columns, index))
}

/// Adds the columns whose values the folders of the files name, as Hive does: `…/country=US/…`.
fn add_partition_columns(source: &mut Source, names: &[String]) -> Result<(), SourceError> {
    let mut by_name = source.by_name.as_ref().clone();
    for name in names {
        let column = *by_name.entry(name.clone()).or_insert_with(|| {
            source.columns.push(SourceColumn {
                name: name.clone(),
                data_type: DataType::Utf8View,
            });
            source.columns.len() - 1
        });
        source.columns[column].data_type = DataType::Utf8View;
        for file in &mut source.files {
            let folders = file
                .path
                .rsplit_once('/')
                .map_or("", |(folders, _)| folders);
            let mut values = folders
                .split('/')
                .filter_map(|folder| folder.split_once('='));
            let Some((_, value)) = values.rfind(|(of, _)| of == name) else {
                let reason = format!("no folder of its path has a value of {name} ({name}=…)");
                return Err(SourceError::content(&file.path, None, reason));
            };
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            let value = (value != HIVE_NULL).then(|| value.into_owned());
            let mut places = file.places.to_vec();
            places.resize(source.columns.len(), None);
            places[column] = None;
            file.places = places.into();
            file.constants.push((column, value));
        }
    }
    source.by_name = Arc::new(by_name);
    Ok(())
}

impl SourceFile {
    /// Returns the file to read: the decoded copy of a staged file; `None` for an empty file.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match &self.content {
            Content::Empty => None,
            Content::Csv { file, .. }
            | Content::Jsonl { file, .. }
            | Content::Parquet { file, .. } => Some(file.place()),
        }
    }

    /// Bytes of the rows, independent of their division into files: without headers, and for Parquet before
    /// compression.
    fn content_bytes(&self) -> u64 {
        match &self.content {
            Content::Empty => 0,
            Content::Csv { marks, .. } | Content::Jsonl { marks, .. } => {
                let ends = marks.first().zip(marks.last());
                ends.map_or(0, |(first, last)| last.offset - first.offset)
            }
            Content::Parquet { footer, .. } => {
                let groups = footer.get().map(|footer| footer.metadata().row_groups());
                let bytes = groups
                    .into_iter()
                    .flatten()
                    .map(|group| group.total_byte_size());
                bytes
                    .map(|bytes| u64::try_from(bytes).unwrap_or_default())
                    .sum()
            }
        }
    }

    /// Keeps only the marks from which a split is read.
    fn thin_out(&mut self, rows_per_split: u64) {
        let (Content::Csv { marks, .. } | Content::Jsonl { marks, .. }) = &mut self.content else {
            return;
        };
        let first_row = self.first_row;
        let split = |mark: &Mark| (first_row + mark.row) / rows_per_split;
        let count = marks.len();
        let mut kept: Vec<Mark> = Vec::new();
        for (at, mark) in marks.iter().enumerate() {
            let starts_split = (first_row + mark.row).is_multiple_of(rows_per_split);
            let last_of_split = marks
                .get(at + 1)
                .is_none_or(|next| split(next) > split(mark));
            if at == 0 || at + 1 == count || starts_split || last_of_split {
                kept.push(*mark);
            }
        }
        *marks = kept;
    }
}

/// Returns the largest power of two of rows, of this average size, that fits into a split.
fn rows_per_split(columns: usize, row_bytes: u64) -> u64 {
    let views = SPLIT_BYTES / (VIEW_BYTES * columns.max(1) as u64);
    let fit = views.min(SPLIT_CONTENT / row_bytes.max(1)).max(1);
    (1 << fit.ilog2()).clamp(*SPLIT_ROWS.start(), *SPLIT_ROWS.end())
}

/// Prepares every file, the first one first: whether it has a header applies to all.
fn prepare_all(
    files: &[Located],
    options: &SourceOptions,
    staging: &Place,
) -> Result<Vec<Prepared>, SourceError> {
    let Some((first, others)) = files.split_first() else {
        return Ok(Vec::new());
    };
    let first = prepare(first, 0, options, staging)?;
    let mut options = options.clone();
    options.header = options.header.or(first.header);
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(INDEX_THREADS)
        .min(others.len());
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = others.get(at) else {
                return done;
            };
            done.push((at, prepare(file, at + 1, &options, staging)));
        }
    };
    let mut results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut results = Vec::with_capacity(others.len());
        for worker in workers {
            match worker.join() {
                Ok(done) => results.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|(at, _)| *at);
    std::iter::once(Ok(first))
        .chain(results.into_iter().map(|(_, result)| result))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short rows are cut by their columns, long ones by their bytes, and no split is smaller than a batch.
    #[test]
    fn rows_of_a_split() {
        for (columns, row_bytes, rows) in [
            (1, 10, 1_048_576),
            (9, 120, 262_144),
            (9, 5_000, 16_384),
            (1, 5_000, 16_384),
            (1, 1 << 30, 8_192),
            (0, 0, 1_048_576),
        ] {
            assert_eq!(
                rows_per_split(columns, row_bytes),
                rows,
                "{columns} {row_bytes}"
            );
        }
    }
}
