//! Secrets by reference: a query or a job names one, the process that runs it looks it up.

use std::path::PathBuf;

use crate::kernels::pii::hash::{Secret, SecretTooShort};

/// The secret that is used where none is named.
pub const DEFAULT_SECRET: &str = "env:SANITIZER_SALT";

/// Where a secret is found; it can be shown, stored and sent, for it does not hold the secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretReference {
    /// The value of an environment variable.
    Environment(String),
    /// The content of a file, without the line end it may close with.
    File(PathBuf),
}

/// A secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The reference is of no form that is known. It is not repeated: it may be the secret.
    #[error("a secret must be named as env:NAME or file:PATH")]
    NotAReference,
    /// The environment variable does not exist or is not text.
    #[error("the environment variable {name} with the secret is not set")]
    NotSet {
        /// Its name.
        name: String,
    },
    /// The file cannot be read.
    #[error("the secret cannot be read from {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The secret could be guessed.
    #[error("{reference}: {source}")]
    TooShort {
        /// Where it was found.
        reference: String,
        /// Its length.
        source: SecretTooShort,
    },
}

impl std::str::FromStr for SecretReference {
    type Err = SecretError;

    fn from_str(reference: &str) -> Result<Self, Self::Err> {
        match reference.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(SecretError::NotAReference),
        }
    }
}

impl SecretReference {
    /// Looks the secret up, in this process, now.
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        let (bytes, reference) = match self {
            Self::Environment(name) => match std::env::var(name) {
                Ok(value) => (value.into_bytes(), format!("env:{name}")),
                Err(_) => return Err(SecretError::NotSet { name: name.clone() }),
            },
            Self::File(path) => match std::fs::read(path) {
                Ok(mut bytes) => {
                    // Editors end a file with a line end that nobody means.
                    while bytes
                        .last()
                        .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
                    {
                        bytes.pop();
                    }
                    (bytes, format!("file:{}", path.display()))
                }
                Err(source) => {
                    return Err(SecretError::Unreadable {
                        path: path.clone(),
                        source,
                    });
                }
            },
        };
        Secret::new(bytes).map_err(|source| SecretError::TooShort { reference, source })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// References are read and resolved; no message repeats what may be a secret.
    #[test]
    fn references() {
        let wrong = "a real secret".parse::<SecretReference>().unwrap_err();
        assert!(!wrong.to_string().contains("real"));
        assert!("env:".parse::<SecretReference>().is_err());
        let missing: SecretReference = "env:NO_SUCH_VARIABLE_HERE".parse().unwrap();
        assert!(matches!(missing.resolve(), Err(SecretError::NotSet { .. })));
        let missing: SecretReference = "file:/no/such/file".parse().unwrap();
        assert!(matches!(
            missing.resolve(),
            Err(SecretError::Unreadable { .. })
        ));
        let path = std::env::temp_dir().join(format!("secret-{}", std::process::id()));
        let reference: SecretReference = format!("file:{}", path.display()).parse().unwrap();
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        assert!(reference.resolve().is_ok());
        std::fs::write(&path, "0123456789abcde\n").unwrap();
        assert!(matches!(
            reference.resolve(),
            Err(SecretError::TooShort { .. })
        ));
        std::fs::remove_file(&path).unwrap();
    }
}
