//! Who works in a session.

/// A user of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Name of the person or program.
    pub user: String,
    /// Name of the tenant, whose tables the user sees.
    pub tenant: String,
}
