//! What waits in the queue, for whoever submits and for whoever watches.

use super::MetadataStore;
use super::database::Scope;
use super::error::Result;
use super::job_status::JobStatus;

impl MetadataStore {
    /// How many jobs of all tenants are in each state that does not last, and how old the oldest waiting one is, in
    /// seconds. Queued are those that could begin: not those of suspended tenants, nor those that wait for their next
    /// try.
    pub async fn queue_depth(&self) -> Result<(Vec<(JobStatus, i64)>, f64)> {
        let mut transaction = self.read(Scope::Service).await?;
        let rows = transaction
            .fetch(
                "SELECT j.status, count(*) AS jobs FROM jobs j JOIN tenants t ON t.id = j.tenant_id
                 WHERE j.status IN ('pending', 'pass1_running', 'pass2_running')
                    OR (j.status = 'queued' AND j.not_before <= {now} AND NOT t.suspended AND t.max_running > 0)
                 GROUP BY j.status",
                Vec::new(),
            )
            .await?;
        let oldest = transaction
            .one(
                "SELECT coalesce(max({age j.created_at}), 0.0) AS age FROM jobs j JOIN tenants t ON t.id = j.tenant_id
                 WHERE j.status = 'queued' AND j.not_before <= {now} AND NOT t.suspended AND t.max_running > 0",
                Vec::new(),
            )
            .await?;
        transaction.commit().await?;
        let counted = rows
            .iter()
            .map(|row| Ok((row.text("status")?.parse()?, row.int("jobs")?)));
        Ok((counted.collect::<Result<_>>()?, oldest.float("age")?))
    }

    /// What waits before a new job: how many jobs, and their bytes. And bytes a second of the jobs that
    /// were published last, where there are any; small ones say nothing of that.
    pub async fn outlook(&self) -> Result<(i64, i64, Option<f64>)> {
        let mut transaction = self.read(Scope::Service).await?;
        let waiting = transaction
            .one(
                "SELECT count(*) AS jobs, CAST(coalesce(sum(source_bytes), 0) AS BIGINT) AS bytes FROM jobs
                 WHERE status IN ('queued', 'pass1_running', 'pass2_running')",
                Vec::new(),
            )
            .await?;
        let finished = transaction
            .fetch(
                "SELECT source_bytes, started_at, finished_at FROM jobs
                 WHERE status = 'success' AND source_bytes >= 1000000 ORDER BY updated_at DESC LIMIT 20",
                Vec::new(),
            )
            .await?;
        transaction.commit().await?;
        let (mut bytes, mut seconds) = (0.0, 0.0);
        for row in finished {
            if let (Some(started), Some(finished)) =
                (row.opt_time("started_at")?, row.opt_time("finished_at")?)
            {
                bytes += row.int("source_bytes")? as f64;
                seconds += (finished - started).as_seconds_f64().max(0.0);
            }
        }
        let speed = (seconds > 0.0).then(|| bytes / seconds);
        Ok((waiting.int("jobs")?, waiting.int("bytes")?, speed))
    }
}
