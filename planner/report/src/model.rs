//! The report as data: what is written to `report.json`. Key names are part of the interface.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use planner_profile::ColumnProfile;

/// The report of one run of a job.
///
/// Its producer must keep out clear values of personal data: columns with personal data have counts and no values.
/// Apart from `generated_at` and `timings`, the same job over the same data gives the same report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Identifier of the job.
    pub job_id: String,
    /// Name of the job or of its dataset, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name and version of the program.
    pub generator: String,
    /// When the report was made (RFC 3339, UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_at: Option<String>,
    /// Rows in and out.
    pub summary: Summary,
    /// Data quality metrics.
    pub quality_metrics: QualityMetrics,
    /// The columns, in source order.
    pub columns: Vec<ColumnReport>,
    /// The transformations, in the order in which they were applied.
    pub transformations_applied: Vec<TransformationReport>,
    /// Personal data found, by column.
    pub pii_found: Vec<PiiReport>,
    /// Rules that rows broke, whatever became of the rows.
    pub violations: Vec<ViolationReport>,
    /// Rows set aside because they could not be read or break a quarantining rule.
    pub quarantine: QuarantineReport,
    /// Rows taken out, such as duplicates.
    pub removed: RemovedReport,
    /// Some of the changed cells.
    pub samples: Vec<SampleFix>,
    /// The files that were read.
    pub sources: Vec<SourceReport>,
    /// What a person should know before using the result.
    pub notes: Vec<String>,
    /// Seconds by stage of the run, such as `pass_1`; `total` is the whole run.
    pub timings: BTreeMap<String, f64>,
}

/// Rows in and out: `original_row_count = cleaned_row_count + rows_dropped + rows_quarantined`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Rows of the source.
    pub original_row_count: u64,
    /// Rows of the cleaned data.
    pub cleaned_row_count: u64,
    /// Rows taken out, as `removed/` lists them.
    pub rows_dropped: u64,
    /// Rows set aside, as `quarantine/` lists them.
    pub rows_quarantined: u64,
    /// Share of the rows, 0 to 1, that are left when the duplicates are out.
    pub deduplication_rate: f64,
}

/// Data quality metrics. Rates and shares are between 0 and 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QualityMetrics {
    /// Rows that repeat another one exactly.
    pub duplicates_detected: u64,
    /// Rows that repeat another one nearly.
    pub near_duplicates_detected: u64,
    /// Share of the cells of the cleaned data that were filled.
    pub imputation_rate: f64,
    /// Cells that were filled.
    pub cells_imputed: u64,
    /// Mean confidence of the changed cells; none when no cell was changed.
    pub confidence_score_avg: Option<f64>,
    /// Changed cells with a confidence below 1, which rest on a heuristic.
    pub low_confidence_fixes: u64,
    /// Cells of the cleaned data that differ from the source.
    pub cells_modified: u64,
    /// Rows of the cleaned data with at least one such cell.
    pub rows_modified: u64,
    /// Cells whose value could not be read as what the column should hold.
    pub cells_invalid: u64,
    /// Violations of rules in rows that stay.
    pub violations_flagged: u64,
    /// Share of the source's cells that have a value.
    pub completeness_before: f64,
    /// Share of the cleaned data's cells that have a value.
    pub completeness_after: f64,
}

