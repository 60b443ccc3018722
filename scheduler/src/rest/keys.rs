//! API keys, over the API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::extract::{Document, Named, Params};
use super::problem::Problems;
use super::{App, Problem};
use crate::access::{Action, Caller, Credential};
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
    /// The actions that it is limited to, of its role or of an operator; all when left out.
    #[serde(default)]
    actions: Option<Vec<Action>>,
    /// The datasets that it may touch, by name; all when left out.
    #[serde(default)]
    datasets: Option<Vec<String>>,
    /// When it ends, no later than its maker; with its maker when left out. A key made by a user of the identity
    /// provider ends after 90 days at the latest.
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
    /// Whether it may look after tenants; only an operator makes such a key.
    #[serde(default)]
    operator: bool,
    /// Another tenant, by name or identifier; needs the action `tenants:keys`.
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

/// Days after which a key ends that a user of the identity provider made: the service does not hear of it when the
/// provider no longer knows the user.
const USER_KEY_DAYS: i64 = 90;

/// Returns the tenant whose keys a request is about, if the caller may manage them.
async fn tenant_of(app: &App, caller: &Caller, named: Option<&str>) -> Result<Uuid, Problem> {
    match named.filter(|name| !caller.is_of(name)) {
        None => {
            caller.needs(Action::ManageKeys)?;
            Ok(caller.tenant_id())
        }
        Some(name) => {
            caller.needs(Action::ManageTenantKeys)?;
            let tenant = app.metadata.find_tenant(name).await?;
            Ok(tenant.ok_or_else(|| Problem::not_found("tenant"))?.id)
        }
    }
}

/// Returns the key that a request asks for, if the caller has all that it would have, and for as long.
fn wanted(caller: &Caller, request: KeyRequest) -> Result<NewKey, Problem> {
    let (role, operator) = (request.role, request.operator);
    let mut beyond = request.actions.iter().flatten();
    if let Some(action) = beyond.find(|action| !action.is_granted(role, operator, None)) {
        let problem = format!("the role {} does not grant {}", role.name(), action.name());
        return Err(Problem::field("actions", problem));
    }
    let actions: Option<Vec<String>> = request.actions.map(|actions| {
        let names = actions.iter().map(|action| action.name().to_owned());
        names.collect()
    });
    if operator && !caller.operator {
        let detail = "only an operator's key makes a key with the right of an operator";
        return Err(Problem::forbidden(detail));
    }
    if caller.role.lesser(role) != role {
        let detail = format!(
            "a key of the role {} makes no key of the role {}",
            caller.role.name(),
            role.name()
        );
        return Err(Problem::forbidden(detail));
    }
    let granted = |action: &Action| action.is_granted(role, operator, actions.as_deref());
    let mut lacking = Action::ALL.into_iter().filter(granted);
    if let Some(action) = lacking.find(|action| !caller.may(*action)) {
        let detail = format!(
            "the key would have the action {}, which its maker does not have; name the actions that it is to have",
            action.name()
        );
        return Err(Problem::forbidden(detail));
    }
    Ok(NewKey {
        name: request.name,
        role,
        operator,
        actions,
        datasets: request.datasets,
        expires_at: end_of(caller, request.expires_at)?,
    })
}

/// Returns when a key ends for which this end is asked.
fn end_of(caller: &Caller, asked: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>, Problem> {
    let now = Utc::now();
    if asked.is_some_and(|at| at <= now) {
        let problem = "this end has passed already";
        return Err(Problem::field("expires_at", problem));
    }
    let last = match caller.credential {
        Credential::Key(_) => caller.expires_at,
        // A token ends within minutes; its user comes again with another one.
        Credential::User(_) => now.checked_add_signed(TimeDelta::days(USER_KEY_DAYS)),
    };
    match (asked, last) {
        (Some(asked), Some(last)) if asked > last => {
            let detail = format!(
                "a key ends no later than its maker allows: {}",
                last.to_rfc3339()
            );
            Err(Problem {
                field: Some("expires_at".to_owned()),
                ..Problem::forbidden(detail)
            })
        }
        (asked, last) => Ok(asked.or(last)),
    }
}

/// The keys of the tenant.
#[utoipa::path(get, path = "/keys", tag = "access",
    responses((status = 200, body = Keys), Problems))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Keys>, Problem> {
    let keys = app.metadata.keys(caller.tenant_id()).await?;
    Ok(Json(Keys {
        keys: keys.into_iter().map(KeyView::from).collect(),
    }))
}

