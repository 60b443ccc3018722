//! The rows that are not in the cleaned data, and why.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::operation::{CleaningBatch, ClusteredRow, RemovalReason};
use crate::program::Program;
use crate::source::Source;

/// Makes the tables of removed and of quarantined rows.
#[derive(Debug)]
pub(super) struct LossTables {
    job_id: String,
    names: Vec<String>,
    transformations: Vec<String>,
    source: Arc<Source>,
    /// What stands for a clear value, by column; none for columns that hide nothing.
    placeholders: Vec<Option<String>>,
    removed: SchemaRef,
    clusters: SchemaRef,
    quarantine: SchemaRef,
}

impl LossTables {
    pub(super) fn new(
        program: &Program,
        job_id: &str,
        source: Arc<Source>,
        placeholders: Vec<Option<String>>,
    ) -> Self {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8View, nullable);
        let removed = Schema::new(vec![
            text("job_id", false),
            Field::new("row_id", DataType::Int64, false),
            text("reason", false),
            text("transformation_id", false),
            Field::new("duplicate_of", DataType::Int64, true),
            Field::new("score", DataType::Float64, true),
        ]);
        let clusters = Schema::new(vec![
            text("job_id", false),
            Field::new("cluster_id", DataType::Int64, false),
            Field::new("row_id", DataType::Int64, false),
            Field::new("survivor", DataType::Boolean, false),
            Field::new("score", DataType::Float64, false),
            text("transformation_id", false),
        ]);
        let quarantine = Schema::new(vec![
            text("job_id", false),
            text("file", false),
            Field::new("line", DataType::Int64, false),
            Field::new("row_id", DataType::Int64, false),
            text("column_name", true),
            text("reason", false),
            text("raw", true),
        ]);
        Self {
            job_id: job_id.to_owned(),
            names: program
                .contract
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
            transformations: program
                .transformations
                .iter()
                .map(|step| step.id.clone())
                .collect(),
            source,
            placeholders,
            removed: Arc::new(removed),
            clusters: Arc::new(clusters),
            quarantine: Arc::new(quarantine),
        }
    }

    pub(super) fn removed_schema(&self) -> &SchemaRef {
        &self.removed
    }

    pub(super) fn clusters_schema(&self) -> &SchemaRef {
        &self.clusters
    }

    pub(super) fn quarantine_schema(&self) -> &SchemaRef {
        &self.quarantine
    }

    /// The removed rows of a frame.
    pub(super) fn removed(&self, frame: &CleaningBatch) -> Result<RecordBatch> {
        let (mut rows, mut ids, mut survivors) = (Vec::new(), Vec::new(), Vec::new());
        let (mut reasons, mut scores) = (Vec::new(), Vec::new());
        for (row, loss) in sorted(frame) {
            let (reason, transformation, survivor, score) = match loss {
                RemovalReason::Duplicate {
                    transformation,
                    survivor,
                } => ("duplicate", transformation, survivor, 1.0),
                RemovalReason::NearDuplicate {
                    transformation,
                    survivor,
                    score,
                } => ("near_duplicate", transformation, survivor, *score),
                RemovalReason::Unreadable { .. } | RemovalReason::Violation { .. } => continue,
            };
            rows.push((frame.first_row + u64::from(*row)) as i64);
            reasons.push(reason);
            ids.push(self.transformations[usize::from(*transformation)].as_str());
            survivors.push(Some(*survivor as i64));
            scores.push(score);
        }
        let count = rows.len();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from(vec![self.job_id.as_str(); count])),
            Arc::new(Int64Array::from(rows)),
            Arc::new(StringViewArray::from(reasons)),
            Arc::new(StringViewArray::from(ids)),
            Arc::new(Int64Array::from(survivors)),
            Arc::new(Float64Array::from(scores)),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.removed), columns)?)
    }

    /// The rows of a frame that belong to clusters.
    pub(super) fn clusters(&self, frame: &CleaningBatch) -> Result<RecordBatch> {
        let rows = || frame.clustered.iter().map(|(_, matched)| matched);
        let number = |of: fn(&ClusteredRow) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                rows().map(|row| of(row) as i64),
            ))
        };
        let survivors: BooleanArray = rows().map(|row| Some(row.row == row.survivor)).collect();
        let ids = frame.clustered.iter();
        let ids = ids.map(|(step, _)| self.transformations[usize::from(*step)].as_str());
        let job_ids = vec![self.job_id.as_str(); frame.clustered.len()];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from(job_ids)),
            number(|row| row.cluster),
            number(|row| row.row),
            Arc::new(survivors),
            Arc::new(Float64Array::from_iter_values(rows().map(|row| row.score))),
            Arc::new(StringViewArray::from_iter_values(ids)),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.clusters), columns)?)
    }

    /// The quarantined rows of a frame.
    pub(super) fn quarantine(&self, frame: &CleaningBatch) -> Result<RecordBatch> {
        let mut files = Vec::new();
        let (mut lines, mut rows) = (Vec::new(), Vec::new());
        let mut names: Vec<Option<&str>> = Vec::new();
        let (mut reasons, mut raws): (Vec<String>, Vec<Option<String>>) = (Vec::new(), Vec::new());
        let hides = self.placeholders.iter().any(Option::is_some);
        for (row, loss) in sorted(frame) {
            let at = *row as usize;
            match loss {
                RemovalReason::Duplicate { .. } | RemovalReason::NearDuplicate { .. } => continue,
                RemovalReason::Unreadable { reason, raw } => {
                    names.push(None);
                    reasons.push(reason.clone());
                    // Nobody can tell which part of an unreadable row is personal.
                    raws.push((!hides).then(|| raw.clone()));
                }
                RemovalReason::Violation {
                    transformation,
                    column,
                    rule,
                } => {
                    names.push(Some(self.names[*column].as_str()));
                    reasons.push(format!(
                        "{}: {rule}",
                        self.transformations[usize::from(*transformation)]
                    ));
                    raws.push(Some(self.render(frame, at)?));
                }
            }
            let file = frame.origin.file.value(at);
            files.push(self.source.file(file).map_or("", |file| file.path.as_str()));
            lines.push(frame.origin.line.value(at) as i64);
            rows.push((frame.first_row + u64::from(*row)) as i64);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from(vec![
                self.job_id.as_str();
                rows.len()
            ])),
            Arc::new(StringViewArray::from(files)),
            Arc::new(Int64Array::from(lines)),
            Arc::new(Int64Array::from(rows)),
            Arc::new(StringViewArray::from(names)),
            Arc::new(StringViewArray::from_iter_values(reasons)),
            Arc::new(StringViewArray::from_iter(raws)),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&self.quarantine), columns)?)
    }

    /// A row as JSON, as the source has it; personal values as their placeholders.
    fn render(&self, frame: &CleaningBatch, row: usize) -> Result<String> {
        let mut object = serde_json::Map::new();
        for (column, name) in self.names.iter().enumerate() {
            let text = cast(&frame.raw[column].slice(row, 1), &DataType::Utf8View)?;
            let text = text
                .as_string_view_opt()
                .ok_or(Error::Bug("a cast to text that is not"))?;
            let value = match (&self.placeholders[column], text.is_null(0)) {
                (_, true) => serde_json::Value::Null,
                (Some(placeholder), false) if !text.value(0).is_empty() => {
                    placeholder.as_str().into()
                }
                (_, false) => text.value(0).into(),
            };
            object.insert(name.clone(), value);
        }
        Ok(serde_json::to_string(&object)?)
    }
}

fn sorted(frame: &CleaningBatch) -> Vec<&(u32, RemovalReason)> {
    let mut losses: Vec<&(u32, RemovalReason)> = frame.losses.iter().collect();
    losses.sort_by_key(|(row, _)| *row);
    losses
}
