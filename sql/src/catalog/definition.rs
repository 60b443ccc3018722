//! A named table or view, as it is stored.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::{IpcSchemaEncoder, fb_to_schema};
use arrow::ipc::root_as_schema;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use planner::spec::SourceSpec;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A named table or view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Definition {
    /// Files.
    File(Box<FileDefinition>),
    /// A query.
    View(ViewDefinition),
}

/// A table of files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileDefinition {
    /// Where the files lie, and how they are written.
    pub(crate) source: SourceSpec,
    /// The columns, as an Arrow IPC schema in base64.
    pub(crate) schema: String,
    /// Whether a statement has given the columns their types.
    #[serde(default)]
    pub(crate) declared: bool,
    /// Whether the files are the catalog's own: dropping the table deletes them.
    #[serde(default)]
    pub(crate) managed: bool,
}

/// A view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ViewDefinition {
    /// The query.
    pub(crate) query: String,
    /// The columns that it gives, as an Arrow IPC schema in base64.
    pub(crate) schema: String,
}

/// A schema as text.
pub(crate) fn encode_schema(schema: &Schema) -> String {
    let builder = IpcSchemaEncoder::new().schema_to_fb(schema);
    BASE64_STANDARD.encode(builder.finished_data())
}

/// The schema that a text is.
pub(crate) fn decode_schema(text: &str) -> Result<SchemaRef> {
    let broken = || Error::Bug("a stored schema that is none");
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| broken())?;
    let schema = root_as_schema(&bytes).map_err(|_| broken())?;
    Ok(Arc::new(fb_to_schema(schema)))
}
