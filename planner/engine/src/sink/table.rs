//! One table in one file, in one of the formats of an output.

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::SchemaRef;
use arrow::json::LineDelimitedWriter;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::properties::WriterProperties;

use super::FileEntry;
use super::file::{FileSink, OutputFile, PartFolder, at};
use crate::error::Result;
use crate::spec::OutputFormat;

enum Encoder {
    Parquet(Box<ArrowWriter<FileSink>>),
    Csv(Box<csv::Writer<FileSink>>),
    Jsonl(Box<LineDelimitedWriter<FileSink>>),
}

/// Writes one file of one table.
pub struct TableWriter {
    encoder: Encoder,
    file: OutputFile,
    rows: u64,
}

impl TableWriter {
    /// Begins the file `name` (a path such as `data/part-00000.parquet`).
    pub fn create(
        folder: &PartFolder,
        name: String,
        format: OutputFormat,
        schema: &SchemaRef,
        properties: WriterProperties,
        keep_arrow_schema: bool,
    ) -> Result<Self> {
        let (file, sink) = OutputFile::create(folder, name)?;
        let encoder = match format {
            OutputFormat::Parquet => {
                let options = ArrowWriterOptions::new()
                    .with_properties(properties)
                    .with_skip_arrow_metadata(!keep_arrow_schema);
                let writer = ArrowWriter::try_new_with_options(sink, schema.clone(), options);
                Encoder::Parquet(Box::new(writer.map_err(|error| at(file.place(), error))?))
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
            file,
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
            Encoder::Parquet(writer) => writer
                .write(batch)
                .map_err(|error| at(self.file.place(), error)),
            Encoder::Csv(writer) => Ok(writer.write(batch)?),
            Encoder::Jsonl(writer) => Ok(writer.write(batch)?),
        }
    }

    /// Ends a row group, in a format that has them.
    pub(super) fn end_group(&mut self) -> Result<()> {
        match &mut self.encoder {
            Encoder::Parquet(writer) => {
                writer.flush().map_err(|error| at(self.file.place(), error))
            }
            Encoder::Csv(_) | Encoder::Jsonl(_) => Ok(()),
        }
    }

    /// Ends the file: everything is on disk, and the entry tells what it is.
    pub fn finish(self) -> Result<FileEntry> {
        let file = self.file;
        let sink = match self.encoder {
            Encoder::Parquet(writer) => writer
                .into_inner()
                .map_err(|error| at(file.place(), error))?,
            Encoder::Csv(writer) => writer.into_inner(),
            Encoder::Jsonl(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
        };
        file.finish(sink, self.rows)
    }
}
