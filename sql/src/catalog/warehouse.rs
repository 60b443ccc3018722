//! Writing rows to files: those of the catalog's own tables, and what COPY writes.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use planner::storage::{Place, WholeFile};
use tokio::sync::mpsc;

use crate::engine::EngineOptions;
use crate::error::{Error, Result};

/// Batches that wait for the writer.
const WAITING: usize = 4;

/// How rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowFormat {
    /// Apache Parquet, zstd.
    Parquet,
    /// Separated values.
    Csv {
        /// Between values.
        delimiter: u8,
        /// Whether the first line names the columns.
        header: bool,
    },
    /// One JSON object a line.
    Jsonl,
}

impl RowFormat {
    /// Ending of a file's name.
    pub(crate) fn ending(&self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv {
                delimiter: b'\t', ..
            } => "tsv",
            Self::Csv { .. } => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// A file to write, and how.
pub(crate) struct SingleFile {
    pub(crate) place: Place,
    pub(crate) format: RowFormat,
}

/// A new folder for a table of a tenant.
pub(crate) fn table_folder(options: &EngineOptions, tenant: &str) -> Result<PathBuf> {
    // A name of a tenant may hold any character.
    let tenant: String = url::form_urlencoded::byte_serialize(tenant.as_bytes()).collect();
    let table = uuid::Uuid::now_v7().simple().to_string();
    let folder = options.home.join("warehouse").join(tenant).join(table);
    planner::private::folder(&folder).map_err(|error| Error::io(&folder, error))?;
    Ok(folder)
}

/// Writes each stream to a Parquet file of a folder, in order; gives the number of rows.
pub(crate) async fn write_parts(
    folder: &std::path::Path,
    parts: Vec<SendableRecordBatchStream>,
    threads: usize,
) -> Result<u64> {
    let mut writes = Vec::with_capacity(parts.len());
    for (number, part) in parts.into_iter().enumerate() {
        let file = SingleFile {
            place: Place::from(folder.join(format!("part-{number:05}.parquet"))),
            format: RowFormat::Parquet,
        };
        writes.push(async move { tokio::spawn(write_file(file, part)).await });
    }
    let mut written = futures::stream::iter(writes).buffered(threads.max(1));
    let mut rows = 0;
    while let Some(done) = written.next().await {
        rows += done.map_err(|_| Error::Bug("writing rows panicked"))??;
    }
    Ok(rows)
}

/// Writes rows to a file, which is at its place when it is whole; gives their number.
pub(crate) async fn write_file(
    file: SingleFile,
    mut rows: SendableRecordBatchStream,
) -> Result<u64> {
    let schema = rows.schema();
    let (sender, receiver) = mpsc::channel(WAITING);
    let writing = tokio::task::spawn_blocking(move || write_all(file, &schema, receiver));
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(Error::from);
        let failed = batch.is_err();
        // A writer that has stopped tells why below.
        if sender.send(batch).await.is_err() || failed {
            break;
        }
    }
    drop(sender);
    writing
        .await
        .map_err(|_| Error::Bug("writing rows panicked"))?
}

fn write_all(
    file: SingleFile,
    schema: &SchemaRef,
    mut rows: mpsc::Receiver<Result<RecordBatch>>,
) -> Result<u64> {
    let path = PathBuf::from(file.place.to_string());
    let whole = file
        .place
        .begin_whole()
        .map_err(|error| Error::io(&path, error))?;
    let mut writer = RowWriter::new(whole, &file.format, schema)?;
    let mut count = 0;
    while let Some(batch) = rows.blocking_recv() {
        let batch = batch?;
        count += batch.num_rows() as u64;
        writer.write(&batch)?;
    }
    let whole = writer.finish()?;
    whole.finish().map_err(|error| Error::io(path, error))?;
    Ok(count)
}

enum RowWriter {
    Parquet(Box<ArrowWriter<WholeFile>>),
    Csv(Box<arrow::csv::Writer<WholeFile>>),
    Jsonl(Box<arrow::json::LineDelimitedWriter<WholeFile>>),
}

impl RowWriter {
    fn new(mut whole: WholeFile, format: &RowFormat, schema: &SchemaRef) -> Result<Self> {
        Ok(match format {
            RowFormat::Parquet => {
                let level = ZstdLevel::default();
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(level))
                    .build();
                let schema = Arc::clone(schema);
                Self::Parquet(Box::new(ArrowWriter::try_new(
                    whole,
                    schema,
                    Some(properties),
                )?))
            }
            RowFormat::Csv { delimiter, header } => {
                if *header {
                    // A table without rows has columns all the same.
                    write_header(&mut whole, *delimiter, schema)?;
                }
                let builder = arrow::csv::WriterBuilder::new().with_header(false);
                Self::Csv(Box::new(builder.with_delimiter(*delimiter).build(whole)))
            }
            RowFormat::Jsonl => Self::Jsonl(Box::new(arrow::json::LineDelimitedWriter::new(whole))),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.write(batch)?,
            Self::Csv(writer) => writer.write(batch)?,
            Self::Jsonl(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<WholeFile> {
        Ok(match self {
            Self::Parquet(writer) => writer.into_inner()?,
            Self::Csv(writer) => writer.into_inner(),
            Self::Jsonl(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
        })
    }
}

fn write_header(whole: &mut WholeFile, delimiter: u8, schema: &SchemaRef) -> Result<()> {
    let empty = RecordBatch::new_empty(Arc::clone(schema));
    let mut text = Vec::new();
    let builder = arrow::csv::WriterBuilder::new().with_header(true);
    builder
        .with_delimiter(delimiter)
        .build(&mut text)
        .write(&empty)?;
    whole
        .write_all(&text)
        .map_err(|error| Error::io(PathBuf::new(), error))
}
