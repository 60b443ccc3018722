//! The keys of tokens: one that writes, and others that only read.

use planner::secret;
use planner::spec::Secret;
use udfs::kernels::pii::hash::KeyRefused;
use udfs::kernels::pii::token::TokenVault;

use crate::metadata::{MetadataError, Result};

/// Names of the keys of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKeys {
    /// The key that new tokens are made and sealed with.
    pub writing: Secret,
    /// Keys that were replaced, and under which values may still be sealed.
    pub reading: Vec<Secret>,
}

impl Default for TokenKeys {
    fn default() -> Self {
        Self {
            writing: Secret::token_key(),
            reading: Vec::new(),
        }
    }
}

/// The keys of one tenant, each derived from a key of the service.
pub(super) struct KeyRing {
    tenant: String,
    writing: TokenVault,
    reading: Vec<TokenVault>,
    /// Keys of the service itself: earlier releases had one vault for all tenants.
    earlier: Vec<TokenVault>,
}

/// How a value was sealed, and what it is.
pub(super) struct Opened {
    pub(super) value: String,
    /// Whether the key that writes has sealed it.
    pub(super) is_current: bool,
}

impl KeyRing {
    /// Looks up the keys of a tenant.
    ///
    /// # Errors
    /// [`MetadataError::Conflict`] when one of them is missing; the log says which.
    pub(super) fn of(keys: &TokenKeys, tenant: &str) -> Result<Self> {
        let unusable = |key: &Secret, error: &dyn std::fmt::Display| {
            tracing::error!(%key, %error, "a token key cannot be used");
            MetadataError::Conflict("the service has no key for tokens".to_owned())
        };
        let vault = |key: &Secret| -> Result<TokenVault> {
            let secret = secret::resolve(key).map_err(|error| unusable(key, &error))?;
            TokenVault::new(&secret).map_err(|error: KeyRefused| unusable(key, &error))
        };
        let derived = |root: &Secret| vault(&root.of_tenant(tenant));
        let all = std::iter::once(&keys.writing).chain(&keys.reading);
        Ok(Self {
            tenant: tenant.to_owned(),
            writing: derived(&keys.writing)?,
            reading: keys.reading.iter().map(derived).collect::<Result<_>>()?,
            earlier: all.map(vault).collect::<Result<_>>()?,
        })
    }

    /// The id of the key that writes.
    pub(super) fn writing_id(&self) -> &str {
        self.writing.key_id()
    }

    /// Seals a value under the key that writes, whichever key made its token.
    pub(super) fn seal(&self, token: &str, value: &str) -> Result<Vec<u8>> {
        let sealed = self.writing.seal(token, value);
        sealed.map_err(|_| MetadataError::Failed("a value is too long to be sealed".to_owned()))
    }

    /// Opens what a key has sealed; an empty id is a key of an earlier release.
    ///
    /// # Errors
    /// [`MetadataError::Conflict`] when the service does not have the key, or the value was changed.
    pub(super) fn open(&self, token: &str, key_id: &str, sealed: &[u8]) -> Result<Opened> {
        let is_current = key_id == self.writing.key_id();
        let opened = match key_id {
            "" => {
                let mut earlier = self.earlier.iter();
                earlier.find_map(|vault| vault.open_earlier(token, sealed).ok())
            }
            id => {
                let mut all = std::iter::once(&self.writing).chain(&self.reading);
                let vault = all.find(|vault| vault.key_id() == id);
                let vault = vault.ok_or_else(|| self.missing(&format!("the key {id}")))?;
                Some(vault.open(token, sealed).map_err(|error| {
                    MetadataError::Conflict(format!("a token cannot be revealed: {error}"))
                })?)
            }
        };
        let value = opened.ok_or_else(|| self.missing("a key of an earlier release"))?;
        Ok(Opened { value, is_current })
    }

    fn missing(&self, key: &str) -> MetadataError {
        MetadataError::Conflict(format!(
            "a token of {} is sealed under {key}, which the service does not have; its operator names \
             replaced keys with --old-token-key",
            self.tenant
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &std::path::Path, name: &str) -> Secret {
        let path = folder.join(name);
        std::fs::write(&path, format!("a key of sixteen bytes: {name}")).unwrap();
        Secret::File(path)
    }

    /// Replaced keys read, one key writes, tenants have keys of their own, and a key that is not there is an error.
    #[test]
    fn h9_several_keys_read_and_one_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (file(folder.path(), "old"), file(folder.path(), "new"));
        let keys = |writing: &Secret, reading: &[&Secret]| TokenKeys {
            writing: writing.clone(),
            reading: reading.iter().map(|key| (*key).clone()).collect(),
        };
        let before = KeyRing::of(&keys(&old, &[]), "acme").unwrap();
        let token = before.writing.token("ann@example.com");
        let sealed = before.seal(&token, "ann@example.com").unwrap();
        let after = KeyRing::of(&keys(&new, &[&old]), "acme").unwrap();
        let opened = after.open(&token, before.writing_id(), &sealed).unwrap();
        assert_eq!(
            (opened.value.as_str(), opened.is_current),
            ("ann@example.com", false)
        );
        let resealed = after.seal(&token, &opened.value).unwrap();
        let alone = KeyRing::of(&keys(&new, &[]), "acme").unwrap();
        let opened = alone.open(&token, after.writing_id(), &resealed).unwrap();
        assert_eq!(
            (opened.value.as_str(), opened.is_current),
            ("ann@example.com", true)
        );
        for (id, sealed) in [
            (before.writing_id(), &sealed),
            ("", &sealed),
            (after.writing_id(), &sealed),
        ] {
            assert!(
                matches!(
                    alone.open(&token, id, sealed),
                    Err(MetadataError::Conflict(_))
                ),
                "{id}"
            );
        }
        let other = KeyRing::of(&keys(&old, &[]), "other").unwrap();
        assert_ne!(other.writing.token("ann@example.com"), token);
        assert!(other.open(&token, before.writing_id(), &sealed).is_err());
        assert!(
            KeyRing::of(
                &keys(&Secret::Env("NO_SUCH_KEY_HERE".to_owned()), &[]),
                "acme"
            )
            .is_err()
        );
    }
}
