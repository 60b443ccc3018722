//! The job: where the data is, what it should be, what to do with it, where to put it.

use std::collections::BTreeMap;
use std::fmt;

use planner_base::{ByteSize, NumberOrText};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DatasetSpec, Secret};
use crate::steps::StepSpec;

/// A cleaning job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// Version of this format: 1.
    #[serde(default = "one")]
    pub version: u32,
    /// Name of the job, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where the dirty data is.
    pub source: SourceSpec,
    /// The dataset contract. Whatever is left out is inferred from the data.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dataset: DatasetSpec,
    /// The cleaning steps, in order. Left out: the default pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepSpec>>,
    /// Where the clean data goes.
    #[serde(default)]
    pub output: OutputSpec,
    /// How the job runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub options: OptionsSpec,
}

fn one() -> u32 {
    1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Where the dirty data is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// A path, a directory, a glob or a URL (`file://`, `s3://`, `gs://`, `az://`, `http://`,
    /// `https://`), or a list of them. Relative paths are relative to the spec.
    pub location: Locations,
    /// Format of the files; from their names, then their content, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<SourceFormat>,
    /// How the files are written, where detection should not decide.
    #[serde(default, skip_serializing_if = "is_default")]
    pub options: ReadOptions,
    /// What some locations are called in the output and in errors, by location. No part of a document: for
    /// programs that resolve names of their own to locations.
    #[serde(skip)]
    pub shown_as: Vec<(String, String)>,
    /// Where the settings of the object store come from: `env:NAME` for the variables whose names
    /// begin with `NAME_` (such as `NAME_AWS_ACCESS_KEY_ID`), `file:PATH` for a file of lines
    /// `NAME=VALUE`. Left out: the environment of each process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Secret>,
}

/// One location or several.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Locations(pub Vec<String>);

impl Serialize for Locations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Locations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match super::Columns::deserialize(deserializer)? {
            super::Columns::All => Ok(Self(vec!["*".to_owned()])),
            super::Columns::Named(list) => Ok(Self(list)),
        }
    }
}

impl JsonSchema for Locations {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Locations".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})
    }
}

/// Format of source files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceFormat {
    /// Delimited text.
    Csv,
    /// Tab-separated text.
    Tsv,
    /// One JSON object a line.
    Jsonl,
    /// An array of JSON objects.
    Json,
    /// Apache Parquet.
    Parquet,
    /// A spreadsheet: xlsx, xls, xlsb or ods.
    Excel,
}

/// How source files are written. What is left out is detected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadOptions {
    /// Character between fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<AsciiChar>,
    /// Character around fields that hold delimiters or line breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<AsciiChar>,
    /// Character that takes the next one literally, inside quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escape: Option<AsciiChar>,
    /// Character that makes a line a comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<AsciiChar>,
    /// Whether the first row names the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// Character encoding (a WHATWG label such as `windows-1252`), or `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Compression of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<CompressionSpec>,
    /// Sheet of a spreadsheet: its name, or its number from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<SheetSpec>,
    /// Lines to leave out at the start of each file.
    #[serde(default, skip_serializing_if = "is_default")]
    pub skip_rows: usize,
    /// Columns whose values the folders of the files name, such as `country` where the files lie in
    /// `country=US/`, `country=DE/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_columns: Vec<String>,
    /// Most bytes of a document fetched from the web, such as `2GiB`; 100 GiB when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// Most bytes of a file once its compression is taken off, such as `200GiB`; 1 TiB when left out. The parts
    /// of a workbook may have 4 GiB at most, for they are held in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_decompressed_bytes: Option<ByteSize>,
    /// Most bytes of a cell, such as `1MiB`; a row with a longer one is set aside. 64 MiB when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cell_bytes: Option<ByteSize>,
    /// Most columns; 100,000 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_columns: Option<usize>,
    /// Whether the files come from strangers: small ones may not unfold to large ones. Left out, they may.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strict: bool,
    /// Most seconds for fetching a document from the web; an hour when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
}

/// One ASCII character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsciiChar(pub u8);

impl Serialize for AsciiChar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_char(char::from(self.0))
    }
}

impl<'de> Deserialize<'de> for AsciiChar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_bytes() {
            [byte] if byte.is_ascii() => Ok(Self(*byte)),
            [b'\\', b't'] => Ok(Self(b'\t')),
            _ => Err(serde::de::Error::custom(format!(
                "expected one ASCII character, not {text:?}"
            ))),
        }
    }
}

impl JsonSchema for AsciiChar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AsciiChar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "One ASCII character; \\t for a tab.", "type": "string", "minLength": 1, "maxLength": 2})
    }
}

/// Name of a sheet, or its number from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SheetSpec {
    /// Number from 0.
    Number(u32),
    /// Name.
    Name(String),
}

impl fmt::Display for SheetSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Name(name) => name.fmt(formatter),
        }
    }
}

/// Compression of source files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompressionSpec {
    /// Whatever the first bytes of the file say.
    #[default]
    Auto,
    /// Not compressed.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

/// Where the clean data goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// A directory or the URL of a place in an object store (`s3://`, `gs://`, `az://`): empty, new,
    /// or an earlier output. Relative paths are relative to the spec.
    #[serde(default)]
    pub location: String,
    /// Where the settings of the object store come from, as in `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Secret>,
    /// Format of the files under `data/`.
    #[serde(default)]
    pub format: OutputFormat,
    /// Whether every changed cell is recorded.
    #[serde(default)]
    pub provenance: Provenance,
    /// Rows of the source that go to each file of a table: a multiple of 8,192. Left out: as many
    /// as make about 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_file: Option<u64>,
}

/// Format of the cleaned rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// Apache Parquet.
    #[default]
    Parquet,
    /// Comma-separated text with a header (RFC 4180).
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// How much of the changes is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// One row for each modified cell.
    #[default]
    Full,
    /// Counts only.
    None,
}

/// How the job runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptionsSpec {
    /// Seed of the samples; the same seed gives the same result.
    pub seed: u64,
    /// Most memory for what the job learns from all rows, such as `4GiB`; the buffers of readers
    /// and writers come on top.
    pub memory_limit: ByteSize,
    /// How many parts of the data are worked on at a time: a number, or `auto` for one a core.
    pub partitions: Partitions,
    /// Identifier of the job in its files; a new one for each run when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Where temporary files go; inside the output directory when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temp_dir: Option<String>,
    /// Names for people and programs; carried into the manifest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Default for OptionsSpec {
    fn default() -> Self {
        Self {
            seed: 42,
            memory_limit: ByteSize(4 << 30),
            partitions: Partitions::Auto,
            job_id: None,
            temp_dir: None,
            labels: BTreeMap::new(),
        }
    }
}

/// How many parts of the data are worked on at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Partitions {
    /// One a core.
    #[default]
    Auto,
    /// This many.
    Count(usize),
}

impl Serialize for Partitions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Count(count) => serializer.serialize_u64(*count as u64),
        }
    }
}

impl<'de> Deserialize<'de> for Partitions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(count @ 1..=4096) => Ok(Self::Count(count as usize)),
            NumberOrText::Text(text) if text == "auto" => Ok(Self::Auto),
            _ => Err(serde::de::Error::custom(
                "expected auto or a number from 1 to 4096",
            )),
        }
    }
}

impl JsonSchema for Partitions {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Partitions".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 4096}]})
    }
}
