//! Stored protection of personal data holds for requests: it may be raised by them, and lowered by those who may write
//! contracts only.

use planner::spec::JobSpec;
use serde_json::{Value, json};

use super::extract::{Sender, off_the_workers};
use super::{App, Problem};
use crate::access::{Action, Caller};
use crate::lifecycle::Protection;
use crate::metadata::{AuditEntry, Contract};

/// Returns the spec of a document that was put together from the stored contract, the rules and the request, if it may
/// be run. What the contract protects and the request leaves out is put back; what the request lowers is refused, or,
/// of those who may write contracts, recorded.
pub(super) async fn check(
    app: &App,
    caller: &Caller,
    stored: Option<&Contract>,
    dataset: &str,
    mut document: Value,
) -> Result<JobSpec, Problem> {
    let protection = match stored {
        Some(stored) => Protection::of(&stored.contract).map_err(|error| {
            tracing::error!(%error, "a stored contract cannot be read");
            Problem::internal()
        })?,
        None => Protection::default(),
    };
    protection.keep_in(&mut document);
    let salt = document.pointer("/dataset/pii_salt").cloned();
    // What a small file unfolds to is bounded by what its tenant may keep.
    let policy = app.specs.within(caller.tenant.limits.storage_bytes);
    let tenant = caller.tenant.name.clone();
    let checking = move || {
        let spec = policy.check(document, &tenant);
        spec.map_err(|wrong| Problem::field(wrong.field, wrong.problem))
    };
    let spec = off_the_workers(app, &Sender::of(caller), checking).await?;
    let Some(lowered) = protection.lowered_by(&spec, salt.as_ref()) else {
        return Ok(spec);
    };
    if !caller.may(Action::WriteContracts) {
        let detail = format!(
            "{}; this lowers the protection that the dataset's contract demands, which needs the action {}",
            lowered.problem,
            Action::WriteContracts.name()
        );
        return Err(Problem {
            field: Some(lowered.field),
            ..Problem::forbidden(detail)
        });
    }
    let entry = AuditEntry {
        actor: caller.actor.clone(),
        action: "protection_lowered",
        subject: dataset.to_owned(),
        job_id: None,
        details: json!({
            "contract": stored.map(|stored| stored.version),
            "field": lowered.field,
            "problem": lowered.problem,
        }),
    };
    app.metadata.record(caller.tenant_id(), &entry).await?;
    Ok(spec)
}