/// One column, before and after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ColumnReport {
    /// Name of the column.
    pub name: String,
    /// Type of the clean column: a name of `ColumnType`.
    #[serde(rename = "type")]
    pub column_type: String,
    /// Whether the column holds personal data.
    pub pii: bool,
    /// What became of the personal data: a name of `PiiStrategy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pii_strategy: Option<String>,
    /// The column of the source.
    pub before: ColumnProfile,
    /// The column of the cleaned data; none when it was left out.
    pub after: Option<ColumnProfile>,
    /// Cells of the cleaned data that differ from the source.
    pub cells_modified: u64,
    /// Remarks for review.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// One transformation and what it did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransformationReport {
    /// Identifier, as in the provenance: `t-1` is the first.
    pub id: String,
    /// Name of the step.
    #[serde(rename = "type")]
    pub step: String,
    /// Parameters of the step.
    pub params: Value,
    /// Columns that the step worked on.
    pub columns: Vec<String>,
    /// Rows that the step took out.
    pub rows_removed: u64,
    /// Rows that the step set aside.
    pub rows_quarantined: u64,
    /// Rows in which the step changed a cell.
    pub rows_modified: u64,
    /// Cells that the step changed.
    pub cells_modified: u64,
    /// Cells that the step could make nothing of.
    pub cells_invalid: u64,
    /// Cells that the step marked and left as they are.
    pub cells_flagged: u64,
    /// What the step learned of all rows, by column: medians, modes, bounds; null for nothing.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub learned: Value,
    /// How it was learned: `exact`, or a sample with its error bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// Personal data found in a column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PiiReport {
    /// Name of the column.
    pub column: String,
    /// Kind of personal data, such as `EMAIL`.
    pub entity: String,
    /// How sure the finding is, 0 to 1; 1 where the contract says so.
    pub confidence: f64,
    /// Share of the present values that match, 0 to 1; `None` when the column was not searched.
    pub hit_rate: Option<f64>,
    /// Strategy applied: a name of `PiiStrategy`; `None` when none was requested.
    pub strategy: Option<String>,
}

/// A rule that rows broke.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ViolationReport {
    /// Column of the rule; none for a rule across columns.
    pub column: Option<String>,
    /// Name of the rule.
    pub rule: String,
    /// Transformation that checked it.
    pub transformation_id: String,
    /// What became of the rows: `flag`, `set_null` or `quarantine`.
    pub action: String,
    /// Rows that broke it.
    pub rows: u64,
    /// Some of these rows.
    pub sample_row_ids: Vec<u64>,
}

/// Rows set aside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuarantineReport {
    /// How many.
    pub rows: u64,
    /// Why, most frequent first.
    pub reasons: Vec<ReasonCount>,
    /// Some of the rows.
    pub samples: Vec<QuarantineSample>,
}

/// Rows taken out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemovedReport {
    /// How many.
    pub rows: u64,
    /// Why, most frequent first: `duplicate`, `near_duplicate` or the name of a rule.
    pub reasons: Vec<ReasonCount>,
    /// Some of the rows.
    pub samples: Vec<RemovedSample>,
}

/// A reason and how many rows it concerns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReasonCount {
    /// The reason.
    pub reason: String,
    /// Number of rows.
    pub rows: u64,
}

/// A row set aside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuarantineSample {
    /// Number of the row in the source.
    pub row_id: u64,
    /// File of the row.
    pub file: String,
    /// Line of the row in its file, from 1.
    pub line: u64,
    /// Column of the rule that the row breaks; none for a row that could not be read.
    pub column: Option<String>,
    /// Why the row was set aside.
    pub reason: String,
    /// The row as in the source, cut; `None` where it may hold personal data.
    pub raw: Option<String>,
}

/// A row taken out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemovedSample {
    /// Number of the row in the source.
    pub row_id: u64,
    /// Why it was taken out.
    pub reason: String,
    /// Transformation that took it out.
    pub transformation_id: String,
    /// The row that stays in its place.
    pub duplicate_of: Option<u64>,
    /// Similarity of the two, 0 to 1.
    pub score: Option<f64>,
}

/// A changed cell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SampleFix {
    /// Number of the row in the source.
    pub row_id: u64,
    /// Name of the column.
    pub column: String,
    /// The value of the source; none when there was none.
    pub original: Option<String>,
    /// The value of the cleaned data; none when there is none.
    pub cleaned: Option<String>,
    /// Transformation that changed it.
    pub transformation_id: String,
    /// How sure the change is, 0 to 1.
    pub confidence: f64,
}

/// A file that was read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceReport {
    /// Path or URL.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Rows read from it.
    pub rows: u64,
}
