//! How far a job of a cluster is, as the scheduler tells.

use std::time::{Duration, Instant};

use ballista_api_types::dto::{QueryStagesResponse, TaskStatus};
use reqwest::Client;

use super::ClusterAddress;

/// Time between two questions, at least; an answer that took long is not asked for often.
const PERIOD: Duration = Duration::from_millis(500);
const SHARE: u32 = 20;

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the scheduler's REST API how many partitions of a job's first stage are done. That one reads
/// the source; what comes after is small beside it.
pub(super) struct StageWatch {
    client: Client,
    address: String,
    next: Instant,
}

impl StageWatch {
    /// A watch of one job.
    pub(super) fn new(client: &Client, cluster: &ClusterAddress, job: &str) -> Self {
        Self {
            client: client.clone(),
            address: format!("{}/api/job/{job}/stages", cluster.endpoint()),
            next: Instant::now() + PERIOD,
        }
    }

    /// Partitions that are done, when it is time to ask. A scheduler that does not tell is no reason
    /// to fail.
    pub(super) async fn partitions_done(&mut self) -> Option<usize> {
        let begun = Instant::now();
        if begun < self.next {
            return None;
        }
        let request = self.client.get(&self.address).timeout(PATIENCE).send();
        let answer = match request.await {
            Ok(answer) => answer.bytes().await.ok(),
            Err(_) => None,
        };
        self.next = Instant::now() + PERIOD.max(begun.elapsed() * SHARE);
        let answer: QueryStagesResponse = serde_json::from_slice(&answer?).ok()?;
        first_stage_done(answer)
    }
}

fn first_stage_done(answer: QueryStagesResponse) -> Option<usize> {
    let numbered = answer.stages.into_iter();
    let numbered = numbered.filter_map(|stage| Some((stage.stage_id.parse::<u32>().ok()?, stage)));
    let (_, first) = numbered.min_by_key(|(number, _)| *number)?;
    let tasks = first.tasks.iter().flatten();
    let done = tasks.filter(|task| matches!(task.status, TaskStatus::Successful));
    Some(done.map(|task| task.partition_id.len()).sum())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Only what is done of the first stage counts, whatever the order of the stages.
    #[test]
    fn the_first_stage_counts() {
        let task = |id: usize, status: &str, partitions: &str| {
            format!(
                r#"{{"id":{id},"status":{status},"partition_id":{partitions},"scheduled_time":0,"launch_time":0,"start_exec_time":0,"end_exec_time":0,"exec_duration":0,"finish_time":0,"input_rows":0,"output_rows":0}}"#
            )
        };
        let stage = |id: u32, tasks: &[String]| {
            let tasks = tasks.join(",");
            format!(
                r#"{{"stage_id":"{id}","stage_status":"Running","input_rows":0,"output_rows":0,"elapsed_compute":null,"tasks":[{tasks}]}}"#
            )
        };
        let later = stage(10, &[task(9, "\"Successful\"", "[7]")]);
        let first = stage(
            2,
            &[
                task(0, "\"Successful\"", "[0]"),
                task(1, "\"Running\"", "[1]"),
                task(2, r#"{"Failed":{"reason":"x","error":"y"}}"#, "[2]"),
                task(3, "\"Successful\"", "[3,4]"),
            ],
        );
        let answer = format!(r#"{{"stages":[{later},{first}]}}"#);
        let answer = serde_json::from_str(&answer).unwrap();
        assert_eq!(first_stage_done(answer), Some(3));
    }
}
