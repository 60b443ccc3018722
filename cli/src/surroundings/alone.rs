//! No cluster, and no catalog.

use std::sync::Arc;

use clap::Args;
use planner::run::{Cluster, Finished, JobRun};

/// Nothing.
#[derive(Debug, Args)]
pub(crate) struct SurroundingsArguments {}

impl SurroundingsArguments {
    /// No cluster: the job runs in this process.
    pub(crate) fn cluster(&self) -> anyhow::Result<Option<Arc<dyn Cluster>>> {
        Ok(None)
    }

    /// Remembers nothing.
    pub(crate) async fn remember(&self, _: &JobRun, _: &Finished) -> anyhow::Result<()> {
        Ok(())
    }
}
