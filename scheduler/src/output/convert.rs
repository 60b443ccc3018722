//! A table of an output as one file, whatever the number of its parts.

use std::io::{self, Write};

use arrow::csv;
use arrow::datatypes::SchemaRef;
use arrow::json::writer::LineDelimited;
use arrow::record_batch::RecordBatch;
use bytes::{Bytes, BytesMut};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use planner::storage::{ByteFile, CachedFile, Place};
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::formula::harmless_batch;
use super::open_table;

/// Bytes that are sent at a time.
const CHUNK: usize = 128 << 10;

/// Format of a download.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// Apache Parquet.
    #[default]
    Parquet,
    /// Comma-separated text with a header (RFC 4180).
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Jsonl => "application/x-ndjson",
        }
    }

    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// Hands what is written to whoever sends it.
struct Sender {
    chunk: BytesMut,
    to: mpsc::Sender<io::Result<Bytes>>,
}

impl Sender {
    fn hand_on(&mut self) -> io::Result<()> {
        let chunk = self.chunk.split().freeze();
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody listens");
        self.to.blocking_send(Ok(chunk)).map_err(gone)
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.hand_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends the parts of a table as one file. Blocks its thread. `keep_formulas` leaves texts in CSV that a
/// spreadsheet would run as they are.
pub(crate) fn send(
    parts: &[Place],
    format: Format,
    keep_formulas: bool,
    to: mpsc::Sender<io::Result<Bytes>>,
) {
    let failed = to.clone();
    let sender = Sender {
        chunk: BytesMut::with_capacity(CHUNK * 2),
        to,
    };
    let done = match format {
        Format::Parquet => join(parts, sender),
        Format::Csv => write_csv(parts, keep_formulas, sender),
        Format::Jsonl => write_jsonl(parts, sender),
    };
    let sent = match done {
        Ok(mut sender) => sender.hand_on().map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = sent {
        tracing::warn!(error, "a download broke off");
        // Whoever reads must not take what came for the whole.
        let _ = failed.blocking_send(Err(io::Error::other("the output cannot be read")));
    }
}

fn batches(
    parts: &[Place],
) -> impl Iterator<Item = planner::Result<(SchemaRef, Option<RecordBatch>)>> + '_ {
    parts.iter().flat_map(|part| {
        let (schema, reader, failure) = match open_table(part) {
            Ok(reader) => {
                use arrow::record_batch::RecordBatchReader;
                (Some(reader.schema()), Some(reader), None)
            }
            Err(error) => (None, None, Some(error)),
        };
        let first = match (schema.clone(), failure) {
            (Some(schema), _) => Some(Ok((schema, None))),
            (None, failure) => failure.map(Err),
        };
        let rest = reader.into_iter().flatten().map(move |batch| {
            let batch = batch?;
            Ok((batch.schema(), Some(batch)))
        });
        first.into_iter().chain(rest)
    })
}

fn write_csv(parts: &[Place], keep_formulas: bool, sender: Sender) -> planner::Result<Sender> {
    let mut writer = csv::WriterBuilder::new().with_header(true).build(sender);
    let mut headed = false;
    for found in batches(parts) {
        let (schema, batch) = found?;
        let batch = match batch {
            Some(batch) => batch,
            // The header stands in a file without rows too.
            None if !headed => RecordBatch::new_empty(schema),
            None => continue,
        };
        headed = true;
        match keep_formulas {
            true => writer.write(&batch)?,
            false => writer.write(&harmless_batch(&batch)?)?,
        }
    }
    Ok(writer.into_inner())
}

fn write_jsonl(parts: &[Place], sender: Sender) -> planner::Result<Sender> {
    let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, LineDelimited>(sender);
    for found in batches(parts) {
        if let (_, Some(batch)) = found?
            && batch.num_rows() > 0
        {
            writer.write(&batch)?;
        }
    }
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Puts Parquet files together: their column chunks are copied as they are.
fn join(parts: &[Place], sender: Sender) -> planner::Result<Sender> {
    let mut sender = Some(sender);
    let mut writer: Option<SerializedFileWriter<Sender>> = None;
    for part in parts {
        let unreadable = |source| planner::Error::Io {
            path: part.to_string().into(),
            source,
        };
        let file = CachedFile::from(&ByteFile::find(part).map_err(unreadable)?);
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file)?;
        let writer = match &mut writer {
            Some(writer) => writer,
            None => {
                let described = metadata.file_metadata();
                let properties = WriterProperties::builder()
                    .set_key_value_metadata(described.key_value_metadata().cloned())
                    .set_created_by(described.created_by().unwrap_or_default().to_owned())
                    .build();
                let schema = described.schema_descr().root_schema_ptr();
                let to = sender
                    .take()
                    .ok_or(planner::Error::Bug("a download has no receiver"))?;
                let begun = SerializedFileWriter::new(to, schema, properties.into())?;
                writer.insert(begun)
            }
        };
        for group in metadata.row_groups() {
            let mut to = writer.next_row_group()?;
            for column in group.columns() {
                let closed = ColumnCloseResult {
                    bytes_written: u64::try_from(column.compressed_size()).unwrap_or(0),
                    rows_written: u64::try_from(group.num_rows()).unwrap_or(0),
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                to.append_column(&file, closed)?;
            }
            to.close()?;
        }
    }
    let writer = writer.ok_or(planner::Error::Bug("a table without parts"))?;
    Ok(writer.into_inner()?)
}
