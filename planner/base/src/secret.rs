//! References to secrets: a spec names a secret and never holds it.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use udfs::scalar::secret::SecretReference;

/// Reference to a secret that is resolved when it is needed: `env:NAME` or `file:PATH`, or `tenant:NAME:` before one of
/// these for the secret that a service derives from it for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable of the process.
    Env(String),
    /// A file; one line break at its end is not part of the secret.
    File(PathBuf),
    /// The secret of a tenant, derived from one of the service.
    Tenant {
        /// Name of the tenant.
        tenant: String,
        /// The secret that it is derived from, which is not derived itself.
        root: Box<Secret>,
    },
}

impl Default for Secret {
    fn default() -> Self {
        Self::Env("SANITIZER_SALT".to_owned())
    }
}

impl Secret {
    /// Returns the reference that a service derives from this one for a tenant; for a derived reference, from its root.
    #[must_use]
    pub fn of_tenant(&self, tenant: &str) -> Self {
        Self::Tenant {
            tenant: tenant.to_owned(),
            root: Box::new(self.root().clone()),
        }
    }

    /// Returns the reference that this one is derived from, or itself.
    pub fn root(&self) -> &Self {
        match self {
            Self::Tenant { root, .. } => root,
            other => other,
        }
    }

    /// Returns the default reference of the token key.
    pub fn token_key() -> Self {
        Self::Env("SANITIZER_TOKEN_KEY".to_owned())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(formatter, "env:{name}"),
            Self::File(path) => write!(formatter, "file:{}", path.display()),
            Self::Tenant { tenant, root } => write!(formatter, "tenant:{tenant}:{root}"),
        }
    }
}

impl From<&Secret> for SecretReference {
    fn from(secret: &Secret) -> Self {
        match secret {
            Secret::Env(name) => Self::Environment(name.clone()),
            Secret::File(path) => Self::File(path.clone()),
            Secret::Tenant { tenant, root } => Self::Tenant {
                tenant: tenant.clone(),
                root: Box::new(root.as_ref().into()),
            },
        }
    }
}

impl From<SecretReference> for Secret {
    fn from(reference: SecretReference) -> Self {
        match reference {
            SecretReference::Environment(name) => Self::Env(name),
            SecretReference::File(path) => Self::File(path),
            SecretReference::Tenant { tenant, root } => Self::Tenant {
                tenant,
                root: Box::new((*root).into()),
            },
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let reference: Result<SecretReference, _> = text.parse();
        // The text is not repeated: it may be the secret itself.
        reference.map(Self::from).map_err(|_| {
            serde::de::Error::custom(
                "a secret is named, not written: expected env:NAME or file:PATH",
            )
        })
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Name of a secret: env:NAME or file:PATH.",
            "type": "string",
            "pattern": "^(tenant:[^:]+:)?(env|file):.+"
        })
    }
}
