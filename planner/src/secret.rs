//! Secrets, from their names.

use udfs::kernels::pii::hash::Secret as SecretBytes;

use crate::error::{Error, Result};
use crate::spec::Secret;

/// The secret of this name, of at least 16 bytes.
pub fn resolve(name: &Secret) -> Result<SecretBytes> {
    let wrong = |problem: String| Error::Secret {
        name: name.to_string(),
        problem,
    };
    let bytes = match name {
        Secret::Env(variable) => std::env::var(variable)
            .map(String::into_bytes)
            .map_err(|_| {
                wrong("is not set: personal data cannot be hidden without it".to_owned())
            })?,
        Secret::File(path) => {
            let mut bytes =
                std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            bytes
        }
    };
    SecretBytes::new(bytes).map_err(|error| wrong(error.to_string()))
}
