//! What is told of attempts and their jobs: spans and metrics.

use std::sync::Arc;
use std::time::Instant;

use planner::run::Progress;
use planner::telemetry::{Counter, Held, METRICS, continue_trace, trace_id};
use serde_json::Value;
use tracing::{Span, field, info_span};

use crate::metadata::{Claim, Job, JobStatus, Publication};

/// The span of an attempt, in the trace of the request that submitted the job.
pub(super) fn attempt_span(claim: &Claim) -> Span {
    let job = &claim.job;
    let span = info_span!(
        "attempt",
        job_id = %job.id,
        tenant_id = %job.tenant_id,
        attempt = claim.fence.attempt,
        otel.kind = "consumer",
        trace_id = field::Empty,
    );
    if let Some(parent) = &job.traceparent {
        continue_trace(&span, parent);
    }
    if let Some(trace) = trace_id(&span) {
        span.record("trace_id", trace);
    }
    span
}

/// Measures an attempt, from its claim to its end.
pub(super) struct AttemptWatch<'a> {
    tenant: &'a str,
    progress: Arc<Progress>,
    begun: Instant,
    /// Seconds since the first attempt, when this one began.
    earlier: f64,
    _running: Held,
}

impl<'a> AttemptWatch<'a> {
    pub(super) fn begin(job: &Job, tenant: &'a str, progress: Arc<Progress>) -> Self {
        // Both are of the database's clock.
        let since = |from: chrono::DateTime<chrono::Utc>, to: chrono::DateTime<chrono::Utc>| {
            (to - from).as_seconds_f64().max(0.0)
        };
        let started = job.started_at.unwrap_or(job.updated_at);
        if job.attempt == 1 {
            let waited = since(job.created_at, started);
            METRICS.job_wait.observe([], waited);
        }
        let tenant = METRICS.tenant(tenant);
        // Whoever watches sees the first change of what is there before.
        for outcome in ["success", "failed", "cancelled"] {
            METRICS.jobs_finished.add([tenant, outcome], 0.0);
        }
        for metric in of_tenants() {
            metric.add([tenant], 0.0);
        }
        for kind in ["exact", "near"] {
            METRICS.duplicates_flagged.add([tenant, kind], 0.0);
        }
        for decision in ["approve", "reject", "edit"] {
            METRICS.review_decisions.add([tenant, decision], 0.0);
        }
        for step in job.spec["steps"].as_array().into_iter().flatten() {
            let kind = step["type"].as_str().unwrap_or_default();
            METRICS.rows_removed.add([tenant, kind], 0.0);
            METRICS.cells_modified.add([tenant, kind], 0.0);
        }
        Self {
            tenant,
            progress,
            begun: Instant::now(),
            earlier: since(started, job.updated_at),
            _running: METRICS.jobs_running.hold(),
        }
    }

    /// The attempt ends, with one of success, failed and cancelled.
    pub(super) fn ends(&self, status: &'static str) {
        let seconds = self.begun.elapsed().as_secs_f64();
        METRICS.worker_busy.add([], seconds);
        let writing = self.progress.writing_since();
        let written = writing.map_or(0.0, |since| since.elapsed().as_secs_f64());
        let learned = (seconds - written).max(0.0);
        METRICS.worker_seconds.observe(["pass1", status], learned);
        if writing.is_some() {
            METRICS.worker_seconds.observe(["pass2", status], written);
        }
    }

    /// The job is published.
    pub(super) fn published(&self, publication: &Publication) {
        self.ends("success");
        METRICS.job_attempts.count(["published"]);
        job_ended(self.tenant, JobStatus::Success, None);
        let seconds = self.earlier + self.begun.elapsed().as_secs_f64();
        METRICS.job_duration.observe([], seconds);
        let tenant = self.tenant;
        let figure = |name: &str| publication.metrics[name].as_f64().unwrap_or(0.0);
        let sources = publication.sources.as_array().into_iter().flatten();
        let read = sources.filter_map(|source| source["bytes"].as_f64()).sum();
        let amounts = [
            publication.rows_in as f64,
            publication.rows as f64,
            figure("rows_quarantined"),
            figure("imputations_applied"),
            figure("low_confidence_fixes"),
            read,
            publication.bytes as f64,
        ];
        for (metric, amount) in of_tenants().into_iter().zip(amounts) {
            metric.add([tenant], amount);
        }
        let near = figure("near_duplicates_found");
        let exact = figure("duplicates_found") - near;
        METRICS.duplicates_flagged.add([tenant, "exact"], exact);
        METRICS.duplicates_flagged.add([tenant, "near"], near);
        for step in publication.transformations.as_array().into_iter().flatten() {
            let kind = step["type"].as_str().unwrap_or_default();
            let of = |name: &str| step[name].as_f64().unwrap_or(0.0);
            METRICS.rows_removed.add([tenant, kind], of("rows_removed"));
            METRICS
                .cells_modified
                .add([tenant, kind], of("cells_modified"));
        }
    }
}

/// What is counted of each published job, by tenant alone.
fn of_tenants() -> [&'static Counter<1>; 7] {
    [
        &METRICS.rows_processed,
        &METRICS.rows_cleaned,
        &METRICS.rows_quarantined,
        &METRICS.imputations_applied,
        &METRICS.low_confidence_fixes,
        &METRICS.source_bytes,
        &METRICS.output_bytes,
    ]
}

/// Counts a job that has come to its end, if this is one.
pub(crate) fn job_ended(tenant: &str, status: JobStatus, error: Option<&Value>) {
    if !status.is_final() {
        return;
    }
    let outcome = match status {
        JobStatus::Success => "success",
        JobStatus::Cancelled => "cancelled",
        _ => "failed",
    };
    METRICS
        .jobs_finished
        .count([METRICS.tenant(tenant), outcome]);
    if outcome == "failed" {
        let kind = error.and_then(|error| error["kind"].as_str());
        METRICS.job_failures.count([kind.unwrap_or("bug")]);
    }
}
