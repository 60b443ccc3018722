//! The members of a cluster.

mod arguments;

use std::path::Path;

use executor::{Executor, ExecutorOptions};
use planner::cluster::ClusterAddress;
use scheduler::Service;
use scheduler::ballista::{Scheduler, SchedulerOptions};

pub use self::arguments::{ExecutorArguments, SchedulerArguments};
use crate::api::{self, ApiSettings};
use crate::ending::UsageError;
use crate::settings::{asked_to_stop, runtime, say, settings};

/// Runs a scheduler until it is interrupted or terminated.
pub fn scheduler(arguments: &SchedulerArguments) -> anyhow::Result<()> {
    let options: SchedulerOptions = settings(
        arguments.config.as_deref(),
        "SANITIZER_SCHEDULER_",
        arguments,
    )?;
    let api = ApiSettings::load(arguments.config.as_deref(), &arguments.api)?;
    if api.database.is_some() != api.store.is_some() {
        let text = "database and store belong together: jobs over REST need both";
        return Err(UsageError(text.to_owned()).into());
    }
    runtime()?.block_on(async {
        let scheduler = Scheduler::bind(&options).await?;
        let address = scheduler.address();
        say(&format!("scheduler listens on {address}"));
        if api.database.is_none() {
            return Ok(scheduler.serve(asked_to_stop()?).await?);
        }
        // The jobs of the API go to this very scheduler.
        let port = address.port();
        let cluster: ClusterAddress = format!("df://{}:{port}", options.external_host)
            .parse()
            .map_err(|error: String| UsageError(format!("external_host: {error}")))?;
        let service = api.service(Path::new("."), Some(cluster), None)?;
        let service = Service::bind(service).await?;
        api::announce(&service, None).await?;
        let ballista = tokio::spawn(scheduler.serve(std::future::pending()));
        let stop = asked_to_stop()?;
        tokio::select! {
            served = service.serve(stop) => Ok(served?),
            ended = ballista => Ok(ended??),
        }
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
        say(&format!("executor listens on {address}"));
        Ok(executor.run().await?)
    })
}
