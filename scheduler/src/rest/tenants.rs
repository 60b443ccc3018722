//! Tenants, over the API: for operators. And what a tenant has used.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::extract::{Document, Named};
use super::problem::Problems;
use super::{App, Problem};
use crate::access::{Action, Caller};
use crate::metadata::{Limits, Tenant};

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantView {
    /// Identifier.
    id: Uuid,
    /// Name.
    name: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// Whether nobody comes in for it, and its jobs wait.
    suspended: bool,
    /// Jobs that run now.
    running: i64,
    /// Jobs that run at the same time, at most.
    max_running: i64,
    /// Jobs that wait, at most.
    max_queued: i64,
    /// Share of the workers beside that of others.
    weight: f64,
    /// Rows of sources in a month, at most; null for no limit.
    rows_per_month: Option<i64>,
    /// Bytes of uploads and outputs that are kept, at most; null for no limit.
    storage_bytes: Option<i64>,
    /// Calls of the API in a second, in the mean.
    calls_per_second: f64,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id,
            name: tenant.name,
            created_at: tenant.created_at,
            suspended: tenant.suspended,
            running: tenant.running,
            max_running: tenant.limits.max_running,
            max_queued: tenant.limits.max_queued,
            weight: tenant.limits.weight,
            rows_per_month: tenant.limits.rows_per_month,
            storage_bytes: tenant.limits.storage_bytes,
            calls_per_second: tenant.limits.calls_per_second,
        }
    }
}

/// Tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tenants {
    /// The tenants, by name.
    tenants: Vec<TenantView>,
}

/// What a tenant may use; what is left out stays as it is, or as it usually is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsRequest {
    /// Jobs that run at the same time, at most.
    #[schema(minimum = 0)]
    #[serde(deserialize_with = "whole")]
    max_running: Option<i64>,
    /// Jobs that wait, at most.
    #[schema(minimum = 0)]
    #[serde(deserialize_with = "whole")]
    max_queued: Option<i64>,
    /// Share of the workers beside that of others.
    #[schema(minimum = 0.001)]
    weight: Option<f64>,
    /// Rows of sources in a month, at most; null for no limit.
    #[schema(minimum = 0, value_type = Option<i64>)]
    #[serde(deserialize_with = "given")]
    rows_per_month: Option<Option<i64>>,
    /// Bytes of uploads and outputs that are kept, at most; null for no limit.
    #[schema(minimum = 0, value_type = Option<i64>)]
    #[serde(deserialize_with = "given")]
    storage_bytes: Option<Option<i64>>,
    /// Calls of the API in a second, in the mean.
    #[schema(minimum = 0.001)]
    calls_per_second: Option<f64>,
    /// Whether nobody comes in for it, and its jobs wait.
    suspended: Option<bool>,
}

/// Limits by name; a list of values is none.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LimitsRequest, D::Error> {
    let fields = serde_json::Map::deserialize(deserializer)?;
    serde_json::from_value(fields.into()).map_err(serde::de::Error::custom)
}

/// A whole number, however it is written: `5` and `5.0` are the same in JSON Schema.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    let Some(number) = number else {
        return Ok(None);
    };
    let rounded = || {
        number
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() < 9e15)
    };
    // A float without a fraction, below 2^53.
    let whole = number
        .as_i64()
        .or_else(|| rounded().map(|number| number as i64));
    whole
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom("expected a whole number"))
}

/// A whole number or null, either of which says something.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    whole(deserializer).map(Some)
}

impl LimitsRequest {
    /// Returns whether it says anything but whether the tenant is suspended.
    fn changes_limits(&self) -> bool {
        let Self {
            max_running,
            max_queued,
            weight,
            rows_per_month,
            storage_bytes,
            calls_per_second,
            suspended: _,
        } = self;
        max_running.is_some()
            || max_queued.is_some()
            || weight.is_some()
            || rows_per_month.is_some()
            || storage_bytes.is_some()
            || calls_per_second.is_some()
    }

