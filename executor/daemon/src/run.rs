//! An executor from its settings to its end.

use std::sync::Arc;

use cli_process::ending::UsageError;
use cli_process::runtime::runtime;
use cli_process::scrape::{self, Ready, Refresh};
use cli_process::{say, settings};
use executor::{Executor, ExecutorError, ExecutorOptions};
use planner::cluster::ListenError;
use planner::telemetry::Role;

use crate::arguments::ExecutorArguments;

/// Runs an executor until it is interrupted or terminated.
///
/// # Errors
/// When a setting cannot be right, a port cannot be listened on, or the scheduler does not answer.
pub fn run(arguments: &ExecutorArguments) -> anyhow::Result<()> {
    let options: ExecutorOptions = settings(
        arguments.config.as_deref(),
        "SANITIZER_EXECUTOR_",
        arguments,
    )?;
    runtime()?.block_on(async {
        let executor = Executor::bind(&options).await.map_err(executor_error)?;
        let address = executor.address();
        say(&format!("executor listens on {address}"));
        tracing::info!(address = %executor.task_address(), "tasks are taken");
        let memory = executor.memory();
        let refresh: Refresh = Arc::new(move || {
            let memory = memory.clone();
            Box::pin(async move { memory.refresh() })
        });
        let ready: Ready = Arc::new(executor.readiness());
        let (scrape, role) = (&arguments.scrape, Role::Executor);
        scrape::listen_with_readiness(scrape, role, refresh, ready).await?;
        Ok(executor.run().await?)
    })
}

/// Wrong settings are an error of the command line.
fn executor_error(error: ExecutorError) -> anyhow::Error {
    match error {
        ExecutorError::Tls(_)
        | ExecutorError::Scheduler(_)
        | ExecutorError::Listen(ListenError::Exposed(_)) => UsageError(error.to_string()).into(),
        error => error.into(),
    }
}
