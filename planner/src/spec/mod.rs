//! The job spec: what a person asks for. One type, read from YAML or JSON, and its JSON Schema.

mod columns;
mod dataset;
mod document;
mod job;
mod load;
mod reference;
mod rule;
mod secret;

pub use columns::Columns;
pub use dataset::{ColumnSpec, ColumnType, DatasetSpec, PiiHashMethod, PiiStrategy, SchemaSpec};
pub use document::DocumentLimits;
pub use job::{
    AsciiChar, ByteSize, CompressionSpec, JobSpec, Locations, OptionsSpec, OutputFormat,
    OutputSpec, Partitions, Provenance, ReadOptions, SheetSpec, SourceFormat, SourceSpec,
};
pub use rule::{Bound, BusinessRule, CONDITION_BYTES, LengthRule, PATTERN_BYTES, RangeRule};
pub(crate) use rule::{PATTERNS, rule_regex};
pub use secret::Secret;
