//! A cluster, and the catalog of this machine.

use std::sync::Arc;

use clap::Args;
use cli_process::ClusterTlsArguments;
use planner::cluster::ClusterAddress;
use planner::run::{Cluster, Finished, JobRun};
use sql::{Engine, EngineOptions};

use crate::home::{DEFAULT_TENANT, HomeArguments};

/// What is around a job.
#[derive(Debug, Args)]
pub(crate) struct SurroundingsArguments {
    /// Ballista scheduler whose executors do the work: df://HOST:PORT
    #[arg(long, value_name = "URL")]
    cluster: Option<ClusterAddress>,
    /// Certificates of the cluster.
    #[command(flatten)]
    cluster_tls: ClusterTlsArguments,
    /// The catalog that remembers the output: `jobs.NAME.data` in SQL
    #[command(flatten)]
    home: HomeArguments,
}

impl SurroundingsArguments {
    /// The cluster whose executors do the work; none where this process does.
    pub(crate) fn cluster(&self) -> anyhow::Result<Option<Arc<dyn Cluster>>> {
        let address = self.cluster_tls.secure(self.cluster.clone())?;
        Ok(address.map(Into::into))
    }

    /// Names the output of a job in the catalog of this machine: its tables are `jobs.NAME.data` and so on.
    pub(crate) async fn remember(&self, job: &JobRun, finished: &Finished) -> anyhow::Result<()> {
        let output = &finished.output;
        let shown = output.to_string();
        let folder = shown.trim_end_matches('/').rsplit('/').next();
        let name = job.spec.name.as_deref().or(folder).unwrap_or("job");
        let engine = Engine::open(EngineOptions::new(
            self.home.path()?,
            job.locations.base().to_owned(),
        ))
        .await?;
        let credentials = job.spec.output.credentials.clone();
        let files = finished.files.iter().cloned();
        let name = table_name(name);
        engine
            .remember_job(DEFAULT_TENANT, &name, output, credentials, files)
            .await?;
        Ok(())
    }
}

/// A name that needs no quotation marks in SQL.
fn table_name(name: &str) -> String {
    let letters = name.to_lowercase();
    let letters = letters.chars();
    letters
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect()
}
