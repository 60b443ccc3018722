//! Settings of programs that run for long: from a file, the environment and the command line.

use std::path::Path;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ending::UsageError;

/// Returns settings from their defaults, a file, the environment and the command line, each over the one before.
///
/// # Errors
/// [`UsageError`] when the file cannot be read, or a setting is unknown or cannot be right.
pub fn settings<T: Default + Serialize + DeserializeOwned>(
    file: Option<&Path>,
    prefix: &str,
    flags: &impl Serialize,
) -> anyhow::Result<T> {
    let mut settings = Figment::from(Serialized::defaults(T::default()));
    if let Some(file) = file {
        settings = settings.merge(Toml::file_exact(file));
    }
    settings
        .merge(Env::prefixed(prefix))
        .merge(Serialized::defaults(flags))
        .extract()
        .map_err(|error| UsageError(error.to_string()).into())
}

/// Variables with the prefix of the API's settings that are those of its clients. A shell has both where somebody starts a
/// service that they ask themselves.
const OF_CLIENTS: [&str; 2] = ["key", "url"];

/// Returns settings from a section of a file that has others too.
///
/// # Errors
/// [`UsageError`] when the file cannot be read, or a setting is unknown or cannot be right.
pub fn section<T: Default + Serialize + DeserializeOwned>(
    name: &str,
    file: Option<&Path>,
    prefix: &str,
    flags: &impl Serialize,
) -> anyhow::Result<T> {
    let mut settings = Figment::from(Serialized::defaults(T::default()));
    if let Some(file) = file {
        settings = settings.merge(Figment::from(Toml::file_exact(file)).focus(name));
    }
    settings
        .merge(Env::prefixed(prefix).ignore(&OF_CLIENTS))
        .merge(Serialized::defaults(flags))
        .extract()
        .map_err(|error| UsageError(error.to_string()).into())
}
