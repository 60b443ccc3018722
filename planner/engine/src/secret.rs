//! Secrets, from their names.

use planner_base::Secret;
use udfs::kernels::pii::hash::Secret as SecretBytes;
use udfs::scalar::secret::{SecretError, SecretReference};

use crate::error::{Error, Result};

/// Returns the secret of this name, of at least 16 bytes. Whether it may be named was decided when the spec came in.
///
/// # Errors
/// When the variable is not set, the file cannot be read, or the secret is too short.
pub fn resolve(name: &Secret) -> Result<SecretBytes> {
    let wrong = |problem: String| Error::Secret {
        name: name.to_string(),
        problem,
    };
    SecretReference::from(name)
        .resolve()
        .map_err(|error| match error {
            SecretError::NotSet { .. } => {
                wrong("is not set: personal data cannot be hidden without it".to_owned())
            }
            SecretError::Unreadable { source, .. } => wrong(format!("cannot be read: {source}")),
            SecretError::TooShort { source, .. } => wrong(source.to_string()),
            other => wrong(other.to_string()),
        })
}
