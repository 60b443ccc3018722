//! The manifest: an output without it does not exist.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::file::hex;
use crate::error::{Error, Result};
use crate::storage::Place;

/// A file of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path under the output's location.
    pub path: String,
    /// Rows, of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Size.
    pub bytes: u64,
    /// Digest of the content.
    pub sha256: String,
}

impl FileEntry {
    /// Writes a document under `root` and tells what it is.
    pub fn write(root: &Place, name: &str, content: &[u8]) -> Result<Self> {
        let place = root.join(name);
        place
            .write(content)
            .map_err(|error| Error::io(&place, error))?;
        Ok(Self {
            path: name.to_owned(),
            rows: None,
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        })
    }
}

/// Software that made an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    /// Version of Data Sanitizer.
    pub data_sanitizer: String,
    /// Version of DataFusion.
    pub datafusion: String,
}

/// What an output is made of: `metadata.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub version: u32,
    /// The job.
    pub job_id: String,
    /// When the output was published (RFC 3339).
    pub created_at: String,
    /// The job spec, as it was run.
    pub spec: Value,
    /// The contract, as it was completed.
    pub contract: Value,
    /// What made it.
    pub software: Software,
    /// The number of the source's first row: rows are numbered on from those of an earlier output.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first_row_id: u64,
    /// Every other file of the output.
    pub files: Vec<FileEntry>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Manifest {
    /// Name of the manifest.
    pub const NAME: &'static str = "metadata.json";

    /// Reads that of the output in a place.
    pub fn read(output: &Place) -> Result<Self> {
        let place = output.join(Self::NAME);
        let file = place.open().map_err(|error| Error::io(&place, error))?;
        Ok(serde_json::from_reader(file)?)
    }
}
