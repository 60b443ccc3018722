//! What people decided on an output, as the next output: their cells replaced, everything else as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::kernels::cast::{CastOptions, cast_with_options};
use arrow::compute::{cast, interleave};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::json;
use uuid::Uuid;

use super::audit::{Audit, now};
use crate::error::{Error, Result};
use crate::sink::{FileEntry, Manifest, Output, PartFolder, TableWriter, properties};
use crate::spec::OutputFormat;
use crate::storage::{ByteFile, CachedFile, Place};

/// What the provenance says of them.
const HUMAN: &str = "human_override";

/// What somebody decided on a changed cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Number of the row in the source.
    pub row_id: u64,
    /// The column.
    pub column: String,
    /// What becomes of the cell.
    pub verdict: Verdict,
}

/// What becomes of a changed cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The change stays.
    Approve,
    /// The value of the source comes back.
    Reject,
    /// This value stands there; none for a missing one.
    Edit(Option<String>),
}

/// Applies review decisions and writes the revised output.
#[derive(Debug, Clone, Copy)]
pub struct Reviewer<'a> {
    /// The job.
    pub job_id: &'a str,
    /// Name of the transformation in the provenance of the cells.
    pub transformation_id: &'a str,
}

/// Writes the output at `to`: the one at `from` with what was decided. The decisions are on cells that the
/// provenance of `from` lists, one for each cell.
///
/// # Errors
/// When a value cannot be one of its column, or `from` cannot be read.
pub fn revise(
    from: &Place,
    to: &Place,
    reviewer: Reviewer<'_>,
    decisions: &[Decision],
) -> Result<Manifest> {
    let mut earlier = Manifest::read(from)?;
    // Outputs of earlier releases hold what tokens stand for, sealed; the vault has it.
    earlier
        .files
        .retain(|entry| !entry.path.starts_with("tokens/"));
    let output = Output::open(to)?;
    let attempt = output.begin(&Uuid::now_v7().simple().to_string())?;
    let revised = write(from, &attempt.parts, &earlier, reviewer, decisions);
    match revised {
        Ok(manifest) => {
            output.publish(&attempt, &manifest)?;
            Ok(manifest)
        }
        Err(error) => {
            // The first error is the one to tell.
            let _ = output.abandon();
            Err(error)
        }
    }
}

/// A text as a value of a column.
///
/// # Errors
/// When it cannot be one.
pub fn value_of(text: Option<&str>, column: &DataType) -> Result<ArrayRef, ArrowError> {
    let text = StringArray::from(vec![text]);
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let value = cast_with_options(&text, column, &strict)?;
    // A text such as 1e400 is no number that anybody could write down again.
    let finite = value.as_primitive_opt::<Float64Type>();
    if finite.is_some_and(|value| value.iter().flatten().any(|number| !number.is_finite())) {
        return Err(ArrowError::CastError("not a finite number".to_owned()));
    }
    Ok(value)
}

