//! A job that somebody waits for.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::ApiClient;

/// Time between two questions.
const LOOK: Duration = Duration::from_millis(300);

/// Waits until a job has ended, with a bar on a terminal; gives the job.
pub(crate) async fn follow(client: &ApiClient, id: &str) -> anyhow::Result<Value> {
    let bar = ProgressBar::new(1000);
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {msg:<12} {wide_bar} {percent}% {prefix}")
    {
        bar.set_style(style);
    }
    loop {
        let job = client.get(&format!("/jobs/{id}")).await?;
        let status = job["status"].as_str().unwrap_or_default();
        if matches!(status, "success" | "failed" | "cancelled") {
            bar.finish_and_clear();
            return Ok(job);
        }
        let progress = &job["progress"];
        let share = |name: &str| progress[name].as_f64().unwrap_or(0.0);
        let done = (share("pass1_progress") + share("pass2_progress")) / 2.0;
        // A share of 1000, as the bar counts.
        bar.set_position((done * 1000.0) as u64);
        bar.set_message(match status {
            "pass1_running" => "learning",
            "pass2_running" => "writing",
            _ => "waiting",
        });
        bar.set_prefix(match progress["estimated_seconds_remaining"].as_f64() {
            Some(seconds) => format!("{seconds:.0} s left"),
            None => String::new(),
        });
        tokio::time::sleep(LOOK).await;
    }
}

/// The end of a job as an error, unless it is a good one.
pub(crate) fn ended_well(job: &Value) -> anyhow::Result<()> {
    match job["status"].as_str() {
        Some("success") => Ok(()),
        Some("failed") => {
            let message = job["error"]["message"].as_str();
            anyhow::bail!(
                "the job failed: {}",
                message.unwrap_or("for no known reason")
            )
        }
        Some(status) => anyhow::bail!("the job is {status}"),
        None => anyhow::bail!("the service does not say what became of the job"),
    }
}
