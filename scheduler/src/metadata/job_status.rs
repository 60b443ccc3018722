//! Where jobs are in their lives.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{MetadataError, Result};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Accepted; its upload is not complete yet.
    Pending,
    /// Waits for a worker.
    Queued,
    /// A worker reads the source and learns from it.
    Pass1Running,
    /// A worker writes the clean data.
    Pass2Running,
    /// Published.
    Success,
    /// Will not be tried again.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl JobStatus {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Queued,
        Self::Pass1Running,
        Self::Pass2Running,
        Self::Success,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Pass1Running => "pass1_running",
            Self::Pass2Running => "pass2_running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Cancelled)
    }

    /// Whether a worker is at it.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Pass1Running | Self::Pass2Running)
    }
}

impl std::str::FromStr for JobStatus {
    type Err = MetadataError;
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|status| status.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|status| status.name()).collect();
            MetadataError::Invalid(format!("a status is one of {}", names.join(", ")))
        })
    }
}