fn write(
    from: &Place,
    folder: &PartFolder,
    earlier: &Manifest,
    reviewer: Reviewer<'_>,
    decisions: &[Decision],
) -> Result<Manifest> {
    let mut tables: Vec<&str> = earlier
        .files
        .iter()
        .filter_map(|entry| Some(entry.path.split_once('/')?.0))
        .collect();
    tables.sort_unstable();
    tables.dedup();
    folder.prepare(&tables)?;
    let mut audit = Audit::default();
    audit.record(
        "review_started",
        json!({"job_id": reviewer.job_id, "of": earlier.job_id}),
    );
    let mut files = Vec::new();
    let mut first_row = earlier.first_row_id;
    let rows = |path: String| -> u64 {
        let entry = earlier.files.iter().find(|entry| entry.path == path);
        entry.and_then(|entry| entry.rows).unwrap_or(0)
    };
    let parts = earlier.files.iter().filter_map(|entry| {
        let part = entry.path.strip_prefix("data/part-")?;
        part.strip_suffix(".parquet").map(|part| (part, entry))
    });
    let mut left: Vec<&Decision> = decisions.iter().collect();
    left.sort_by_key(|decision| decision.row_id);
    for (part, data) in parts {
        let file = |table: &str| format!("{table}/part-{part}.parquet");
        let all = rows(file("data")) + rows(file("removed")) + rows(file("quarantine"));
        let end = left.partition_point(|decision| decision.row_id < first_row + all);
        let own: Vec<&Decision> = left.drain(..end).collect();
        if !own.is_empty() {
            let lost = lost_rows(from, earlier, &[file("removed"), file("quarantine")])?;
            let part = Part {
                from,
                folder,
                first_row,
                lost,
            };
            let cells = provenance(&part, &file("provenance"), reviewer, &own)?;
            files.push(cells.0);
            files.push(part.data(data, &cells.1)?);
        }
        first_row += all;
    }
    if let Some(decision) = left.first() {
        return Err(Error::field(
            "row_id",
            format!("there is no row {}", decision.row_id),
        ));
    }
    for entry in &earlier.files {
        let written = files.iter().any(|file: &FileEntry| file.path == entry.path);
        if !written && entry.path != "audit.json" {
            files.push(folder.copy(&from.join(&entry.path), entry.path.clone(), entry.rows)?);
        }
    }
    // A document has no rows.
    for file in files.iter_mut().filter(|file| !file.path.contains('/')) {
        file.rows = None;
    }
    let count =
        |wanted: fn(&Verdict) -> bool| decisions.iter().filter(|one| wanted(&one.verdict)).count();
    audit.record(
        "review_applied",
        json!({
            "approved": count(|verdict| *verdict == Verdict::Approve),
            "rejected": count(|verdict| *verdict == Verdict::Reject),
            "edited": count(|verdict| matches!(verdict, Verdict::Edit(_))),
        }),
    );
    audit.record("output_published", json!({"files": files.len() + 1}));
    let root = &folder.files;
    files.push(FileEntry::write(root, "audit.json", &audit.to_json()?)?);
    let place = |entry: &FileEntry| {
        let known = earlier.files.iter();
        known.into_iter().position(|known| known.path == entry.path)
    };
    files.sort_by_key(place);
    Ok(Manifest {
        job_id: reviewer.job_id.to_owned(),
        created_at: now(),
        files,
        ..earlier.clone()
    })
}

fn open(place: &Place) -> Result<(SchemaRef, ParquetRecordBatchReader)> {
    let file = ByteFile::find(place).map_err(|error| Error::io(place, error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(CachedFile::from(&file))?;
    Ok((Arc::clone(builder.schema()), builder.build()?))
}

/// Numbers of the rows that some tables list, in order.
fn lost_rows(from: &Place, manifest: &Manifest, tables: &[String]) -> Result<Vec<u64>> {
    let mut lost = Vec::new();
    for table in tables {
        if !manifest.files.iter().any(|entry| entry.path == *table) {
            continue;
        }
        for batch in open(&from.join(table))?.1 {
            let batch = batch?;
            let rows = column(&batch, "row_id")?;
            let rows = rows.as_primitive::<Int64Type>();
            lost.extend(rows.iter().flatten().map(|row| row as u64));
        }
    }
    lost.sort_unstable();
    lost.dedup();
    Ok(lost)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    let column = batch.column_by_name(name);
    column.ok_or(Error::Bug("a column of an output is missing"))
}

/// New values of cells: by column, then by row.
type Cells = BTreeMap<String, BTreeMap<u64, Option<String>>>;

/// One split of an output.
struct Part<'a> {
    from: &'a Place,
    folder: &'a PartFolder,
    first_row: u64,
    lost: Vec<u64>,
}

impl Part<'_> {
    fn writer(&self, name: &str, schema: &SchemaRef, arrow_schema: bool) -> Result<TableWriter> {
        let format = OutputFormat::Parquet;
        let settings = properties().build();
        TableWriter::create(
            self.folder,
            name.to_owned(),
            format,
            schema,
            settings,
            arrow_schema,
        )
    }

    /// The place of a row among those that stayed.
    fn place(&self, row: u64) -> Result<usize> {
        if self.lost.binary_search(&row).is_ok() {
            let problem = format!("row {row} is not in the cleaned data");
            return Err(Error::field("row_id", problem));
        }
        let before = self.lost.partition_point(|lost| *lost < row);
        let place = (row - self.first_row).checked_sub(before as u64);
        let place = place.and_then(|place| usize::try_from(place).ok());
        place.ok_or(Error::Bug("a row before its part"))
    }

    /// The cleaned rows with new cells.
    fn data(&self, entry: &FileEntry, cells: &Cells) -> Result<FileEntry> {
        let (schema, reader) = open(&self.from.join(&entry.path))?;
        let mut writer = self.writer(&entry.path, &schema, true)?;
        let mut begin = 0;
        for batch in reader {
            let batch = batch?;
            let end = begin + batch.num_rows();
            let mut columns = batch.columns().to_vec();
            for (name, cells) in cells {
                let Ok(number) = schema.index_of(name) else {
                    let problem = format!("column {name:?} is not in the cleaned data");
                    return Err(Error::field("column_name", problem));
                };
                let mut chosen: Vec<(usize, usize)> =
                    (0..batch.num_rows()).map(|row| (0, row)).collect();
                let mut values: Vec<ArrayRef> = vec![Arc::clone(&columns[number])];
                for (row, text) in cells {
                    let place = self.place(*row)?;
                    if (begin..end).contains(&place) {
                        chosen[place - begin] = (values.len(), 0);
                        let value = value_of(text.as_deref(), columns[number].data_type());
                        values.push(value.map_err(|_| {
                            let problem = format!("row {row} cannot have this value");
                            Error::field(name.clone(), problem)
                        })?);
                    }
                }
                let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
                columns[number] = interleave(&values, &chosen)?;
            }
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
            begin = end;
        }
        writer.finish()
    }
}

