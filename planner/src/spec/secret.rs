//! Secrets are named in a spec, never written in it.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a secret is found when it is needed: `env:NAME` or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable of the process.
    Env(String),
    /// A file; one line break at its end does not belong to the secret.
    File(PathBuf),
}

impl Default for Secret {
    fn default() -> Self {
        Self::Env("SANITIZER_SALT".to_owned())
    }
}

impl Secret {
    /// Where the key of tokens is found unless a spec says otherwise.
    pub fn token_key() -> Self {
        Self::Env("SANITIZER_TOKEN_KEY".to_owned())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(formatter, "env:{name}"),
            Self::File(path) => write!(formatter, "file:{}", path.display()),
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
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            // The text is not repeated: it may be the secret itself.
            _ => Err(serde::de::Error::custom(
                "a secret is named, not written: expected env:NAME or file:PATH",
            )),
        }
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
            "pattern": "^(env|file):.+"
        })
    }
}
