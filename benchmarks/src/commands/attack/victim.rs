//! The tenant that has nothing to do with the attack.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Service, Tenant};

/// Time between two calls.
const CALL_EVERY: Duration = Duration::from_millis(20);

/// Time for a call.
const CALL_TIME: Duration = Duration::from_secs(10);

/// Time for a job.
const JOB_TIME: Duration = Duration::from_secs(120);

/// A tenant that submits jobs and asks for their state.
pub(super) struct Victim {
    client: reqwest::Client,
    url: String,
    tenant: Tenant,
}

/// What the tenant saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    seconds: Vec<f64>,
    jobs: Vec<f64>,
    pub(super) failed: usize,
    pub(super) succeeded: usize,
    pub(super) lost: usize,
}

impl Seen {
    pub(super) fn calls(&self) -> usize {
        self.seconds.len()
    }

    /// Milliseconds that this share of the calls took at most.
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        let last = seconds.len().saturating_sub(1);
        // A share of a length.
        let at = (share * last as f64).round() as usize;
        seconds.get(at).copied().unwrap_or(f64::INFINITY) * 1e3
    }

    /// Mean seconds from a job's submission to its end.
    pub(super) fn job_seconds(&self) -> f64 {
        self.jobs.iter().sum::<f64>() / self.jobs.len().max(1) as f64
    }
}

impl Victim {
    pub(super) fn new(service: &Service, tenant: Tenant) -> Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().timeout(CALL_TIME).build()?,
            url: format!("{}/api/v1", service.url),
            tenant,
        })
    }

    /// Submits one job after the other and asks for their state meanwhile, for so long.
    pub(super) async fn watch(&self, time: Duration) -> Result<Seen> {
        let end = Instant::now() + time;
        let mut seen = Seen::default();
        let calls = self.ask(end);
        let jobs = self.work(end);
        let (asked, worked) = tokio::join!(calls, jobs);
        (seen.seconds, seen.failed) = asked;
        for outcome in worked {
            match outcome {
                Ok(seconds) => {
                    seen.succeeded += 1;
                    seen.jobs.push(seconds);
                }
                Err(error) => {
                    println!("a job failed: {error:#}");
                    seen.lost += 1;
                }
            }
        }
        Ok(seen)
    }

    /// Asks for the list of jobs until the end; gives seconds of each answer, and how many calls failed.
    async fn ask(&self, end: Instant) -> (Vec<f64>, usize) {
        let (mut seconds, mut failed) = (Vec::new(), 0);
        while Instant::now() < end {
            let begun = Instant::now();
            match self.get("/jobs?limit=1").await {
                Ok(_) => {}
                Err(_) => failed += 1,
            }
            seconds.push(begun.elapsed().as_secs_f64());
            tokio::time::sleep(CALL_EVERY).await;
        }
        (seconds, failed)
    }

    async fn work(&self, end: Instant) -> Vec<Result<f64>> {
        let mut outcomes = Vec::new();
        while Instant::now() < end {
            outcomes.push(self.job(outcomes.len()).await);
        }
        outcomes
    }

    /// Runs a job; gives seconds from its submission to its end.
    async fn job(&self, number: usize) -> Result<f64> {
        let mut table = "id,name,amount\n".to_owned();
        for row in 0..500 {
            table += &format!("{row}, Name {} ,{}.50\n", row % 90, number + row);
        }
        let begun = Instant::now();
        let file = reqwest::multipart::Part::text(table).file_name("table.csv");
        let form = reqwest::multipart::Form::new().part("file", file);
        let url = format!("{}/datasets/{}/ingest", self.url, self.tenant.name);
        let request = self.client.post(url).bearer_auth(&self.tenant.key);
        let accepted = request.multipart(form).send().await?.error_for_status()?;
        let accepted: Value = accepted.json().await?;
        let job = accepted["job_id"].as_str().context("no job came")?;
        loop {
            let state = self.get(&format!("/jobs/{job}")).await?;
            match state["status"].as_str() {
                Some("success") => return Ok(begun.elapsed().as_secs_f64()),
                Some("failed" | "cancelled") => anyhow::bail!("{}", state["error"]),
                _ if begun.elapsed() > JOB_TIME => anyhow::bail!("it does not end: {state}"),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = self.client.get(format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.tenant.key).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}
