//! The audit log, over the API.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::extract::Params;
use super::problem::Problems;
use super::{App, Problem, page};
use crate::access::Caller;
use crate::metadata::{AuditEntry, AuditFilter, AuditHead};

/// Which records are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditParams {
    /// What was done, such as `job_submitted`.
    action: Option<String>,
    /// Who did it.
    actor: Option<String>,
    /// What it was done to.
    subject: Option<String>,
    /// The job.
    job_id: Option<Uuid>,
    /// Not before (RFC 3339).
    from: Option<DateTime<Utc>>,
    /// Before (RFC 3339).
    to: Option<DateTime<Utc>>,
    /// How many at most, 1 to 1000; 100 when left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A record of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordView {
    /// Number of the record, from 1.
    seq: i64,
    /// When it was done.
    at: DateTime<Utc>,
    /// Who did it.
    actor: String,
    /// What was done.
    action: String,
    /// What it was done to.
    subject: String,
    /// The job that it belongs to.
    job_id: Option<Uuid>,
    /// What else is worth knowing.
    #[schema(value_type = Object)]
    details: Value,
    /// Hash of the record before it.
    previous: String,
    /// Hash of this record.
    hash: String,
}

/// Records of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Records {
    /// The records, newest first.
    records: Vec<RecordView>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// The audit log of the tenant, newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditParams),
    responses((status = 200, body = Records), Problems))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(params): Params<AuditParams>,
) -> Result<Json<Records>, Problem> {
    let limit = page::limit(params.limit)?;
    let filter = AuditFilter {
        action: params.action,
        actor: params.actor,
        subject: params.subject,
        job_id: params.job_id,
        from: params.from,
        to: params.to,
        before: page::place(params.cursor.as_deref())?,
    };
    let found = app
        .metadata
        .audit(caller.tenant_id(), &filter, limit + 1)
        .await?;
    let (found, next_cursor) = page::cut(found, limit, |record| record.seq);
    let records = found.into_iter().map(|record| RecordView {
        seq: record.seq,
        at: record.at,
        actor: record.actor,
        action: record.action,
        subject: record.subject,
        job_id: record.job_id,
        details: record.details,
        previous: record.previous,
        hash: record.hash,
    });
    Ok(Json(Records {
        records: records.collect(),
        next_cursor,
    }))
}

/// What is known of the end of the chain.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct VerifyParams {
    /// Number of a record that was seen earlier, such as the end that an earlier call told.
    #[param(minimum = 1)]
    seq: Option<i64>,
    /// Its hash.
    hash: Option<String>,
}

/// Whether the audit log is as it was written.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verified {
    /// Whether nothing is wrong.
    ok: bool,
    /// Number of the last record.
    seq: i64,
    /// Its hash: whoever keeps it can tell later whether anything before it was changed or removed.
    hash: String,
    /// Signed checkpoints that the log was checked against.
    checkpoints: u64,
    /// The last record that a checkpoint vouches for.
    signed_up_to: i64,
    /// The first record that is wrong.
    broken_at: Option<i64>,
    /// What is wrong with it.
    problem: Option<String>,
}

/// Recomputes every hash of the audit log, and looks for every record that a signed checkpoint vouches for, or that was
/// seen earlier.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", params(VerifyParams),
    responses((status = 200, body = Verified), Problems))]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(params): Params<VerifyParams>,
) -> Result<Json<Verified>, Problem> {
    let seen = match (params.seq, params.hash) {
        (Some(seq), Some(hash)) if seq > 0 => Some(AuditHead { seq, hash }),
        (None, None) => None,
        _ => return Err(Problem::field("seq", "seq and hash belong together")),
    };
    let found = app.trail.verify(caller.tenant_id(), seen.as_ref()).await?;
    let problem = found.problem;
    Ok(Json(Verified {
        ok: problem.is_none(),
        seq: found.head.seq,
        hash: found.head.hash,
        checkpoints: found.checkpoints as u64,
        signed_up_to: found.signed_up_to,
        broken_at: problem.as_ref().map(|problem| problem.seq),
        problem: problem.map(|problem| problem.problem),
    }))
}

/// Records that are read at a time for an export.
const EXPORTED: i64 = 1_000;

/// The whole audit log as JSON lines, oldest first: `{"hash": …, "record": …}`, where the hash is the SHA-256 of the
/// record as canonical JSON (RFC 8785). `sanitizer audit verify` checks it without the service.
#[utoipa::path(get, path = "/audit/export", tag = "audit",
    responses((status = 200, description = "The records, one a line",
        content((String = "application/x-ndjson"), (Vec<u8> = "application/octet-stream"))), Problems))]
pub(crate) async fn export(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Problem> {
    if caller.datasets.is_some() {
        let detail = "a key for some datasets exports no audit log: it is that of all datasets";
        return Err(Problem::forbidden(detail));
    }
    let tenant = caller.tenant_id();
    let entry = AuditEntry {
        actor: caller.actor.clone(),
        action: "audit_exported",
        subject: "audit log".to_owned(),
        job_id: None,
        details: Value::Null,
    };
    app.metadata.record(tenant, &entry).await?;
    let last = app.metadata.audit_head(tenant).await?.seq;
    let metadata = app.metadata.clone();
    let pages = futures::stream::try_unfold(0, move |after| {
        let metadata = metadata.clone();
        async move {
            let lines = metadata.audit_lines(tenant, after, last, EXPORTED).await;
            let lines = lines.map_err(std::io::Error::other)?;
            let Some(end) = lines.last().map(|line| line.seq) else {
                return Ok(None);
            };
            let text = lines.iter().fold(String::new(), |mut text, line| {
                // The record is JSON already, as it was hashed; the hash is hexadecimal digits.
                text.push_str(&format!(
                    "{{\"hash\":\"{}\",\"record\":{}}}\n",
                    line.hash, line.record
                ));
                text
            });
            std::io::Result::Ok(Some((text, end)))
        }
    });
    let kind = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    )];
    Ok((kind, Body::from_stream(pages)).into_response())
}
