//! What somebody may do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::metadata::Role;

/// Something that somebody may do, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Action {
    /// Send files and submit jobs.
    #[serde(rename = "jobs:submit")]
    SubmitJobs,
    /// See jobs, their reports and their progress.
    #[serde(rename = "jobs:read")]
    ReadJobs,
    /// Cancel jobs.
    #[serde(rename = "jobs:cancel")]
    CancelJobs,
    /// Read cleaned, removed and quarantined rows.
    #[serde(rename = "data:read")]
    ReadData,
    /// Read which cells were changed, and from what.
    #[serde(rename = "provenance:read")]
    ReadProvenance,
    /// Decide on fixes.
    #[serde(rename = "review:decide")]
    DecideReviews,
    /// Write contracts and rules.
    #[serde(rename = "contracts:write")]
    WriteContracts,
    /// See what the tenant has used.
    #[serde(rename = "usage:read")]
    ReadUsage,
    /// Read and verify the audit log.
    #[serde(rename = "audit:read")]
    ReadAudit,
    /// Make keys and take them back.
    #[serde(rename = "keys:manage")]
    ManageKeys,
    /// Turn tokens back into what they stand for.
    #[serde(rename = "tokens:reveal")]
    RevealTokens,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::SubmitJobs,
        Self::ReadJobs,
        Self::CancelJobs,
        Self::ReadData,
        Self::ReadProvenance,
        Self::DecideReviews,
        Self::WriteContracts,
        Self::ReadUsage,
        Self::ReadAudit,
        Self::ManageKeys,
        Self::RevealTokens,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::SubmitJobs => "jobs:submit",
            Self::ReadJobs => "jobs:read",
            Self::CancelJobs => "jobs:cancel",
            Self::ReadData => "data:read",
            Self::ReadProvenance => "provenance:read",
            Self::DecideReviews => "review:decide",
            Self::WriteContracts => "contracts:write",
            Self::ReadUsage => "usage:read",
            Self::ReadAudit => "audit:read",
            Self::ManageKeys => "keys:manage",
            Self::RevealTokens => "tokens:reveal",
        }
    }

    /// Whether a role may do it.
    pub fn is_of(self, role: Role) -> bool {
        match role {
            Role::Admin => true,
            Role::DataEngineer => matches!(
                self,
                Self::SubmitJobs
                    | Self::ReadJobs
                    | Self::CancelJobs
                    | Self::ReadData
                    | Self::ReadProvenance
                    | Self::DecideReviews
                    | Self::WriteContracts
                    | Self::ReadUsage
            ),
            Role::Reviewer => matches!(
                self,
                Self::ReadJobs | Self::ReadProvenance | Self::DecideReviews
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names in documents are those of the API; an admin may do all that others may.
    #[test]
    fn names_and_roles() {
        for action in Action::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
            assert!(action.is_of(Role::Admin), "{}", action.name());
        }
        let of = |role| {
            Action::ALL
                .iter()
                .filter(|action| action.is_of(role))
                .count()
        };
        assert_eq!((of(Role::DataEngineer), of(Role::Reviewer)), (8, 3));
    }
}
