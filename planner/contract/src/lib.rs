//! The contract of a job: declared by its author, completed by inference from the data.

mod check;
mod columns;
mod complete;
mod dataset;
mod disguised;
mod entity;
mod error;
mod evidence;
mod infer;
mod missing;
mod moment;
mod readings;
mod remarks;
mod rule;
mod shape;
mod tally;
mod unique;

#[cfg(test)]
mod tests;

pub use columns::Columns;
pub use complete::{complete, needs_evidence};
pub use dataset::{ColumnSpec, ColumnType, DatasetSpec, PiiHashMethod, PiiStrategy, SchemaSpec};
pub use error::ContractError;
pub use evidence::ColumnEvidence;
pub use missing::{MissingValues, default_missing_values, trim};
pub use rule::{
    Bound, BusinessRule, CONDITION_BYTES, LengthRule, PATTERN_BYTES, PATTERNS, RangeRule,
    rule_regex,
};

use serde::{Deserialize, Serialize};

use planner_base::Secret;

/// The complete contract of a dataset: one entry for each column of the source, in source order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// Identifier of the dataset, if it has one.
    pub dataset_id: Option<String>,
    /// Version of the contract.
    pub version: u64,
    /// Cell texts that mean "no value"; compared after trimming.
    pub missing_values: Vec<String>,
    /// Name of the salt of hashed columns.
    pub pii_salt: Secret,
    /// How the salt enters the hash.
    pub pii_hash: PiiHashMethod,
    /// Name of the key of tokens; the usual one when none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii_token_key: Option<Secret>,
    /// The columns.
    pub columns: Vec<ContractColumn>,
}

/// One column of a complete contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContractColumn {
    /// Name in the header.
    pub name: String,
    /// Type of the clean column.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Total digits and digits after the point, of a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<(u8, i8)>,
    /// Notations of dates and timestamps; empty for the usual ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
    /// Whether 03/04/2021 is the third of April, where the notations leave it open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub day_first: bool,
    /// Whether a comma is the decimal point (`1.234,5`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub decimal_comma: bool,
    /// Whether a value may be missing.
    pub nullable: bool,
    /// Whether the column holds personal data.
    pub pii: bool,
    /// Treatment of the personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii_strategy: Option<PiiStrategy>,
    /// The values that the column may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical_values: Option<Vec<String>>,
    /// What must hold of each value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub business_rules: Vec<BusinessRule>,
    /// Where the column comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether the type was declared by the author or the file format, and not inferred.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declared: bool,
    /// Inferred properties; `None` when the column was declared in full and its values were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred: Option<Inferred>,
}

/// Properties suggested by the values of a column. Suggestions change nothing by themselves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inferred {
    /// Type that the values have.
    pub column_type: Option<ColumnType>,
    /// Share of the present values that can be read as that type.
    pub type_confidence: f64,
    /// Number of values observed, missing ones included.
    pub rows: u64,
    /// Number of missing values.
    pub missing: u64,
    /// Spellings of missing values that occur, with their counts, most frequent first.
    pub missing_values: Vec<(String, u64)>,
    /// Number of different values; exact while small, else an estimate.
    pub distinct: u64,
    /// Every value occurs once.
    pub unique: bool,
    /// Few different values, each repeated: the values, most frequent first.
    pub categories: Vec<String>,
    /// Kind of personal data that the column seems to hold, such as `EMAIL`.
    pub pii: Option<PiiFound>,
    /// Remarks for review, such as dates that may be day first or month first.
    pub remarks: Vec<String>,
}

/// Personal data found in a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PiiFound {
    /// Kind of personal data, such as `EMAIL`.
    pub entity: String,
    /// How sure the finding is, 0 to 1.
    pub confidence: f64,
    /// Share of the present values that hold it.
    pub hit_rate: f64,
    /// Whether it occurs within longer text.
    pub free_text: bool,
}