/// The provenance of a split with what was decided, and the values that cells get.
fn provenance(
    part: &Part<'_>,
    name: &str,
    reviewer: Reviewer<'_>,
    decisions: &[&Decision],
) -> Result<(FileEntry, Cells)> {
    let (schema, reader) = open(&part.from.join(name))?;
    let mut writer = part.writer(name, &schema, false)?;
    let mut open: BTreeMap<(u64, String), &Verdict> = decisions
        .iter()
        .map(|one| ((one.row_id, one.column.clone()), &one.verdict))
        .collect();
    let mut cells = Cells::new();
    for batch in reader {
        let batch = batch?;
        let text = |name: &str| -> Result<Vec<Option<String>>> {
            let texts = cast(column(&batch, name)?, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>().iter();
            Ok(texts.map(|text| text.map(str::to_owned)).collect())
        };
        let rows: &Int64Array = column(&batch, "row_id")?.as_primitive::<Int64Type>();
        let (mut jobs, names) = (text("job_id")?, text("column_name")?);
        let (original, mut cleaned) = (text("original_value")?, text("cleaned_value")?);
        let (mut steps, mut sources) = (text("transformation_id")?, text("source")?);
        let scores = column(&batch, "confidence_score")?.as_primitive::<Float32Type>();
        let mut scores: Vec<f32> = scores.values().to_vec();
        for row in 0..batch.num_rows() {
            let name = names[row].as_deref().unwrap_or_default();
            let Some(verdict) = open.remove(&(rows.value(row) as u64, name.to_owned())) else {
                continue;
            };
            let value = match verdict {
                Verdict::Approve => cleaned[row].clone(),
                Verdict::Reject => original[row].clone(),
                Verdict::Edit(value) => value.clone(),
            };
            if *verdict != Verdict::Approve {
                let column = cells.entry(name.to_owned()).or_default();
                column.insert(rows.value(row) as u64, value.clone());
            }
            cleaned[row] = value;
            jobs[row] = Some(reviewer.job_id.to_owned());
            steps[row] = Some(reviewer.transformation_id.to_owned());
            sources[row] = Some(HUMAN.to_owned());
            scores[row] = 1.0;
        }
        let mut columns = batch.columns().to_vec();
        let mut set = |name: &str, values: Vec<Option<String>>| -> Result<()> {
            let number = schema.index_of(name)?;
            let kind = schema.field(number).data_type();
            columns[number] = cast(&StringArray::from(values), kind)?;
            Ok(())
        };
        set("job_id", jobs)?;
        set("cleaned_value", cleaned)?;
        set("transformation_id", steps)?;
        set("source", sources)?;
        let number = schema.index_of("confidence_score")?;
        columns[number] = Arc::new(Float32Array::from(scores));
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
    }
    if let Some(((row, column), _)) = open.first_key_value() {
        let problem = format!("row {row}, column {column:?} was not changed by the job");
        return Err(Error::field("decisions", problem));
    }
    Ok((writer.finish()?, cells))
}
