//! The members of a cluster.

mod arguments;

use executor::{Executor, ExecutorOptions};
use scheduler::{Scheduler, SchedulerOptions};

pub use self::arguments::{ExecutorArguments, SchedulerArguments};
use crate::settings::{asked_to_stop, runtime, settings};

/// Runs a scheduler until it is interrupted or terminated.
pub fn scheduler(arguments: &SchedulerArguments) -> anyhow::Result<()> {
    let options: SchedulerOptions = settings(
        arguments.config.as_deref(),
        "SANITIZER_SCHEDULER_",
        arguments,
    )?;
    runtime()?.block_on(async {
        let scheduler = Scheduler::bind(&options).await?;
        let address = scheduler.address();
        println!("scheduler listens on {address}");
        Ok(scheduler.serve(asked_to_stop()?).await?)
    })
}

/// Runs an executor until it is interrupted or terminated.
pub fn executor(arguments: &ExecutorArguments) -> anyhow::Result<()> {
    let options: ExecutorOptions = settings(
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
