//! The members of a cluster.

mod arguments;

use std::path::Path;

use anyhow::Context;
use executor::{Executor, ExecutorOptions};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use scheduler::{Scheduler, SchedulerOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};

pub use self::arguments::{ExecutorArguments, SchedulerArguments};
use crate::ending::UsageError;

/// Runs a scheduler until it is interrupted or terminated.
pub fn scheduler(arguments: &SchedulerArguments) -> anyhow::Result<()> {
    let options: SchedulerOptions = options(
        arguments.config.as_deref(),
        "SANITIZER_SCHEDULER_",
        arguments,
    )?;
    runtime()?.block_on(async {
        let scheduler = Scheduler::bind(&options).await?;
        let address = scheduler.address();
        println!("scheduler listens on {address}");
        let mut terminated = signal(SignalKind::terminate())?;
        let stop = async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
        };
        Ok(scheduler.serve(stop).await?)
    })
}

/// Runs an executor until it is interrupted or terminated.
pub fn executor(arguments: &ExecutorArguments) -> anyhow::Result<()> {
    let options: ExecutorOptions = options(
        arguments.config.as_deref(),
        "SANITIZER_EXECUTOR_",
        arguments,
    )?;
    runtime()?.block_on(async {
        let executor = Executor::bind(&options).await?;
        let address = executor.address();
        println!("executor listens on {address}");
        Ok(executor.run().await?)
    })
}

/// Settings from their defaults, a file, the environment and the command line, each over the one
/// before.
fn options<T: Default + Serialize + DeserializeOwned>(
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

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")
}
