//! Profiles of columns: counts, distribution and samples, before and after cleaning.

mod extremes;
mod float_bits;
mod hash;
mod hll;
mod render;
mod sample;
mod sketch;
mod type_text;
mod values;

#[cfg(test)]
mod tests;

pub use hash::{hash_text, hash_values};
pub use hll::Distinct;
pub use render::render_value;
pub use sample::RowSample;
pub use sample::mix;
pub use sketch::ColumnSketch;

use serde::{Deserialize, Serialize};

/// Profile of a column. Values are text in the notation of the output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ColumnProfile {
    /// Name of the column.
    pub name: String,
    /// Type: a name of `ColumnType`.
    #[serde(rename = "type")]
    pub column_type: String,
    /// Number of rows profiled.
    pub rows: u64,
    /// Rows without a value; exact.
    pub nulls: u64,
    /// Number of different values; an estimate once it is large.
    pub distinct: u64,
    /// Whether `distinct` is exact.
    pub distinct_exact: bool,
    /// Smallest value of a number, date or timestamp column; exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// Largest value of a number, date or timestamp column; exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Mean of a number column, from the sampled rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Standard deviation of a number column, from the sampled rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stddev: Option<f64>,
    /// Median of a number, date or timestamp column, from the sampled rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median: Option<String>,
    /// Quartiles and tails (1, 5, 25, 75, 95, 99 %) of a number column, from the sampled rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<(f64, f64)>,
    /// Shortest and longest text in characters, from the sampled rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lengths: Option<(u64, u64)>,
    /// Most frequent values with their counts in the sampled rows; empty for columns with personal data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<(String, u64)>,
    /// Distribution of a number, date or timestamp column, from the sampled rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
    /// A few values; empty for columns with personal data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<String>,
    /// Number of rows that the sampled figures are computed from.
    pub sampled_rows: u64,
}

/// Counts of values between edges; `edges` has one entry more than `counts`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// Ascending bounds of the bins, as numbers (days or microseconds since 1970 for dates and timestamps).
    pub edges: Vec<f64>,
    /// Values in each bin.
    pub counts: Vec<u64>,
}
