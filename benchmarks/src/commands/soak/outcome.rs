//! What became of the jobs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Tenant;
use super::chaos::Faults;
use super::client::Client;
use super::process::Services;
use crate::figure_table::figure_table;

/// Time without any progress after which nobody waits any longer.
const PATIENCE: Duration = Duration::from_secs(300);

/// A job that was accepted.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) tenant: usize,
    pub(super) job: String,
    pub(super) must_fail: bool,
    /// Somebody asked for it to be cancelled, perhaps too late.
    pub(super) cancelled: bool,
}

/// The end of each job, and what the services say of them all.
pub(super) struct Outcome {
    jobs: BTreeMap<String, Value>,
    /// Versions that were published, by job.
    published: BTreeMap<String, usize>,
    chains_hold: bool,
    tenants: usize,
}

impl Outcome {
    /// Waits until every job has ended.
    pub(super) async fn wait(
        services: &Arc<Services>,
        tenants: &[Tenant],
        sent: &[Sent],
    ) -> Result<Self> {
        let mut jobs: BTreeMap<String, Value> = BTreeMap::new();
        let mut published = BTreeMap::new();
        let mut chains_hold = true;
        let mut moved = Instant::now();
        for (number, tenant) in tenants.iter().enumerate() {
            let client = Client::new(Arc::clone(services), tenant.key.clone());
            for one in sent.iter().filter(|one| one.tenant == number) {
                loop {
                    let job = client.get(&format!("/jobs/{}", one.job)).await?;
                    if matches!(
                        job["status"].as_str(),
                        Some("success" | "failed" | "cancelled")
                    ) {
                        jobs.insert(one.job.clone(), job);
                        moved = Instant::now();
                        break;
                    }
                    ensure!(
                        moved.elapsed() < PATIENCE,
                        "job {} does not end: {job}",
                        one.job
                    );
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            let mut cursor = String::new();
            loop {
                let path = format!(
                    "/datasets/{}/customers/versions?limit=1000{cursor}",
                    tenant.name
                );
                let page = client.get(&path).await?;
                for version in page["versions"].as_array().into_iter().flatten() {
                    let job = version["job_id"]
                        .as_str()
                        .context("a version without a job")?;
                    *published.entry(job.to_owned()).or_default() += 1;
                }
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            let verified = client.get("/audit/verify").await?;
            chains_hold &= verified["ok"] == true;
        }
        Ok(Self {
            jobs,
            published,
            chains_hold,
            tenants: tenants.len(),
        })
    }

    fn status(&self, one: &Sent) -> &str {
        let job = self.jobs.get(&one.job);
        job.and_then(|job| job["status"].as_str())
            .unwrap_or_default()
    }

    fn seconds(&self, one: &Sent, from: &str, to: &str) -> Option<f64> {
        let job = self.jobs.get(&one.job)?;
        let at = |name: &str| job[name].as_str().and_then(seconds_of);
        Some(at(to)? - at(from)?)
    }

    /// Jobs that should have succeeded, and those that did.
    fn succeeded(&self, sent: &[Sent]) -> (usize, usize) {
        let due = sent
            .iter()
            .filter(|one| !one.must_fail && (!one.cancelled || self.status(one) == "success"));
        let due: Vec<&Sent> = due.collect();
        let done = due.iter().filter(|one| self.status(one) == "success");
        (due.len(), done.count())
    }

    pub(super) fn print(&self, sent: &[Sent], faults: &Faults, seconds: f64, peak: u64) {
        let (due, done) = self.succeeded(sent);
        let faults: Vec<String> = faults
            .iter()
            .map(|(fault, count)| format!("{count} {fault}"))
            .collect();
        println!("faults: {}", faults.join(", "));
        println!(
            "{done} of {due} jobs succeeded ({:.2} %); {} of {} that must fail failed; {} cancelled; {:.0} s, {:.1} jobs a second",
            100.0 * done as f64 / due.max(1) as f64,
            sent.iter()
                .filter(|one| one.must_fail && self.status(one) == "failed")
                .count(),
            sent.iter()
                .filter(|one| one.must_fail && self.status(one) != "cancelled")
                .count(),
            sent.iter()
                .filter(|one| self.status(one) == "cancelled")
                .count(),
            seconds,
            sent.len() as f64 / seconds,
        );
        let mut waits: Vec<f64> = sent
            .iter()
            .filter_map(|one| self.seconds(one, "created_at", "started_at"))
            .collect();
        let attempts = self.jobs.values().filter_map(|job| job["attempt"].as_i64());
        println!(
            "in the queue: p50 {:.2} s, p95 {:.2} s, p99 {:.2} s; attempts at most {}",
            quantile(&mut waits, 0.5),
            quantile(&mut waits, 0.95),
            quantile(&mut waits, 0.99),
            attempts.max().unwrap_or(0),
        );
        let means: Vec<f64> = (0..self.tenants)
            .map(|tenant| self.mean_wait(sent, tenant))
            .collect();
        println!(
            "fairness of the mean wait of the tenants (Jain's index; 1 is fair): {:.3}",
            jain(&means)
        );
        println!("memory of a service, at most: {} MB", peak / 1_000_000);
        println!(
            "audit chains: {}",
            if self.chains_hold { "whole" } else { "BROKEN" }
        );
        let mut table = figure_table(&["tenant", "jobs", "succeeded", "mean wait s"]);
        for (tenant, mean) in means.iter().enumerate() {
            let of = sent.iter().filter(|one| one.tenant == tenant);
            let done = of.clone().filter(|one| self.status(one) == "success");
            table.add_row([
                format!("tenant-{tenant}"),
                of.count().to_string(),
                done.count().to_string(),
                format!("{mean:.2}"),
            ]);
        }
        println!("{table}");
    }

    fn mean_wait(&self, sent: &[Sent], tenant: usize) -> f64 {
        let waits = sent
            .iter()
            .filter(|one| one.tenant == tenant)
            .filter_map(|one| self.seconds(one, "created_at", "started_at"));
        let waits: Vec<f64> = waits.collect();
        waits.iter().sum::<f64>() / waits.len().max(1) as f64
    }

    /// Fails unless everything that must hold does.
    pub(super) fn judge(&self, sent: &[Sent]) -> Result<()> {
        let (due, done) = self.succeeded(sent);
        let mut wrong = Vec::new();
        if (done as f64) < 0.999 * due as f64 {
            wrong.push(format!("only {done} of {due} jobs succeeded"));
        }
        for one in sent {
            let status = self.status(one);
            let versions = self.published.get(&one.job).copied().unwrap_or(0);
            let expected = usize::from(status == "success");
            if versions != expected {
                wrong.push(format!(
                    "job {} ({status}) was published {versions} times",
                    one.job
                ));
            }
            if one.must_fail && status == "success" {
                wrong.push(format!("job {} succeeded and must fail", one.job));
            }
            if status == "failed" && !one.must_fail {
                wrong.push(format!(
                    "job {} failed: {}",
                    one.job, self.jobs[&one.job]["error"]
                ));
            }
        }
        if !self.chains_hold {
            wrong.push("an audit chain is broken".to_owned());
        }
        if wrong.is_empty() {
            return Ok(());
        }
        bail!("{}", wrong.join("; "))
    }
}

/// Seconds since 1970 of a time as the API writes it.
fn seconds_of(text: &str) -> Option<f64> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_micros() as f64 / 1e6)
}

/// The value that so large a share of the values does not exceed.
pub(super) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    // A share of a length.
    let at = (share * last as f64).round() as usize;
    values.get(at).copied().unwrap_or(0.0)
}

/// Jain's index of fairness (1984): 1 when all are equal, 1/n when one has everything.
fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    if squares == 0.0 {
        return 1.0;
    }
    sum * sum / (values.len() as f64 * squares)
}
