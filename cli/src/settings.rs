//! What the programs that run for long have in common: settings, the runtime, and their end.

use std::future::Future;
use std::path::Path;

use anyhow::Context;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};

use crate::ending::UsageError;

/// Settings from their defaults, a file, the environment and the command line, each over the one
/// before.
pub(crate) fn settings<T: Default + Serialize + DeserializeOwned>(
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

/// Settings of a section of a file that has others too.
pub(crate) fn section<T: Default + Serialize + DeserializeOwned>(
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

/// Says something on standard output, if anybody listens.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A runtime with a thread for each core.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(sql::STACK_BYTES)
        .enable_all()
        .build()
        .context("the runtime does not start")
}

/// Ready when the program is interrupted or terminated, from this call on.
pub(crate) fn asked_to_stop() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}
