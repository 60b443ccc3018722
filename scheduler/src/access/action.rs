//! What a caller may do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::metadata::Role;

/// Something that a caller may do. Roles grant the actions of a tenant; the right of an operator grants those on
/// tenants. A key may be limited to some of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Action {
    /// Upload files and submit jobs.
    #[serde(rename = "jobs:submit")]
    SubmitJobs,
    /// Read jobs, their reports and their progress.
    #[serde(rename = "jobs:read")]
    ReadJobs,
    /// Cancel jobs.
    #[serde(rename = "jobs:cancel")]
    CancelJobs,
    /// Read cleaned, removed and quarantined rows, and the values in reports.
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
    /// Read the tenant's usage and limits.
    #[serde(rename = "usage:read")]
    ReadUsage,
    /// Read and verify the audit log.
    #[serde(rename = "audit:read")]
    ReadAudit,
    /// List, create, rotate and revoke the tenant's keys; list and suspend its users.
    #[serde(rename = "keys:manage")]
    ManageKeys,
    /// Turn tokens back into the values that they stand for.
    #[serde(rename = "tokens:reveal")]
    RevealTokens,
    /// List all tenants. For operators.
    #[serde(rename = "tenants:read")]
    ReadTenants,
    /// Create tenants and change their limits. For operators.
    #[serde(rename = "tenants:manage")]
    ManageTenants,
    /// Suspend and resume tenants. For operators.
    #[serde(rename = "tenants:suspend")]
    SuspendTenants,
    /// Create and revoke keys of other tenants. For operators.
    #[serde(rename = "tenants:keys")]
    ManageTenantKeys,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 15] = [
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
        Self::ReadTenants,
        Self::ManageTenants,
        Self::SuspendTenants,
        Self::ManageTenantKeys,
    ];

    /// Returns the action's name in the API, such as `jobs:read`.
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
            Self::ReadTenants => "tenants:read",
            Self::ManageTenants => "tenants:manage",
            Self::SuspendTenants => "tenants:suspend",
            Self::ManageTenantKeys => "tenants:keys",
        }
    }

    /// Returns what the action permits, in one sentence.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::SubmitJobs => "Upload files and submit jobs.",
            Self::ReadJobs => "Read jobs, their reports (without values) and their progress.",
            Self::CancelJobs => "Cancel jobs.",
            Self::ReadData => {
                "Read cleaned, removed and quarantined rows, and the values in reports."
            }
            Self::ReadProvenance => "Read which cells were changed, and from what.",
            Self::DecideReviews => "Decide on fixes, and publish what was decided.",
            Self::WriteContracts => "Write contracts and rules.",
            Self::ReadUsage => "Read the tenant's usage and limits.",
            Self::ReadAudit => "Read and verify the audit log.",
            Self::ManageKeys => {
                "List, create, rotate and revoke the tenant's keys; list and suspend its users."
            }
            Self::RevealTokens => "Turn tokens back into the values that they stand for.",
            Self::ReadTenants => "List all tenants.",
            Self::ManageTenants => "Create tenants and change their limits.",
            Self::SuspendTenants => "Suspend and resume tenants.",
            Self::ManageTenantKeys => "Create and revoke keys of other tenants.",
        }
    }

    /// Returns whether only operators may do it, whatever their role.
    pub fn is_for_operators(self) -> bool {
        matches!(
            self,
            Self::ReadTenants | Self::ManageTenants | Self::SuspendTenants | Self::ManageTenantKeys
        )
    }

    /// Returns whether a role grants it.
    pub fn is_of(self, role: Role) -> bool {
        match role {
            _ if self.is_for_operators() => false,
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

    /// Returns whether a credential grants it: by its role, or by the right of an operator, unless its list of
    /// actions leaves it out.
    pub fn is_granted(self, role: Role, operator: bool, actions: Option<&[String]>) -> bool {
        let granted = self.is_of(role) || (operator && self.is_for_operators());
        granted && actions.is_none_or(|names| names.iter().any(|name| name == self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names in documents are those of the API; an admin may do all that other roles may, and no role grants an
    /// operator's actions.
    #[test]
    fn names_and_roles() {
        for action in Action::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
            let of_operators = action.is_for_operators();
            assert_eq!(
                action.is_of(Role::Admin),
                !of_operators,
                "{}",
                action.name()
            );
        }
        let of = |role| {
            Action::ALL
                .iter()
                .filter(|action| action.is_of(role))
                .count()
        };
        assert_eq!((of(Role::DataEngineer), of(Role::Reviewer)), (8, 3));
    }

    /// The list of actions limits an operator's rights like all others.
    #[test]
    fn h5_a_list_of_actions_limits_operators() {
        let all = |operator, actions: Option<&[String]>| {
            let granted = Action::ALL
                .into_iter()
                .filter(|action| action.is_granted(Role::Reviewer, operator, actions));
            granted.count()
        };
        assert_eq!((all(false, None), all(true, None)), (3, 7));
        let named = ["jobs:read".to_owned(), "tenants:read".to_owned()];
        assert_eq!((all(true, Some(&named)), all(false, Some(&named))), (2, 1));
        assert_eq!(all(true, Some(&[])), 0);
    }
}
