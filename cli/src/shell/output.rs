//! Where rows go, and the formats that programs read.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::writer::{JsonArray, LineDelimited};
use arrow::json::{Writer, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use console::Term;

use super::arguments::Format;

/// Where rows go.
pub(crate) enum Output {
    /// Standard output.
    Standard,
    /// A file, with its name.
    File(File, String),
}

/// The reader of standard output has gone; no reason to complain.
#[derive(Debug, thiserror::Error)]
#[error("broken pipe")]
pub(crate) struct NobodyReads;

impl Output {
    /// A file, made anew.
    pub(crate) fn file(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path)
            .map_err(|error| crate::ending::UsageError(format!("{name}: {error}")))?;
        Ok(Self::File(file, name))
    }

    /// Writes and hands on at once what it got.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Standard => {
                let mut stdout = std::io::stdout().lock();
                let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
                written.map_err(|error| match error.kind() {
                    ErrorKind::BrokenPipe => NobodyReads.into(),
                    _ => anyhow::Error::new(error).context("the output cannot be written"),
                })
            }
            Self::File(file, name) => file.write_all(bytes).with_context(|| name.clone()),
        }
    }

    /// Columns of the terminal that shows the output, if one does.
    pub(crate) fn terminal_columns(&self) -> Option<usize> {
        let shown = matches!(self, Self::Standard) && std::io::stdout().is_terminal();
        shown.then(|| usize::from(Term::stdout().size().1).max(20))
    }
}

/// Turns batches into the text of a format for programs.
pub(crate) enum Encoder {
    /// Values with something between them, and a header first.
    Separated { mark: u8, header: bool },
    /// An array of objects.
    Array(Writer<Vec<u8>, JsonArray>),
    /// An object a line.
    Lines(Writer<Vec<u8>, LineDelimited>),
}

impl Encoder {
    /// An encoder of a format; none for the one for people.
    pub(crate) fn new(format: Format) -> Option<Self> {
        let json = WriterBuilder::new().with_explicit_nulls(true);
        match format {
            Format::Table => None,
            Format::Csv => Some(Self::Separated {
                mark: b',',
                header: true,
            }),
            Format::Tsv => Some(Self::Separated {
                mark: b'\t',
                header: true,
            }),
            Format::Json => Some(Self::Array(json.build(Vec::new()))),
            Format::Jsonl => Some(Self::Lines(json.build(Vec::new()))),
        }
    }

    /// The text of a batch.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Separated { mark, header } => {
                let first = std::mem::take(header);
                let builder = csv::WriterBuilder::new()
                    .with_header(first)
                    .with_delimiter(*mark);
                let mut writer = builder.build(Vec::new());
                writer.write(&flat(batch)?)?;
                Ok(writer.into_inner())
            }
            Self::Array(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Self::Lines(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }

    /// The text after the last batch.
    pub(crate) fn end(self, schema: &Arc<Schema>) -> anyhow::Result<Vec<u8>> {
        match self {
            // A table without rows still has columns.
            Self::Separated { header: true, .. } if !schema.fields().is_empty() => {
                let mut alone = self;
                alone.encode(&RecordBatch::new_empty(Arc::clone(schema)))
            }
            Self::Separated { .. } => Ok(Vec::new()),
            Self::Array(mut writer) => {
                writer.finish()?;
                let mut text = writer.into_inner();
                text.push(b'\n');
                Ok(text)
            }
            Self::Lines(mut writer) => {
                writer.finish()?;
                Ok(writer.into_inner())
            }
        }
    }
}

/// The batch with lists and other nested values as text, for formats without them.
fn flat(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let schema = batch.schema();
    if !schema
        .fields()
        .iter()
        .any(|field| is_nested(field.data_type()))
    {
        return Ok(batch.clone());
    }
    let options = FormatOptions::new();
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if !is_nested(field.data_type()) {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
            continue;
        }
        let formatter = ArrayFormatter::try_new(column, &options)?;
        let text = |row| {
            column
                .is_valid(row)
                .then(|| formatter.value(row).to_string())
        };
        let texts: StringArray = (0..column.len()).map(text).collect();
        fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
        columns.push(Arc::new(texts));
    }
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn is_nested(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_nested(values),
        other => other.is_nested(),
    }
}
