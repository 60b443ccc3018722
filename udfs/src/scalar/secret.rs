//! References to secrets, and the policy of who may name which.
//!
//! A query or a job names a secret; the process that runs it resolves it. [`SecretAccess`] is the only policy: it is
//! checked before anything is read, so that the answer for a name that is not allowed does not depend on whether the
//! secret exists.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::kernels::pii::hash::{KeyRefused, Secret, SecretTooShort};

/// The secret that is used where none is named.
pub const DEFAULT_SECRET: &str = "env:SANITIZER_SALT";

/// What the secret of a tenant is derived for.
const TENANT: &str = "tenant";

/// Where a secret is found; it can be shown, stored and sent, for it does not hold the secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretReference {
    /// The value of an environment variable: `env:NAME`.
    Environment(String),
    /// The content of a file, without one line break at its end: `file:PATH`.
    File(PathBuf),
    /// The secret of one tenant, derived from a secret of the service: `tenant:NAME:env:VARIABLE`.
    Tenant {
        /// Name of the tenant.
        tenant: String,
        /// The secret that it is derived from; not that of a tenant.
        root: Box<SecretReference>,
    },
}

/// A secret could not be obtained.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The reference has no known form. It is not repeated: it may be the secret.
    #[error("a secret must be named as env:NAME or file:PATH")]
    NotAReference,
    /// The caller may not name this secret. Does not reveal whether it exists.
    #[error("this secret is not among those that may be named here")]
    NotAllowed,
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
    /// A key of the right length was refused.
    #[error(transparent)]
    Key(#[from] KeyRefused),
}

impl FromStr for SecretReference {
    type Err = SecretError;

    fn from_str(reference: &str) -> Result<Self, Self::Err> {
        match reference.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("tenant", rest)) => {
                let (tenant, root) = rest.split_once(':').ok_or(SecretError::NotAReference)?;
                Self::of_tenant(tenant, root.parse()?)
            }
            _ => Err(SecretError::NotAReference),
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(formatter, "env:{name}"),
            Self::File(path) => write!(formatter, "file:{}", path.display()),
            Self::Tenant { tenant, root } => write!(formatter, "tenant:{tenant}:{root}"),
        }
    }
}

impl TryFrom<String> for SecretReference {
    type Error = SecretError;

    fn try_from(reference: String) -> Result<Self, Self::Error> {
        reference.parse()
    }
}

impl From<SecretReference> for String {
    fn from(reference: SecretReference) -> Self {
        reference.to_string()
    }
}

impl SecretReference {
    /// References the secret of a tenant that is derived from `root`.
    ///
    /// # Errors
    /// When the name of the tenant is empty or holds a colon, or `root` is a tenant's secret itself.
    pub fn of_tenant(tenant: &str, root: Self) -> Result<Self, SecretError> {
        if tenant.is_empty() || tenant.contains(':') || matches!(root, Self::Tenant { .. }) {
            return Err(SecretError::NotAReference);
        }
        Ok(Self::Tenant {
            tenant: tenant.to_owned(),
            root: Box::new(root),
        })
    }

    /// Resolves the secret in this process. Whether it may be named is checked by [`SecretAccess`].
    ///
    /// # Errors
    /// When the variable is not set, the file cannot be read, or the secret has fewer than 16 bytes.
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        let bytes = match self {
            Self::Tenant { tenant, root } => {
                return Ok(root.resolve()?.derive(&[TENANT, tenant])?);
            }
            Self::Environment(name) => std::env::var(name)
                .map(String::into_bytes)
                .map_err(|_| SecretError::NotSet { name: name.clone() })?,
            Self::File(path) => {
                let read = std::fs::read(path);
                let mut bytes = read.map_err(|source| SecretError::Unreadable {
                    path: path.clone(),
                    source,
                })?;
                // Editors end a file with a line break that nobody means.
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                    bytes.pop_if(|byte| *byte == b'\r');
                }
                bytes
            }
        };
        Secret::new(bytes).map_err(|source| SecretError::TooShort {
            reference: self.to_string(),
            source,
        })
    }
}

/// The policy of which secrets may be named, and how names are resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SecretAccess {
    /// Any secret of the process, unchanged: the caller runs the process.
    #[default]
    Any,
    /// Those that the service lists, each derived for the tenant, so that no value of one tenant equals that of
    /// another.
    Tenant {
        /// Name of the tenant.
        name: String,
        /// Secrets of the service.
        allowed: Vec<SecretReference>,
    },
}

impl SecretAccess {
    /// Returns the reference that a name resolves to. A reference that was admitted before is returned unchanged.
    ///
    /// # Errors
    /// [`SecretError::NotAllowed`] when it may not be named; nothing is read to find out.
    pub fn admit(&self, reference: &SecretReference) -> Result<SecretReference, SecretError> {
        let Self::Tenant { name, allowed } = self else {
            return Ok(reference.clone());
        };
        match reference {
            SecretReference::Tenant { tenant, root }
                if tenant == name && allowed.contains(root) =>
            {
                Ok(reference.clone())
            }
            root if allowed.contains(root) => SecretReference::of_tenant(name, root.clone()),
            _ => Err(SecretError::NotAllowed),
        }
    }

    /// Returns the secret that is meant where none is named: `env:SANITIZER_SALT`, or the first of the list
    /// where that is not on it.
    ///
    /// # Errors
    /// [`SecretError::NotAllowed`] when no secret may be named.
    pub fn usual(&self) -> Result<SecretReference, SecretError> {
        let usual: SecretReference = DEFAULT_SECRET.parse()?;
        match self {
            Self::Tenant { allowed, .. } if !allowed.contains(&usual) => {
                self.admit(allowed.first().ok_or(SecretError::NotAllowed)?)
            }
            _ => self.admit(&usual),
        }
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
        for wrong in [
            "env:",
            "tenant:a",
            "tenant::env:A",
            "tenant:a:tenant:b:env:A",
        ] {
            assert!(wrong.parse::<SecretReference>().is_err(), "{wrong}");
        }
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
        let text = format!("tenant:acme:{reference}");
        let derived: SecretReference = text.parse().unwrap();
        assert_eq!(derived.to_string(), text);
        assert_ne!(
            derived.resolve().unwrap().bytes(),
            reference.resolve().unwrap().bytes()
        );
        std::fs::write(&path, "0123456789abcde\n").unwrap();
        assert!(matches!(
            reference.resolve(),
            Err(SecretError::TooShort { .. })
        ));
        std::fs::remove_file(&path).unwrap();
    }

    /// A tenant names what the service lists and nothing else, and gets the secret of its own.
    #[test]
    fn c4_a_tenant_names_listed_secrets_only() {
        let listed: SecretReference = "env:PATH".parse().unwrap();
        let access = SecretAccess::Tenant {
            name: "acme".to_owned(),
            allowed: vec![listed.clone()],
        };
        let own = access.admit(&listed).unwrap();
        assert_eq!(own.to_string(), "tenant:acme:env:PATH");
        assert_eq!(access.admit(&own).unwrap(), own);
        assert_eq!(access.usual().unwrap(), own);
        for other in [
            "env:HOME",
            "env:NO_SUCH_VARIABLE_HERE",
            "file:/etc/passwd",
            "file:/no/such/file",
            "tenant:acme:env:HOME",
            "tenant:other:env:PATH",
        ] {
            let refused = access.admit(&other.parse().unwrap());
            assert!(matches!(refused, Err(SecretError::NotAllowed)), "{other}");
        }
        assert_eq!(SecretAccess::Any.admit(&listed).unwrap(), listed);
    }
}
