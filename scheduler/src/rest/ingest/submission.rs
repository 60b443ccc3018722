//! From an order to a job in the queue: what it rests on is laid beneath it, and what it names is checked.

use planner::spec::JobSpec;
use planner::steps::REFERENCE_OPTION;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::{App, Problem, protection};
use super::order::Order;
use super::{Accepted, IngestParams};
use crate::access::Caller;
use crate::lifecycle::{StoredReference, earlier_outputs, find_version, overlay, uploads_of};
use crate::metadata::{Idempotency, Job, NewJob, Submission};

/// Submits an order. Gives also whether an earlier request has made the job.
pub(super) async fn submit(
    app: &App,
    caller: &Caller,
    order: Order,
    key: Option<String>,
    params: &IngestParams,
) -> Result<(Accepted, bool), Problem> {
    caller.needs_dataset(&order.dataset)?;
    let tenant = caller.tenant_id();
    let idempotency = key.map(|key| Idempotency {
        key,
        digests: order.digests,
    });
    // What a repeated request rests on may have changed; its job is there.
    if let Some(request) = &idempotency
        && let Some(job) = app.metadata.repeated(tenant, request).await?
    {
        return Ok((accepted(app, &job).await?, true));
    }
    if caller.datasets.is_some() && !order.rules.is_empty() {
        let detail = "rules belong to the whole tenant, and the key is limited to some datasets";
        return Err(Problem::forbidden(detail));
    }
    let mut document = Value::Object(Map::new());
    let mut stored = None;
    let known = app.metadata.dataset(tenant, &order.dataset).await?;
    // From the general to the special: the dataset's contract, the rules, the request.
    if let Some(dataset) = &known
        && let Some(contract) = app.metadata.contract(tenant, dataset.id, None).await?
    {
        overlay(&mut document, &json!({"dataset": contract.contract}));
        stored = Some(contract);
    }
    for name in &order.rules {
        let rule = app.metadata.rule(tenant, name).await?;
        let rule =
            rule.ok_or_else(|| Problem::field("rules", format!("there is no rule {name:?}")))?;
        overlay(&mut document, &rule.rule);
    }
    overlay(&mut document, &order.spec);
    let mut spec =
        protection::check(app, caller, stored.as_ref(), &order.dataset, document).await?;
    let uploads = uploads_of(&spec);
    for id in &uploads {
        let upload = app.metadata.upload(tenant, *id).await?;
        if !upload.is_some_and(|upload| caller.may_reach_upload_of(&upload.created_by)) {
            let problem = format!("there is no upload {id}");
            return Err(Problem::field("source.location", problem));
        }
    }
    pin_versions(app, caller, &mut spec).await?;
    let spec = serde_json::to_value(&spec).map_err(|_| Problem::internal())?;
    let submission = Submission {
        job: NewJob {
            id: Uuid::now_v7(),
            dataset: order.dataset,
            spec,
            source_bytes: None,
            uploads,
            priority: params.priority.unwrap_or(0),
            deadline_seconds: params.deadline_seconds.map(f64::from),
            max_attempts: app.options.max_attempts,
        },
        idempotency,
        actor: caller.actor.clone(),
    };
    let submitted = app.metadata.submit(tenant, &submission).await?;
    app.wake.notify_one();
    let answer = accepted(app, &submitted.job).await?;
    Ok((answer, submitted.repeated))
}

/// Returns what is said of a job that was taken into the queue.
async fn accepted(app: &App, job: &Job) -> Result<Accepted, Problem> {
    let (waiting, waiting_bytes, speed) = app.metadata.outlook().await?;
    let bytes = job.source_bytes.unwrap_or(0) as f64;
    // Bytes a second of a machine that nobody has measured yet.
    let speed = speed.unwrap_or(20e6).max(1.0);
    let workers = app.options.workers.max(1) as f64;
    let seconds =
        0.5 + bytes / speed + (waiting_bytes as f64 / speed + waiting as f64 * 0.2) / workers;
    Ok(Accepted {
        job_id: job.id,
        dataset_id: job.dataset_id,
        status: job.status,
        // A float becomes the nearest whole number there is.
        estimated_completion_ms: (seconds * 1000.0) as u64,
    })
}

/// Writes the number of the version into names of versions that leave it out, so that a job means the same
/// whenever it runs.
async fn pin_versions(app: &App, caller: &Caller, spec: &mut JobSpec) -> Result<(), Problem> {
    for (number, against) in earlier_outputs(spec) {
        let Some((name, version)) = StoredReference::dataset(against) else {
            continue;
        };
        caller.needs_dataset(name)?;
        let found = find_version(&app.metadata, caller.tenant_id(), (name, version)).await?;
        let (_, version) = found.ok_or_else(|| {
            let field = format!("steps[{number}].{REFERENCE_OPTION}");
            Problem::field(field, "there is no such version")
        })?;
        let version = Some(version);
        *against = StoredReference::Dataset { name, version }.to_string();
    }
    Ok(())
}
