//! API keys, over the API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::extract::{Document, Named, Params};
use super::problem::Problems;
use super::{App, Problem};
use crate::access::{Action, Caller};
use crate::metadata::{ApiKey, NewKey, Role};

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// Its public part.
    id: String,
    /// The tenant.
    tenant_id: Uuid,
    /// Name, for people.
    name: String,
    /// What it may do.
    role: Role,
    /// Whether it may look after tenants.
    operator: bool,
    /// The actions of the role that it may do; null for all.
    actions: Option<Vec<String>>,
    /// The datasets that it may touch; null for all.
    datasets: Option<Vec<String>>,
    /// Who made it.
    created_by: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it ends.
    expires_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    revoked_at: Option<DateTime<Utc>>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            tenant_id: key.tenant_id,
            name: key.name,
            role: key.role,
            operator: key.operator,
            actions: key.actions,
            datasets: key.datasets,
            created_by: key.created_by,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// The keys of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Keys {
    /// The keys, oldest first.
    keys: Vec<KeyView>,
}

/// A key that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRequest {
    /// Name, for people.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// What it may do.
    role: Role,
    /// The actions of the role that it may do; all when left out.
    #[serde(default)]
    actions: Option<Vec<Action>>,
    /// The datasets that it may touch, by name; all when left out.
    #[serde(default)]
    datasets: Option<Vec<String>>,
    /// When it ends; never when left out.
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
    /// Whether it may look after tenants; only an operator makes such a key.
    #[serde(default)]
    operator: bool,
    /// Another tenant than one's own, by name or identifier; only for operators.
    #[serde(default)]
    tenant: Option<String>,
}

/// A key with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeySecret {
    /// The key.
    #[serde(flatten)]
    key: KeyView,
    /// What its owner sends along; it cannot be shown again.
    secret: String,
}

/// The keys of the tenant.
#[utoipa::path(get, path = "/keys", tag = "access",
    responses((status = 200, body = Keys), Problems))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Keys>, Problem> {
    caller.needs(Action::ManageKeys)?;
    let keys = app.metadata.keys(caller.tenant_id()).await?;
    Ok(Json(Keys {
        keys: keys.into_iter().map(KeyView::from).collect(),
    }))
}

/// Makes a key. Its secret is in the answer and nowhere else.
#[utoipa::path(post, path = "/keys", tag = "access", request_body = KeyRequest,
    responses((status = 201, body = KeySecret), Problems))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Document(request): Document<KeyRequest>,
) -> Result<(StatusCode, Json<KeySecret>), Problem> {
    if request.operator || request.tenant.is_some() {
        caller.needs_operator()?;
    } else {
        caller.needs(Action::ManageKeys)?;
    }
    // Nobody hands on more than they have.
    if caller.datasets.is_some() || caller.actions.is_some() {
        return Err(Problem::forbidden(
            "a key with a limited scope makes no other keys",
        ));
    }
    let tenant = match &request.tenant {
        Some(name) => {
            app.metadata
                .find_tenant(name)
                .await?
                .ok_or_else(|| Problem::not_found("tenant"))?
                .id
        }
        None => caller.tenant_id(),
    };
    if request.expires_at.is_some_and(|at| at <= Utc::now()) {
        return Err(Problem::field(
            "expires_at",
            "the key would have ended already",
        ));
    }
    let mut beyond = request.actions.iter().flatten();
    if let Some(action) = beyond.find(|action| !action.is_of(request.role)) {
        let problem = format!(
            "{} is no action of the role {}",
            action.name(),
            request.role.name()
        );
        return Err(Problem::field("actions", problem));
    }
    let actions = request.actions.map(|actions| {
        let names = actions.iter().map(|action| action.name().to_owned());
        names.collect::<Vec<String>>()
    });
    let new = NewKey {
        name: request.name,
        role: request.role,
        operator: request.operator,
        actions,
        datasets: request.datasets,
        expires_at: request.expires_at,
    };
    let made = app.metadata.create_key(tenant, &new, &caller.actor).await?;
    let secret = KeySecret {
        key: made.key.into(),
        secret: made.secret,
    };
    Ok((StatusCode::CREATED, Json(secret)))
}

/// Whose key is taken back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevokeParams {
    /// Another tenant than one's own, by name or identifier; only for operators.
    tenant: Option<String>,
}

/// Takes a key back, at once.
#[utoipa::path(delete, path = "/keys/{key_id}", tag = "access",
    params(("key_id" = String, Path, description = "The public part of the key"), RevokeParams),
    responses((status = 204, description = "Nobody comes in with it any more"), Problems))]
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(params): Params<RevokeParams>,
) -> Result<StatusCode, Problem> {
    let tenant = match &params.tenant {
        Some(name) => {
            caller.needs_operator()?;
            let tenant = app.metadata.find_tenant(name).await?;
            tenant.ok_or_else(|| Problem::not_found("tenant"))?.id
        }
        None => {
            caller.needs(Action::ManageKeys)?;
            caller.tenant_id()
        }
    };
    app.metadata.revoke_key(tenant, &id, &caller.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}
