//! Tokens, turned back for those who may.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::extract::Document;
use super::problem::Problems;
use super::{App, Problem};
use crate::access::{Action, Caller};
use crate::metadata::AuditEntry;
use crate::vault::Owner;

/// Most tokens of a request.
const MOST: usize = 1000;

/// Tokens that are to be turned back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevealRequest {
    /// The tokens, 1 to 1000.
    #[schema(min_items = 1, max_items = 1000)]
    tokens: Vec<String>,
    /// Why; it goes into the audit log.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// What a token stands for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevealedView {
    /// The token.
    token: String,
    /// The value; null where the vault does not know the token.
    value: Option<String>,
    /// The column of the first table that had it.
    column_name: Option<String>,
    /// The job that made it.
    job_id: Option<Uuid>,
}

/// What tokens stand for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevealedViews {
    /// In the order of the request.
    tokens: Vec<RevealedView>,
}

/// Turns tokens back into the values that they stand for. Who asked, for which tokens and why is written to the audit
/// log before anything is told. A value that is sealed under a key which the service does not have is a conflict.
#[utoipa::path(post, path = "/tokens/reveal", tag = "tokens", request_body = RevealRequest,
    responses((status = 200, body = RevealedViews), Problems))]
pub(crate) async fn reveal(
    State(app): State<Arc<App>>,
    caller: Caller,
    Document(request): Document<RevealRequest>,
) -> Result<Json<RevealedViews>, Problem> {
    caller.needs(Action::RevealTokens)?;
    if !(1..=MOST).contains(&request.tokens.len()) {
        return Err(Problem::field("tokens", "1 to 1000 tokens are expected"));
    }
    let strange = |token: &String| token.len() > 100 || token.chars().any(char::is_control);
    if let Some(number) = request.tokens.iter().position(strange) {
        let field = format!("tokens[{number}]");
        return Err(Problem::field(field, "this is no token"));
    }
    let reason = request.reason.trim();
    if !(1..=1000).contains(&reason.chars().count()) || reason.contains('\0') {
        let problem = "a reason of 1 to 1000 characters is expected";
        return Err(Problem::field("reason", problem));
    }
    if caller.datasets.is_some() {
        let detail = "a key for some datasets turns no tokens back: they are those of all datasets";
        return Err(Problem::forbidden(detail));
    }
    let entry = AuditEntry {
        actor: caller.actor.clone(),
        action: "tokens_revealed",
        subject: format!("{} tokens", request.tokens.len()),
        job_id: None,
        details: json!({"tokens": request.tokens, "reason": request.reason}),
    };
    app.metadata.record(caller.tenant_id(), &entry).await?;
    let owner = Owner {
        id: caller.tenant.id,
        name: caller.tenant.name.clone(),
    };
    let revealed = app.vault.reveal(&owner, &request.tokens).await?;
    let tokens = revealed.into_iter().map(|one| RevealedView {
        token: one.token,
        value: one.value,
        column_name: one.column,
        job_id: one.job_id,
    });
    Ok(Json(RevealedViews {
        tokens: tokens.collect(),
    }))
}
