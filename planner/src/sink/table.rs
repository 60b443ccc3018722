//! One table in one file, with its size and digest.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::SchemaRef;
use arrow::json::LineDelimitedWriter;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::properties::WriterProperties;
use sha2::{Digest, Sha256};

use super::FileEntry;
use crate::error::{Error, Result};
use crate::spec::OutputFormat;

/// Counts and digests what it passes on.
struct DigestWriter<W: Write> {
    inner: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.digest.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

type Sink = DigestWriter<BufWriter<File>>;

enum Encoder {
    Parquet(Box<ArrowWriter<Sink>>),
    Csv(Box<csv::Writer<Sink>>),
    Jsonl(Box<LineDelimitedWriter<Sink>>),
}

/// Writes one file of one table.
pub struct TableWriter {
    encoder: Encoder,
    path: PathBuf,
    name: String,
    rows: u64,
}

impl TableWriter {
    /// Begins the file `name` (a path such as `data/part-00000.parquet`) under `root`.
    pub fn create(
        root: &Path,
        name: String,
        format: OutputFormat,
        schema: &SchemaRef,
        properties: WriterProperties,
        keep_arrow_schema: bool,
    ) -> Result<Self> {
        let path = root.join(&name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let sink = DigestWriter {
            inner: BufWriter::with_capacity(
                1 << 20,
                file.map_err(|error| Error::io(&path, error))?,
            ),
            digest: Sha256::new(),
            bytes: 0,
        };
        let encoder = match format {
            OutputFormat::Parquet => {
                let options = ArrowWriterOptions::new()
                    .with_properties(properties)
                    .with_skip_arrow_metadata(!keep_arrow_schema);
                let writer = ArrowWriter::try_new_with_options(sink, schema.clone(), options);
                Encoder::Parquet(Box::new(writer.map_err(|error| at(&path, error))?))
            }
            OutputFormat::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(sink);
                // The header stands in a file without rows too.
                let empty = RecordBatch::new_empty(schema.clone());
                writer.write(&empty)?;
                Encoder::Csv(Box::new(writer))
            }
            OutputFormat::Jsonl => {
                let writer = arrow::json::WriterBuilder::new()
                    .with_explicit_nulls(true)
                    .build::<_, arrow::json::writer::LineDelimited>(sink);
                Encoder::Jsonl(Box::new(writer))
            }
        };
        Ok(Self {
            encoder,
            path,
            name,
            rows: 0,
        })
    }

    /// Adds rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        match &mut self.encoder {
            Encoder::Parquet(writer) => writer.write(batch).map_err(|error| at(&self.path, error)),
            Encoder::Csv(writer) => Ok(writer.write(batch)?),
            Encoder::Jsonl(writer) => Ok(writer.write(batch)?),
        }
    }

    /// Ends the file: everything is on disk, and the entry tells what it is.
    pub fn finish(self) -> Result<FileEntry> {
        let path = self.path;
        let sink = match self.encoder {
            Encoder::Parquet(writer) => writer.into_inner().map_err(|error| at(&path, error))?,
            Encoder::Csv(writer) => writer.into_inner(),
            Encoder::Jsonl(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
        };
        let file = sink
            .inner
            .into_inner()
            .map_err(|error| Error::io(&path, error.into_error()))?;
        file.sync_data().map_err(|error| Error::io(&path, error))?;
        Ok(FileEntry {
            path: self.name,
            rows: Some(self.rows),
            bytes: sink.bytes,
            sha256: hex(&sink.digest.finalize()),
        })
    }
}

/// An error of the Parquet writer, as an error of the file when the disk caused it.
fn at(path: &Path, error: parquet::errors::ParquetError) -> Error {
    match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => Error::io(path, *error),
            Err(inner) => parquet::errors::ParquetError::External(inner).into(),
        },
        error => error.into(),
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