    fn over(&self, limits: Limits) -> Limits {
        Limits {
            max_running: self.max_running.unwrap_or(limits.max_running),
            max_queued: self.max_queued.unwrap_or(limits.max_queued),
            weight: self.weight.unwrap_or(limits.weight),
            rows_per_month: self.rows_per_month.unwrap_or(limits.rows_per_month),
            storage_bytes: self.storage_bytes.unwrap_or(limits.storage_bytes),
            calls_per_second: self.calls_per_second.unwrap_or(limits.calls_per_second),
        }
    }
}

/// A tenant that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantRequest {
    /// Name: letters, digits, _ and -.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    name: String,
    /// What it may use.
    #[serde(default, deserialize_with = "object")]
    limits: LimitsRequest,
}

/// All tenants. For operators.
#[utoipa::path(get, path = "/tenants", tag = "tenants",
    responses((status = 200, body = Tenants), Problems))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Tenants>, Problem> {
    let tenants = app.metadata.tenants().await?;
    Ok(Json(Tenants {
        tenants: tenants.into_iter().map(TenantView::from).collect(),
    }))
}

/// Makes a tenant. Keys for it: `POST /keys` with its name.
#[utoipa::path(post, path = "/tenants", tag = "tenants", request_body = TenantRequest,
    responses((status = 201, body = TenantView), Problems))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Document(request): Document<TenantRequest>,
) -> Result<(StatusCode, Json<TenantView>), Problem> {
    if request.limits.suspended.is_some() {
        caller.needs(Action::SuspendTenants)?;
    }
    let limits = request.limits.over(Limits::default());
    let mut tenant = app
        .metadata
        .create_tenant(&request.name, &limits, &caller.actor)
        .await?;
    if request.limits.suspended == Some(true) {
        tenant = app
            .metadata
            .update_tenant(tenant.id, &limits, true, &caller.actor)
            .await?;
    }
    Ok((StatusCode::CREATED, Json(tenant.into())))
}

/// Changes what a tenant may use (`tenants:manage`), or suspends or resumes it (`tenants:suspend`). A suspension ends
/// requests and streams of the tenant that are under way.
#[utoipa::path(patch, path = "/tenants/{tenant_id}", tag = "tenants", request_body = LimitsRequest,
    params(("tenant_id" = String, Path, description = "Identifier or name of the tenant")),
    responses((status = 200, body = TenantView), Problems))]
pub(crate) async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(tenant): Named<String>,
    Document(request): Document<LimitsRequest>,
) -> Result<Json<TenantView>, Problem> {
    if request.suspended.is_some() {
        caller.needs(Action::SuspendTenants)?;
    }
    if request.changes_limits() {
        caller.needs(Action::ManageTenants)?;
    }
    let tenant = app.metadata.find_tenant(&tenant).await?;
    let tenant = tenant.ok_or_else(|| Problem::not_found("tenant"))?;
    let suspended = request.suspended.unwrap_or(tenant.suspended);
    let limits = request.over(tenant.limits);
    let changed = app
        .metadata
        .update_tenant(tenant.id, &limits, suspended, &caller.actor)
        .await?;
    Ok(Json(changed.into()))
}

/// What a tenant has used in a month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthView {
    /// The month.
    #[schema(example = "2026-11")]
    month: String,
    /// Jobs that were published.
    jobs: i64,
    /// Rows of their sources.
    rows: i64,
    /// Bytes of their sources, as far as they were uploaded.
    bytes_in: i64,
    /// Bytes of their outputs.
    bytes_out: i64,
}

/// What a tenant has used, and may use.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageView {
    /// The tenant, with its limits.
    tenant: TenantView,
    /// What it has used, newest month first.
    months: Vec<MonthView>,
}

/// What the tenant has used, and may use.
#[utoipa::path(get, path = "/usage", tag = "tenants",
    responses((status = 200, body = UsageView), Problems))]
pub(crate) async fn usage(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<UsageView>, Problem> {
    let months = app.metadata.usage(caller.tenant_id()).await?;
    let months = months.into_iter().map(|used| MonthView {
        month: used.month,
        jobs: used.jobs,
        rows: used.rows,
        bytes_in: used.bytes_in,
        bytes_out: used.bytes_out,
    });
    Ok(Json(UsageView {
        months: months.collect(),
        tenant: caller.tenant.into(),
    }))
}
