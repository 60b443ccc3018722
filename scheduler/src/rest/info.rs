//! Who one is, what the steps are, and whether the service is well.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use planner::spec::JobSpec;
use planner::steps::StepSpec;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::extract::Named;
use super::problem::Problems;
use super::{App, Problem};
use crate::access::{Action, Caller};
use crate::metadata::Role;

/// Who sent the request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// Identifier of the tenant.
    tenant_id: Uuid,
    /// Its name.
    tenant: String,
    /// Who, as the audit log has it.
    actor: String,
    /// Their role.
    role: Role,
    /// Whether they may look after tenants.
    operator: bool,
    /// What they may do.
    actions: Vec<Action>,
    /// The datasets that they may touch; null for all.
    datasets: Option<Vec<String>>,
}

/// Who sends the request, and what they may do.
#[utoipa::path(get, path = "/me", tag = "access",
    responses((status = 200, body = Me), Problems))]
pub(crate) async fn me(caller: Caller) -> Json<Me> {
    Json(Me {
        tenant_id: caller.tenant_id(),
        tenant: caller.tenant.name.clone(),
        actor: caller.actor.clone(),
        role: caller.role,
        operator: caller.operator,
        actions: Action::ALL
            .into_iter()
            .filter(|action| caller.may(*action))
            .collect(),
        datasets: caller.datasets,
    })
}

/// A cleaning step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepView {
    /// The value of `type`.
    #[serde(rename = "type")]
    name: &'static str,
    /// A step as it may stand in a spec, in YAML.
    example: &'static str,
    /// JSON Schema of the step.
    schema: Value,
}

/// Cleaning steps.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Steps {
    /// The steps, in the order in which they usually stand.
    steps: Vec<StepView>,
}

fn all_steps() -> Vec<StepView> {
    let schema = JobSpec::document_schema();
    let schemas = schema["$defs"]["Step"]["oneOf"].as_array();
    let examples = StepSpec::EXAMPLES.iter();
    examples
        .zip(schemas.into_iter().flatten())
        .map(|((name, example), schema)| StepView {
            name,
            example,
            schema: schema.clone(),
        })
        .collect()
}

/// The cleaning steps, with an example and the JSON Schema of each.
#[utoipa::path(get, path = "/steps", tag = "specs",
    responses((status = 200, body = Steps), Problems))]
pub(crate) async fn steps(_caller: Caller) -> Json<Steps> {
    Json(Steps { steps: all_steps() })
}

/// One cleaning step.
#[utoipa::path(get, path = "/steps/{step_type}", tag = "specs",
    params(("step_type" = String, Path, description = "The `type` of the step")),
    responses((status = 200, body = StepView), Problems))]
pub(crate) async fn step(
    _caller: Caller,
    Named(name): Named<String>,
) -> Result<Json<StepView>, Problem> {
    let found = all_steps().into_iter().find(|step| step.name == name);
    found.map(Json).ok_or_else(|| Problem::not_found("step"))
}

/// The JSON Schema of a job spec.
#[utoipa::path(get, path = "/schema/job", tag = "specs",
    responses((status = 200, body = Object), Problems))]
pub(crate) async fn job_schema(_caller: Caller) -> Json<Value> {
    Json(JobSpec::document_schema())
}

/// Time within which the metadata store must answer for the service to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(8);

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`, or what is wrong.
    #[schema(example = "ok")]
    status: String,
    /// Version of the service.
    version: &'static str,
    /// Kind of the metadata store.
    metadata: &'static str,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = Health)))]
pub(crate) async fn health(State(app): State<Arc<App>>) -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        metadata: app.metadata.kind(),
    })
}

/// Whether the service can take requests: its metadata store answers, and its tables can be read.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = match tokio::time::timeout(READY_PATIENCE, app.metadata.ping()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the metadata store is unusable");
            false
        }
        Err(_) => false,
    };
    let health = Health {
        status: if ready {
            "ok".to_owned()
        } else {
            "the metadata store does not answer".to_owned()
        },
        version: env!("CARGO_PKG_VERSION"),
        metadata: app.metadata.kind(),
    };
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health)).into_response()
}
