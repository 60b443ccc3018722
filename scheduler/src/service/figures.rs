//! Figures of the service that nobody counts: they are asked for at each scrape.

use std::sync::Arc;
use std::time::Duration;

use planner::telemetry::METRICS;

use crate::lifecycle::Workers;
use crate::metadata::{JobStatus, MetadataStore};

/// Time for which a scrape of the metrics waits for the database.
const SCRAPE: Duration = Duration::from_secs(3);

/// What brings figures up to date that nobody counts: they lie in the database, or belong to somebody else.
#[derive(Clone)]
pub struct Figures {
    pub(super) metadata: MetadataStore,
    pub(super) workers: Arc<Workers>,
}

impl Figures {
    /// Brings them up to date.
    pub async fn refresh(&self) {
        self.workers.refresh();
        let asked = tokio::time::timeout(SCRAPE, self.metadata.queue_depth()).await;
        let connections = self.metadata.connections();
        METRICS
            .database_connections
            .set(["busy"], connections.busy as f64);
        METRICS
            .database_connections
            .set(["idle"], connections.idle as f64);
        METRICS
            .database_connections_max
            .set([], f64::from(connections.most));
        let Ok(Ok((counts, oldest))) = asked else {
            METRICS.database_up.set([], 0.0);
            return;
        };
        METRICS.database_up.set([], 1.0);
        for status in JobStatus::ALL
            .into_iter()
            .filter(|status| !status.is_final())
        {
            let jobs = counts.iter().find(|(known, _)| *known == status);
            let jobs = jobs.map_or(0, |(_, jobs)| *jobs);
            METRICS.jobs.set([status.name()], jobs as f64);
        }
        METRICS.queue_oldest.set([], oldest);
    }
}
