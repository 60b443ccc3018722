//! Which secrets a spec may name.

use planner::spec::Secret;

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
