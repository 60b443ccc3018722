//! The scheduler from its settings to its end, and the tables that it needs.

use std::path::Path;
use std::sync::Arc;

use cli_process::ending::UsageError;
use cli_process::runtime::{asked_to_stop, runtime};
use cli_process::scrape::{self, Ready, Refresh};
use cli_process::{say, settings};
use planner::cluster::{ClusterAddress, ListenError};
use planner::telemetry::Role;
use scheduler::Service;
use scheduler::ballista::{Scheduler, SchedulerError, SchedulerOptions};

use crate::api::{self, ApiSettings, tokens_beside};
use crate::arguments::{MigrateArguments, SchedulerArguments};

/// Runs a scheduler until it is interrupted or terminated.
///
/// # Errors
/// When a setting cannot be right, an address cannot be listened on, or the scheduler or its service fails.
pub fn run(arguments: &SchedulerArguments) -> anyhow::Result<()> {
    let options: SchedulerOptions = settings(
        arguments.config.as_deref(),
        "SANITIZER_SCHEDULER_",
        arguments,
    )?;
    let mut api = ApiSettings::load(arguments.config.as_deref(), &arguments.api)?;
    if api.database.is_some() != api.store.is_some() {
        let text = "database and store belong together: jobs over REST need both";
        return Err(UsageError(text.to_owned()).into());
    }
    if api.token_database.is_none() {
        api.token_database = api.database.as_deref().map(tokens_beside);
    }
    runtime()?.block_on(async {
        let scheduler = Scheduler::bind(&options).await.map_err(scheduler_error)?;
        let address = scheduler.address();
        say(&format!("scheduler listens on {address}"));
        let members = scheduler.members();
        if api.database.is_none() {
            let refresh: Refresh = Arc::new(move || {
                let members = members.clone();
                Box::pin(async move { members.refresh().await })
            });
            let members = scheduler.members();
            let ready: Ready = Arc::new(move || members.is_ready());
            let (scrape, role) = (&arguments.scrape, Role::Scheduler);
            scrape::listen_with_readiness(scrape, role, refresh, ready).await?;
            return Ok(scheduler.serve(asked_to_stop()?).await?);
        }
        // The jobs of the API go to this very scheduler.
        let port = address.port();
        let cluster: ClusterAddress = format!("df://{}:{port}", options.external_host)
            .parse()
            .map_err(|error: String| UsageError(format!("external_host: {error}")))?;
        let cluster = cluster.with_tls(scheduler.tls());
        // A member has no home in which a key could be made.
        let signs = api.audit_key.is_some();
        let mut service = api.service(Path::new("."), Some(cluster), None)?;
        service.audit_key = service.audit_key.filter(|_| signs);
        service.closed.extend(arguments.config.clone());
        let service = Service::bind(service).await?;
        let figures = service.figures();
        let refresh: Refresh = Arc::new(move || {
            let (members, figures) = (members.clone(), figures.clone());
            Box::pin(async move {
                members.refresh().await;
                figures.refresh().await;
            })
        });
        scrape::listen(&arguments.scrape, Role::Scheduler, refresh).await?;
        api::announce(&service, None).await?;
        let ballista = tokio::spawn(scheduler.serve(std::future::pending()));
        let stop = asked_to_stop()?;
        tokio::select! {
            served = service.serve(stop) => Ok(served?),
            ended = ballista => Ok(ended??),
        }
    })
}

/// Makes the tables of the service, or brings them up to date. A scheduler does so too when it starts.
///
/// # Errors
/// When a database does not open.
pub fn migrate(arguments: &MigrateArguments) -> anyhow::Result<()> {
    let tokens = arguments.token_database.clone();
    let tokens = tokens.unwrap_or_else(|| tokens_beside(&arguments.database));
    runtime()?.block_on(scheduler::migrate(&arguments.database, &tokens))?;
    say("the tables are up to date");
    Ok(())
}

/// Wrong settings are an error of the command line.
fn scheduler_error(error: SchedulerError) -> anyhow::Error {
    match error {
        SchedulerError::Tls(_) | SchedulerError::Listen(ListenError::Exposed(_)) => {
            UsageError(error.to_string()).into()
        }
        error => error.into(),
    }
}
