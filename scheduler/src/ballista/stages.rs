//! Where Ballista keeps its plans, told as metrics: how long their stages took.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::JobStatus;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::task_status;
use ballista_core::{JobId, JobStatusSubscriber};
use ballista_scheduler::cluster::{JobState, JobStateEventStream};
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use ballista_scheduler::state::execution_stage::{ExecutionStage, TaskInfo};
use datafusion::prelude::{SessionConfig, SessionContext};
use planner::telemetry::METRICS;

/// Tells of the stages of a plan when its end is written.
pub(super) struct WatchedJobs(pub(super) Arc<dyn JobState>);

/// Seconds from the first task that was sent out to the last one that came back, both by the scheduler's clock.
fn seconds(tasks: &[TaskInfo]) -> Option<f64> {
    let begun = tasks.iter().map(|task| task.launch_time).min()?;
    let ended = tasks.iter().map(|task| task.finish_time).max()?;
    let taken = ended.checked_sub(begun).filter(|_| begun > 0)?;
    Some(taken as f64 / 1000.0)
}

/// Returns the partitions of a job's first stage that are done. That one reads the source; what comes after is small
/// beside it.
pub(super) fn partitions_done(graph: &ExecutionGraphBox) -> u64 {
    let first = graph.stages().iter().min_by_key(|(number, _)| **number);
    let tasks = match first {
        Some((_, ExecutionStage::Running(stage))) => &stage.task_infos,
        Some((_, ExecutionStage::Successful(stage))) => &stage.task_infos,
        _ => return 0,
    };
    let done = tasks
        .iter()
        .filter(|task| matches!(task.task_status, task_status::Status::Successful(_)));
    done.map(|task| task.global_input_partition_ids.len() as u64)
        .sum()
}

fn has_ended(status: &JobStatus) -> bool {
    let status = status.status.as_ref();
    matches!(status, Some(Status::Successful(_) | Status::Failed(_)))
}

fn tell(graph: &ExecutionGraphBox) {
    for stage in graph.stages().values() {
        if let ExecutionStage::Successful(stage) = stage
            && let Some(seconds) = seconds(&stage.task_infos)
        {
            METRICS.cluster_stage_seconds.observe([], seconds);
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl JobState for WatchedJobs {
    fn accept_job(&self, job_id: &JobId, job_name: &str, queued_at: u64) -> Result<()> {
        self.0.accept_job(job_id, job_name, queued_at)
    }

    fn pending_job_number(&self) -> usize {
        self.0.pending_job_number()
    }

    async fn submit_job(
        &self,
        job_id: JobId,
        graph: &ExecutionGraphBox,
        subscriber: Option<JobStatusSubscriber>,
    ) -> Result<()> {
        self.0.submit_job(job_id, graph, subscriber).await
    }

    async fn get_jobs(&self) -> Result<HashSet<JobId>> {
        self.0.get_jobs().await
    }

    async fn get_all_jobs(&self) -> Result<HashSet<JobId>> {
        self.0.get_all_jobs().await
    }

    async fn get_job_status(&self, job_id: &JobId) -> Result<Option<JobStatus>> {
        self.0.get_job_status(job_id).await
    }

    async fn get_execution_graph(&self, job_id: &JobId) -> Result<Option<ExecutionGraphBox>> {
        self.0.get_execution_graph(job_id).await
    }

    async fn save_job(&self, job_id: &JobId, graph: &ExecutionGraphBox) -> Result<()> {
        let known = self.0.get_job_status(job_id).await?;
        // An end may be written twice.
        if has_ended(graph.status()) && !known.is_some_and(|known| has_ended(&known)) {
            tell(graph);
        }
        self.0.save_job(job_id, graph).await
    }

    async fn fail_unscheduled_job(&self, job_id: &JobId, reason: String) -> Result<()> {
        self.0.fail_unscheduled_job(job_id, reason).await
    }

    async fn remove_job(&self, job_id: &JobId) -> Result<()> {
        self.0.remove_job(job_id).await
    }

    async fn try_acquire_job(&self, job_id: &JobId) -> Result<Option<ExecutionGraphBox>> {
        self.0.try_acquire_job(job_id).await
    }

    async fn job_state_events(&self) -> Result<JobStateEventStream> {
        self.0.job_state_events().await
    }

    async fn create_or_update_session(
        &self,
        session_id: &str,
        config: &SessionConfig,
    ) -> Result<Arc<SessionContext>> {
        self.0.create_or_update_session(session_id, config).await
    }

    async fn remove_session(&self, session_id: &str) -> Result<()> {
        self.0.remove_session(session_id).await
    }

    fn produce_config(&self) -> SessionConfig {
        self.0.produce_config()
    }
}
