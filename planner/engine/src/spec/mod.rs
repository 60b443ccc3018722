//! The job spec: what a person asks for. One type, read from YAML or JSON, and its JSON Schema.

mod job;
mod load;
mod reference;

pub use planner_base::{ByteSize, DocumentLimits, Secret};
pub(crate) use planner_contract::PATTERNS;
pub use planner_contract::{
    Bound, BusinessRule, CONDITION_BYTES, ColumnSpec, ColumnType, Columns, DatasetSpec, LengthRule,
    PATTERN_BYTES, PiiHashMethod, PiiStrategy, RangeRule, SchemaSpec,
};

pub use job::{
    AsciiChar, CompressionSpec, JobSpec, Locations, OptionsSpec, OutputFormat, OutputSpec,
    Partitions, Provenance, ReadOptions, SheetSpec, SourceFormat, SourceSpec,
};
