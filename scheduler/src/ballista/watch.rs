//! What Ballista's scheduler tells of the plans that it runs, as metrics.

use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_scheduler::metrics::SchedulerMetricsCollector;
use planner::telemetry::METRICS;

/// Counts plans and their time. Ballista's own figures have other names and units.
#[derive(Debug)]
pub(super) struct ClusterWatch;

/// Counts the end of a plan; times are in milliseconds.
fn ended(outcome: &'static str, queued_at: u64, ended_at: u64) {
    METRICS.cluster_jobs.count([outcome]);
    let seconds = ended_at.saturating_sub(queued_at) as f64 / 1000.0;
    METRICS.cluster_job_seconds.observe([], seconds);
}

impl SchedulerMetricsCollector for ClusterWatch {
    fn record_submitted(&self, _job_id: &JobId, _queued_at: u64, _submitted_at: u64) {}

    fn record_completed(&self, _job_id: &JobId, queued_at: u64, completed_at: u64) {
        ended("completed", queued_at, completed_at);
    }

    fn record_failed(&self, _job_id: &JobId, queued_at: u64, failed_at: u64) {
        ended("failed", queued_at, failed_at);
    }

    fn record_cancelled(&self, _job_id: &JobId) {
        METRICS.cluster_jobs.count(["cancelled"]);
    }

    fn set_pending_tasks_queue_size(&self, value: u64) {
        METRICS.tasks_pending.set([], value as f64);
    }

    fn gather_metrics(&self) -> Result<Option<(Vec<u8>, String)>> {
        // Ballista's port is for members only; people scrape another one.
        Ok(None)
    }
}
