//! People with tokens of the identity provider, over the API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::extract::{Document, Named};
use super::problem::Problems;
use super::{App, Problem};
use crate::access::Caller;
use crate::metadata::{Role, User};

/// Somebody with tokens of the identity provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    /// Identifier.
    id: Uuid,
    /// Their subject (`sub`) in tokens.
    subject: String,
    /// Their role when they were last here.
    role: Role,
    /// Whether they are shut out.
    suspended: bool,
    /// When they first came.
    created_at: DateTime<Utc>,
    /// When they were last here, to a few minutes.
    last_seen_at: DateTime<Utc>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            subject: user.subject,
            role: user.role,
            suspended: user.suspended,
            created_at: user.created_at,
            last_seen_at: user.last_seen_at,
        }
    }
}

/// The people of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Users {
    /// The people, by their subject.
    users: Vec<UserView>,
}

/// What is to be changed of somebody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserRequest {
    /// Whether they are shut out, whatever token they have.
    suspended: bool,
}

/// The people of the tenant who came with a token of the identity provider.
#[utoipa::path(get, path = "/users", tag = "users",
    responses((status = 200, body = Users), Problems))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Users>, Problem> {
    let users = app.metadata.users(caller.tenant_id()).await?;
    Ok(Json(Users {
        users: users.into_iter().map(UserView::from).collect(),
    }))
}

/// Suspends a user, or lets them in again. A suspension takes effect at once: on requests and streams that are under way,
/// and on every key that the user made and those that these made.
#[utoipa::path(patch, path = "/users/{user_id}", tag = "users", request_body = UserRequest,
    params(("user_id" = Uuid, Path, description = "Identifier of the user")),
    responses((status = 200, body = UserView), Problems))]
pub(crate) async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<Uuid>,
    Document(request): Document<UserRequest>,
) -> Result<Json<UserView>, Problem> {
    let changed = app
        .metadata
        .suspend_user(caller.tenant_id(), id, request.suspended, &caller.actor)
        .await?;
    Ok(Json(changed.into()))
}
