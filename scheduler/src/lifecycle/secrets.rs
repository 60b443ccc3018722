//! Which secrets a spec may name.

use planner::spec::{JobSpec, Secret};

/// Puts the secrets of a tenant in the place of those of the service, that a spec names: equal values of two tenants
/// have different hashes and tokens, and nobody confirms a guess about another's.
pub(super) fn derive(spec: &mut JobSpec, tenant: &str, token_key: &Secret) {
    let salt = spec.dataset.pii_salt.take().unwrap_or_default();
    spec.dataset.pii_salt = Some(salt.of_tenant(tenant));
    spec.dataset.pii_token_key = Some(token_key.of_tenant(tenant));
}

/// The secrets that specs may name: who writes a spec is not who runs the service, and could otherwise
/// reach whatever is in its environment and its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPolicy {
    /// Names, such as `env:SANITIZER_SALT`.
    pub allowed: Vec<Secret>,
}

impl Default for SecretPolicy {
    fn default() -> Self {
        Self {
            allowed: vec![Secret::default()],
        }
    }
}

impl SecretPolicy {
    /// Whether none of these secrets of the service's own may be named: neither the key of tokens, nor any other.
    pub(crate) fn spares(&self, own: &[&Secret]) -> bool {
        !self.allowed.iter().any(|secret| own.contains(&secret))
    }

    /// What a spec that names no salt means, where that is not the default of specs.
    pub(super) fn usual(&self) -> Option<Secret> {
        let first = self
            .allowed
            .first()
            .filter(|_| !self.allows(&Secret::default()));
        first.cloned()
    }

    /// Whether a spec may name it.
    pub fn allows(&self, secret: &Secret) -> bool {
        self.allowed.contains(secret)
    }
}
