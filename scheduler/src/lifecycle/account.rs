//! What a finished job tells the metadata store.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use planner::report::Report;
use planner::run::Finished;
use planner::sink::{FileEntry, Manifest};
use planner::storage::Place;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::metadata::{Cell, ColumnCount, Imputed, IndexPointer, Publication};
use crate::output::open_table;
use crate::storage::hexadecimal;

/// Files whose content depends on the job and its data alone, not on when it ran.
fn is_table(entry: &FileEntry) -> bool {
    !matches!(
        entry.path.as_str(),
        "report.json" | "report.html" | "audit.json"
    )
}

/// Digest of the tables of an output: the same for every run of the job.
pub(crate) fn digest(manifest: &Manifest) -> String {
    let mut digest = Sha256::new();
    for entry in manifest.files.iter().filter(|entry| is_table(entry)) {
        digest.update(format!("{} {} {}\n", entry.sha256, entry.bytes, entry.path));
    }
    hexadecimal(&digest.finalize())
}

/// What is to be published of a finished job. `kept` is the most changed cells that go to the store.
pub(super) fn publication(
    finished: &Finished,
    output: &str,
    bytes_in: i64,
    kept: usize,
) -> planner::Result<Publication> {
    let manifest = Manifest::read(&finished.output)?;
    let report = &finished.report;
    let (cells, complete) = first_cells(&finished.output, &manifest, kept)?;
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Ok(Publication {
        output: output.to_owned(),
        manifest_digest: digest(&manifest),
        rows_in: whole(report.summary.original_row_count),
        bytes_in,
        rows: whole(report.summary.cleaned_row_count),
        bytes: whole(manifest.files.iter().map(|entry| entry.bytes).sum()),
        transformations: serde_json::to_value(&report.transformations_applied)?,
        contract: manifest.contract.clone(),
        sources: serde_json::to_value(&report.sources)?,
        metrics: metrics(report),
        imputed: imputed(report),
        indexes: indexes(&manifest, output),
        counts: counts(finished, complete),
        cells,
    })
}

/// Changed cells by transformation and column; `complete` when the store gets all of them.
fn counts(finished: &Finished, complete: bool) -> Vec<ColumnCount> {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let counts = finished.changed.iter().map(|changed| ColumnCount {
        transformation_id: changed.transformation_id.clone(),
        column_name: changed.column.clone(),
        cells: whole(changed.cells),
        low_confidence: whole(changed.uncertain),
        complete,
    });
    counts.collect()
}

fn metrics(report: &Report) -> Value {
    json!({
        "rows_processed": report.summary.original_row_count,
        "rows_cleaned": report.summary.cleaned_row_count,
        "rows_dropped": report.summary.rows_dropped,
        "rows_quarantined": report.summary.rows_quarantined,
        "duplicates_found": report.quality_metrics.duplicates_detected + report.quality_metrics.near_duplicates_detected,
        "near_duplicates_found": report.quality_metrics.near_duplicates_detected,
        "imputations_applied": report.quality_metrics.cells_imputed,
        "cells_modified": report.quality_metrics.cells_modified,
        "low_confidence_fixes": report.quality_metrics.low_confidence_fixes,
        "seconds": report.timings.get("total"),
    })
}

/// What `impute` filled missing values with, by column. Of columns with personal data the report holds no
/// values, so neither does the store.
fn imputed(report: &Report) -> Vec<Imputed> {
    let mut imputed = Vec::new();
    for step in report
        .transformations_applied
        .iter()
        .filter(|step| step.step == "impute")
    {
        let strategy = step.params["strategy"].as_str().unwrap_or("auto");
        for (column, value) in step.learned.as_object().into_iter().flatten() {
            imputed.push(Imputed {
                transformation_id: step.id.clone(),
                column_name: column.clone(),
                strategy: strategy.to_owned(),
                value: value.clone(),
            });
        }
    }
    imputed
}

/// The indexes of an output, one for each step that left one.
fn indexes(manifest: &Manifest, output: &str) -> Vec<IndexPointer> {
    let heads = manifest.files.iter().filter_map(|entry| {
        let name = entry.path.strip_prefix("index/")?;
        name.strip_suffix("-head.json")
    });
    heads
        .map(|transformation| IndexPointer {
            transformation_id: transformation.to_owned(),
            location: format!("{output}/index"),
        })
        .collect()
}

/// The first changed cells of an output, and whether these are all.
fn first_cells(
    output: &Place,
    manifest: &Manifest,
    kept: usize,
) -> planner::Result<(Vec<Cell>, bool)> {
    let mut cells = Vec::new();
    let parts = manifest.files.iter();
    for part in parts.filter(|entry| entry.path.starts_with("provenance/")) {
        for batch in open_table(&output.join(&part.path))? {
            let batch = batch?;
            let columns = Columns::of(&batch)?;
            for row in 0..batch.num_rows() {
                if cells.len() == kept {
                    return Ok((cells, false));
                }
                cells.push(columns.cell(row));
            }
        }
    }
    Ok((cells, true))
}

/// The columns of a batch of provenance, as plain arrays.
pub(crate) struct Columns {
    texts: Vec<(&'static str, arrow::array::StringArray)>,
    row_ids: arrow::array::Int64Array,
    confidence: arrow::array::Float64Array,
}

const TEXTS: [&str; 5] = [
    "column_name",
    "original_value",
    "cleaned_value",
    "transformation_id",
    "source",
];

impl Columns {
    pub(crate) fn of(batch: &RecordBatch) -> planner::Result<Self> {
        let column = |name: &str, to: &DataType| -> planner::Result<_> {
            let column = batch
                .column_by_name(name)
                .ok_or(planner::Error::Bug("a column of the provenance is missing"))?;
            Ok(cast(column, to)?)
        };
        let texts = TEXTS.into_iter().map(|name| {
            let column = column(name, &DataType::Utf8)?;
            Ok((name, column.as_string::<i32>().clone()))
        });
        Ok(Self {
            texts: texts.collect::<planner::Result<_>>()?,
            row_ids: column("row_id", &DataType::Int64)?
                .as_primitive::<Int64Type>()
                .clone(),
            confidence: column("confidence_score", &DataType::Float64)?
                .as_primitive::<Float64Type>()
                .clone(),
        })
    }

    fn text(&self, name: &str, row: usize) -> Option<String> {
        let (_, column) = self.texts.iter().find(|(known, _)| *known == name)?;
        column
            .is_valid(row)
            .then(|| column.value(row).replace('\0', "\u{fffd}"))
    }

    fn confidence(&self, row: usize) -> f64 {
        // As it is written: 0.9 and not 0.8999999761581421.
        let written = self.confidence.value(row) as f32;
        written.to_string().parse().unwrap_or(1.0)
    }

    pub(crate) fn cell(&self, row: usize) -> Cell {
        Cell {
            row_id: self.row_ids.value(row),
            column_name: self.text("column_name", row).unwrap_or_default(),
            original_value: self.text("original_value", row),
            cleaned_value: self.text("cleaned_value", row),
            transformation_id: self.text("transformation_id", row).unwrap_or_default(),
            confidence_score: self.confidence(row),
            source: self.text("source", row).unwrap_or_default(),
        }
    }
}
