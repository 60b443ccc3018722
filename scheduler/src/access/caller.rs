//! Somebody who was let in.

use uuid::Uuid;

use super::Action;
use crate::metadata::{ApiKey, Role, Tenant};

/// Somebody who was let in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose data they see.
    pub tenant: Tenant,
    /// Who they are, as the audit log has it.
    pub actor: String,
    /// What they may do, in a word.
    pub role: Role,
    /// Whether they may look after tenants.
    pub operator: bool,
    /// What they may do of that; all when none.
    pub actions: Option<Vec<String>>,
    /// The datasets that they may touch, by name; all when none.
    pub datasets: Option<Vec<String>>,
}

impl Caller {
    /// Whoever came in with a key.
    pub(crate) fn of_key(key: &ApiKey, tenant: Tenant) -> Self {
        Self {
            tenant,
            actor: format!("key:{}", key.id),
            role: key.role,
            operator: key.operator,
            actions: key.actions.clone(),
            datasets: key.datasets.clone(),
        }
    }

    /// Their tenant.
    pub fn tenant_id(&self) -> Uuid {
        self.tenant.id
    }

    /// Whether they may do something.
    pub fn may(&self, action: Action) -> bool {
        let chosen = |actions: &Vec<String>| actions.iter().any(|name| name == action.name());
        action.is_of(self.role) && self.actions.as_ref().is_none_or(chosen)
    }

    /// Whether they may touch a dataset.
    pub fn may_touch(&self, dataset: &str) -> bool {
        let named = |names: &Vec<String>| names.iter().any(|name| name == dataset);
        self.datasets.as_ref().is_none_or(named)
    }

    /// Whether a tenant, by identifier or name, is theirs.
    pub fn is_of(&self, tenant: &str) -> bool {
        self.tenant.name == tenant || Uuid::parse_str(tenant) == Ok(self.tenant.id)
    }
}
