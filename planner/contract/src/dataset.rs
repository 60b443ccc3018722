//! The dataset contract as declared by its author: type, treatment and rules of each column.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BusinessRule;
use planner_base::Secret;

/// The dataset contract. Whatever is left out is inferred from the data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetSpec {
    /// Identifier of the dataset across jobs and versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_id: Option<String>,
    /// Version of the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When the contract was made (RFC 3339); carried along, not interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// True: a column that the contract does not name, or a missing one, fails the job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_schema: bool,
    /// Treatment of columns with `pii: true` that have no strategy of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii_strategy: Option<PiiStrategy>,
    /// Whether personal data that is found, but not declared here, is treated as declared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pii_detect: bool,
    /// Where the salt of `hash` comes from: `env:NAME` or `file:PATH`, never the salt itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii_salt: Option<Secret>,
    /// Where the key of `tokenize` comes from: `env:NAME` or `file:PATH`, never the key itself;
    /// `env:SANITIZER_TOKEN_KEY` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii_token_key: Option<Secret>,
    /// How `hash` uses the salt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii_hash: Option<PiiHashMethod>,
    /// Cell texts that mean "no value"; compared after trimming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_values: Option<Vec<String>>,
    /// The columns, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnSpec>,
    /// The columns in the shape `{"schema": {"columns": [...]}}`; the same as `columns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaSpec>,
}

/// The `schema` object of a contract written as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaSpec {
    /// The columns, in any order.
    #[serde(default)]
    pub columns: Vec<ColumnSpec>,
}

/// One column of the contract.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// Name in the header.
    pub name: String,
    /// Type of the clean column; inferred when left out.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub column_type: Option<ColumnType>,
    /// Total digits of a decimal (1 to 38).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<u8>,
    /// Digits after the point of a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<i8>,
    /// strftime notations in which dates or timestamps may be written; the usual ones when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Vec<String>>,
    /// False: a missing value breaks the rule `not_null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nullable: Option<bool>,
    /// Whether the column holds personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii: Option<bool>,
    /// Treatment of the personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii_strategy: Option<PiiStrategy>,
    /// The values that the column may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical_values: Option<Vec<String>>,
    /// What must hold of each value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub business_rules: Vec<BusinessRule>,
    /// Where the column comes from; carried along, not interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl ColumnSpec {
    /// Creates a column of which only the name is declared.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            column_type: None,
            precision: None,
            scale: None,
            formats: None,
            nullable: None,
            pii: None,
            pii_strategy: None,
            canonical_values: None,
            business_rules: Vec::new(),
            source: None,
        }
    }
}

/// Type of a clean column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// 64-bit signed.
    Integer,
    /// 64-bit IEEE 754.
    Float,
    /// Exact, with `precision` and `scale`.
    Decimal,
    /// Text.
    String,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A moment in UTC, in microseconds.
    Timestamp,
}

impl ColumnType {
    /// Returns the name of the type in specs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Decimal => "decimal",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }
}

/// Treatment of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PiiStrategy {
    /// A keyed hash: equal values have equal hashes; not reversible.
    Hash,
    /// The placeholder of the kind of data, such as `<EMAIL>`.
    Redact,
    /// The column is left out of the output.
    Exclude,
    /// A token: equal values have equal tokens, and holders of the key can recover the value.
    Tokenize,
    /// The value is left as it is.
    Keep,
}

/// How the salt enters the hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PiiHashMethod {
    /// HMAC-SHA-256 keyed with the salt (RFC 2104).
    #[default]
    HmacSha256,
    /// SHA-256 of the salt followed by the value.
    SaltedSha256,
}
