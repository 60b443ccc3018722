//! A caller who was admitted.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Action;
use crate::metadata::{ApiKey, Role, Tenant};

/// The credential that admitted a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// An API key, by its public part.
    Key(String),
    /// A token of the identity provider, by its subject.
    User(String),
}

/// A caller who was admitted.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant whose data they see.
    pub tenant: Tenant,
    /// Their name in the audit log.
    pub actor: String,
    /// Their role.
    pub role: Role,
    /// Whether they have the right of an operator.
    pub operator: bool,
    /// The actions that they are limited to; none for no limit.
    pub actions: Option<Vec<String>>,
    /// The datasets that they are limited to, by name; none for no limit.
    pub datasets: Option<Vec<String>>,
    /// The credential that admitted them.
    pub credential: Credential,
    /// When the credential ends; none for never.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Caller {
    /// Returns the holder of a key.
    pub(crate) fn of_key(key: &ApiKey, tenant: Tenant) -> Self {
        Self {
            tenant,
            actor: format!("key:{}", key.id),
            role: key.role,
            operator: key.operator,
            actions: key.actions.clone(),
            datasets: key.datasets.clone(),
            credential: Credential::Key(key.id.clone()),
            expires_at: key.expires_at,
        }
    }

    /// Returns the bearer of a token of the identity provider.
    pub(crate) fn of_user(
        subject: &str,
        role: Role,
        tenant: Tenant,
        expires_at: DateTime<Utc>,
    ) -> Self {
        Self {
            tenant,
            actor: format!("user:{subject}"),
            role,
            operator: false,
            actions: None,
            datasets: None,
            credential: Credential::User(subject.to_owned()),
            expires_at: Some(expires_at),
        }
    }

    /// Returns the identifier of their tenant.
    pub fn tenant_id(&self) -> Uuid {
        self.tenant.id
    }

    /// Returns whether they may do something.
    pub fn may(&self, action: Action) -> bool {
        action.is_granted(self.role, self.operator, self.actions.as_deref())
    }

    /// Returns whether they may see and change a dataset.
    pub fn may_touch(&self, dataset: &str) -> bool {
        let named = |names: &Vec<String>| names.iter().any(|name| name == dataset);
        self.datasets.as_ref().is_none_or(named)
    }

    /// Returns whether an upload that this actor began is within reach. An upload belongs to the key or user that
    /// began it; admins without a limit also reach those of others in their tenant.
    pub fn may_reach_upload_of(&self, actor: &str) -> bool {
        let unlimited = self.actions.is_none() && self.datasets.is_none();
        self.actor == actor || (self.role == Role::Admin && unlimited)
    }

    /// Returns whether this is their tenant, by identifier or name.
    pub fn is_of(&self, tenant: &str) -> bool {
        self.tenant.name == tenant || Uuid::parse_str(tenant) == Ok(self.tenant.id)
    }
}
