//! How far a job is, as the database and the API tell it.

use std::time::Duration;

use planner::run::{Phase, Progress};
use serde_json::{Value, json};

use crate::metadata::JobStatus;

/// Returns the state of a job that runs.
pub(super) fn status_of(progress: &Progress) -> JobStatus {
    match progress.now().0 {
        Some(Phase::Write | Phase::Publish) => JobStatus::Pass2Running,
        _ => JobStatus::Pass1Running,
    }
}

/// Returns how far a job is, as the API tells it.
pub(super) fn progress_document(progress: &Progress, elapsed: Duration) -> Value {
    let (learned, written) = progress.shares();
    let (_, rows, _) = progress.now();
    // Writing takes about as long as learning.
    let done = (learned + written) / 2.0;
    // Early on, one pass says little of the others.
    let left = (done > 0.15).then(|| elapsed.as_secs_f64() * (1.0 - done) / done);
    json!({
        "pass1_progress": rounded(learned),
        "pass2_progress": rounded(written),
        "estimated_seconds_remaining": left.map(f64::round),
        "rows_processed": rows,
    })
}

fn rounded(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}