/// Makes a key. Its secret is in the answer and nowhere else.
///
/// Nobody hands out more, or longer, than they have: the key has no action, role or right of an operator that its maker
/// lacks, and ends no later. It also ends when its maker is revoked or suspended, and so do the keys that it makes.
#[utoipa::path(post, path = "/keys", tag = "access", request_body = KeyRequest,
    responses((status = 201, body = KeySecret), Problems))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Document(request): Document<KeyRequest>,
) -> Result<(StatusCode, Json<KeySecret>), Problem> {
    let tenant = tenant_of(&app, &caller, request.tenant.as_deref()).await?;
    let new = wanted(&caller, request)?;
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
    /// Another tenant, by name or identifier; needs the action `tenants:keys`.
    tenant: Option<String>,
}

/// Revokes a key, at once, and with it every key that it made, and those that these made. Requests and streams that are
/// under way end. The key of the request and those that made it are not revoked but rotated.
#[utoipa::path(delete, path = "/keys/{key_id}", tag = "access",
    params(("key_id" = String, Path, description = "The public part of the key"), RevokeParams),
    responses((status = 204, description = "Nobody comes in with it any more"), Problems))]
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(params): Params<RevokeParams>,
) -> Result<StatusCode, Problem> {
    let tenant = tenant_of(&app, &caller, params.tenant.as_deref()).await?;
    let known = app.metadata.key(tenant, &id).await?;
    let known = known.ok_or_else(|| Problem::not_found("key"))?;
    if known.operator && !caller.operator {
        return Err(Problem::forbidden(
            "only an operator revokes an operator's key",
        ));
    }
    if let Credential::Key(own) = &caller.credential
        && app.metadata.makers_of_key(own).await?.contains(&id)
    {
        let detail =
            "this would end the key of this request, which it is or has made; rotate it instead";
        return Err(Problem::conflict(detail));
    }
    app.metadata.revoke_key(tenant, &id, &caller.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a key of the tenant another secret, at once; the one that it had admits nobody any more. Its rights, its end and
/// the keys that it made stay.
#[utoipa::path(post, path = "/keys/{key_id}/rotate", tag = "access",
    params(("key_id" = String, Path, description = "The public part of the key")),
    responses((status = 200, body = KeySecret), Problems))]
pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Json<KeySecret>, Problem> {
    let tenant = caller.tenant_id();
    let known = app.metadata.key(tenant, &id).await?;
    let known = known.ok_or_else(|| Problem::not_found("key"))?;
    // Whoever rotates a key holds it afterwards, so it must be within what they have.
    if caller.credential != Credential::Key(id.clone()) {
        holds_within(&caller, &known)?;
    }
    let made = app.metadata.rotate_key(tenant, &id, &caller.actor).await?;
    Ok(Json(KeySecret {
        key: made.key.into(),
        secret: made.secret,
    }))
}

/// Refuses a key that may do, or lasts, more than the caller.
fn holds_within(caller: &Caller, key: &ApiKey) -> Result<(), Problem> {
    let granted =
        |action: &Action| action.is_granted(key.role, key.operator, key.actions.as_deref());
    let more = Action::ALL
        .into_iter()
        .filter(granted)
        .any(|action| !caller.may(action));
    let longer = match (key.expires_at, caller.expires_at) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(key), Some(own)) => key > own,
    };
    // A user's token ends within minutes, whatever their keys may do.
    let longer = longer && matches!(caller.credential, Credential::Key(_));
    if more || longer || (key.operator && !caller.operator) {
        let detail = "the key may do more, or lasts longer, than the key of this request";
        return Err(Problem::forbidden(detail));
    }
    Ok(())
}
