//! The job spec: what a person asks for. One type, read from YAML or JSON, and its JSON Schema.

mod columns;
mod dataset;
mod rule;
mod secret;

pub use columns::Columns;
pub use dataset::{ColumnSpec, ColumnType, DatasetSpec, PiiHashMethod, PiiStrategy, SchemaSpec};
pub use rule::{Bound, BusinessRule, LengthRule, RangeRule};
pub use secret::Secret;
