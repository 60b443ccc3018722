//! Datasets, their contracts, their versions, and where these come from; and named rules.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::extract::{Document, Named, Params};
use super::page::PageParams;
use super::problem::Problems;
use super::{App, Problem, masking, page};
use crate::access::{Action, Caller};
use crate::lifecycle::StoredReference;
use crate::metadata::{Contract, Dataset, Rule, Version};

/// A dataset.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatasetView {
    /// Identifier.
    dataset_id: Uuid,
    /// Name.
    name: String,
    /// When it was first heard of.
    created_at: DateTime<Utc>,
    /// Its last version; 0 before the first.
    latest_version: i64,
    /// Its last contract; 0 before the first.
    latest_contract: i64,
}

impl From<Dataset> for DatasetView {
    fn from(dataset: Dataset) -> Self {
        Self {
            dataset_id: dataset.id,
            name: dataset.name,
            created_at: dataset.created_at,
            latest_version: dataset.latest_version,
            latest_contract: dataset.latest_contract,
        }
    }
}

/// Datasets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Datasets {
    /// The datasets, by name.
    datasets: Vec<DatasetView>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// A version of a dataset.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionView {
    /// The dataset.
    dataset_id: Uuid,
    /// Number, from 1.
    version: i64,
    /// The job that made it: its report, its data and its provenance are under `/jobs/{job_id}`.
    job_id: Uuid,
    /// Digest of its tables.
    checksum: String,
    /// Rows of the cleaned data.
    rows: i64,
    /// Bytes of all files.
    bytes: i64,
    /// When it was published.
    created_at: DateTime<Utc>,
}

impl From<Version> for VersionView {
    fn from(version: Version) -> Self {
        Self {
            dataset_id: version.dataset_id,
            version: version.version,
            job_id: version.job_id,
            checksum: version.checksum,
            rows: version.rows,
            bytes: version.bytes,
            created_at: version.created_at,
        }
    }
}

/// Versions of a dataset.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Versions {
    /// The versions, newest first.
    versions: Vec<VersionView>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// Where a version comes from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineageView {
    /// The version.
    version: VersionView,
    /// The files that were read, with rows and bytes.
    #[schema(value_type = Vec<Object>)]
    sources: Value,
    /// The contract, as it was completed.
    #[schema(value_type = Object)]
    contract: Value,
    /// The transformations, in order, with what each did.
    #[schema(value_type = Vec<Object>)]
    transformations: Value,
    /// The job spec.
    #[schema(value_type = Object)]
    spec: Value,
    /// Who submitted the job.
    created_by: String,
}

/// A contract.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContractView {
    /// The dataset.
    dataset_id: Uuid,
    /// Number, from 1.
    version: i64,
    /// The `dataset` of a job spec.
    #[schema(value_type = Object)]
    contract: Value,
    /// Who wrote it.
    created_by: String,
    /// When.
    created_at: DateTime<Utc>,
}

impl From<Contract> for ContractView {
    fn from(contract: Contract) -> Self {
        Self {
            dataset_id: contract.dataset_id,
            version: contract.version,
            contract: contract.contract,
            created_by: contract.created_by,
            created_at: contract.created_at,
        }
    }
}

/// Contracts of a dataset.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Contracts {
    /// The contracts, newest first.
    contracts: Vec<ContractView>,
}

/// The dataset of a tenant, if whoever asks may see it.
async fn find(app: &App, caller: &Caller, dataset: &str) -> Result<Dataset, Problem> {
    let found = app.metadata.dataset(caller.tenant_id(), dataset).await?;
    found
        .filter(|dataset| caller.may_touch(&dataset.name))
        .ok_or_else(|| Problem::not_found("dataset"))
}

/// The datasets of the tenant, by name.
#[utoipa::path(get, path = "/datasets/{tenant_id}", tag = "datasets",
    params(("tenant_id" = String, Path, description = "Identifier or name of the tenant"), PageParams),
    responses((status = 200, body = Datasets), Problems))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(params): Params<PageParams>,
) -> Result<Json<Datasets>, Problem> {
    let limit = page::limit(params.limit)?;
    let after: Option<String> = page::place(params.cursor.as_deref())?;
    let found = app
        .metadata
        .datasets(
            caller.tenant_id(),
            caller.datasets.as_deref(),
            after.as_deref(),
            limit + 1,
        )
        .await?;
    let (found, next_cursor) = page::cut(found, limit, |dataset| dataset.name.clone());
    Ok(Json(Datasets {
        datasets: found.into_iter().map(DatasetView::from).collect(),
        next_cursor,
    }))
}

/// A dataset.
#[utoipa::path(get, path = "/datasets/{tenant_id}/{dataset}", tag = "datasets",
    params(("tenant_id" = String, Path, description = "Identifier or name of the tenant"),
        ("dataset" = String, Path, description = "Identifier or name of the dataset")),
    responses((status = 200, body = DatasetView), Problems))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((_tenant, dataset)): Named<(String, String)>,
) -> Result<Json<DatasetView>, Problem> {
    Ok(Json(find(&app, &caller, &dataset).await?.into()))
}

/// The versions of a dataset, newest first.
#[utoipa::path(get, path = "/datasets/{tenant_id}/{dataset}/versions", tag = "datasets",
    params(("tenant_id" = String, Path, description = "Identifier or name of the tenant"),
        ("dataset" = String, Path, description = "Identifier or name of the dataset"), PageParams),
    responses((status = 200, body = Versions), Problems))]
pub(crate) async fn versions(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((_tenant, dataset)): Named<(String, String)>,
    Params(params): Params<PageParams>,
) -> Result<Json<Versions>, Problem> {
    let dataset = find(&app, &caller, &dataset).await?;
    let limit = page::limit(params.limit)?;
    let before = page::place(params.cursor.as_deref())?;
    let found = app
        .metadata
        .versions(caller.tenant_id(), dataset.id, before, limit + 1)
        .await?;
    let (found, next_cursor) = page::cut(found, limit, |version| version.version);
    Ok(Json(Versions {
        versions: found.into_iter().map(VersionView::from).collect(),
        next_cursor,
    }))
}

/// Where a version comes from: files, contract, steps, and who asked for it.
#[utoipa::path(get, path = "/datasets/{tenant_id}/{dataset}/versions/{version}", tag = "datasets",
    params(("tenant_id" = String, Path, description = "Identifier or name of the tenant"),
        ("dataset" = String, Path, description = "Identifier or name of the dataset"),
        ("version" = i64, Path, minimum = 1, description = "Number of the version")),
    responses((status = 200, body = LineageView), Problems))]
pub(crate) async fn lineage(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((_tenant, dataset, version)): Named<(String, String, i64)>,
) -> Result<Json<LineageView>, Problem> {
    let dataset = find(&app, &caller, &dataset).await?;
    let found = app
        .metadata
        .lineage(caller.tenant_id(), dataset.id, version)
        .await?;
    let mut found = found.ok_or_else(|| Problem::not_found("version"))?;
    if !caller.may(Action::ReadData) {
        masking::hide_values(&mut found);
    }
    for document in [&mut found.transformations, &mut found.spec] {
        masking::hide_datasets(document, &caller);
    }
    Ok(Json(LineageView {
        version: found.version.into(),
        sources: found.sources,
        contract: found.contract,
        transformations: found.transformations,
        spec: found.spec,
        created_by: found.created_by,
    }))
}

/// The contracts of a dataset, newest first.
#[utoipa::path(get, path = "/datasets/{tenant_id}/{dataset}/contracts", tag = "datasets",
    params(("tenant_id" = String, Path, description = "Identifier or name of the tenant"),
        ("dataset" = String, Path, description = "Identifier or name of the dataset")),
    responses((status = 200, body = Contracts), Problems))]
pub(crate) async fn contracts(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((_tenant, dataset)): Named<(String, String)>,
) -> Result<Json<Contracts>, Problem> {
    let dataset = find(&app, &caller, &dataset).await?;
    let found = app
        .metadata
        .contracts(caller.tenant_id(), dataset.id)
        .await?;
    Ok(Json(Contracts {
        contracts: found.into_iter().map(ContractView::from).collect(),
    }))
}

/// A contract that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub(crate) struct ContractRequest(Value);

/// Adds the next contract of a dataset: jobs that come from now on are held to it. Makes the dataset where there is
/// none of the name.
#[utoipa::path(post, path = "/datasets/{tenant_id}/{dataset}/contracts", tag = "datasets",
    request_body(content = Object, description = "The `dataset` of a job spec"),
    params(("tenant_id" = String, Path, description = "Identifier or name of the tenant"),
        ("dataset" = String, Path, description = "Name of the dataset")),
    responses((status = 201, body = ContractView), Problems))]
pub(crate) async fn add_contract(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((_tenant, dataset)): Named<(String, String)>,
    Document(ContractRequest(contract)): Document<ContractRequest>,
) -> Result<(StatusCode, Json<ContractView>), Problem> {
    let known = app.metadata.dataset(caller.tenant_id(), &dataset).await?;
    let name = match known {
        Some(known) => known.name,
        None if Uuid::parse_str(&dataset).is_ok() => return Err(Problem::not_found("dataset")),
        None => dataset,
    };
    caller.needs_dataset(&name)?;
    if !contract.is_object() {
        return Err(Problem::invalid("expected an object"));
    }
    check_part(&app, serde_json::json!({"dataset": contract}))?;
    let added = app
        .metadata
        .add_contract(caller.tenant_id(), &name, &contract, &caller.actor)
        .await?;
    Ok((StatusCode::CREATED, Json(added.into())))
}

/// Refuses a part of a spec that no job could have.
fn check_part(app: &App, mut part: Value) -> Result<(), Problem> {
    let Some(fields) = part.as_object_mut() else {
        return Err(Problem::invalid("expected an object"));
    };
    let own = |name: &&String| !matches!(name.as_str(), "dataset" | "steps" | "options");
    if let Some(other) = fields.keys().find(own) {
        let problem = "dataset, steps and options are expected";
        return Err(Problem::field(other.clone(), problem));
    }
    let nowhere = StoredReference::Upload(Uuid::nil()).to_string();
    fields.insert(
        "source".to_owned(),
        serde_json::json!({"location": nowhere}),
    );
    let checked = app.specs.check(part, "");
    checked
        .map(drop)
        .map_err(|wrong| Problem::field(wrong.field, wrong.problem))
}

/// A part of a job spec with a name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleView {
    /// Name.
    name: String,
    /// `dataset`, `steps` and `options` of a job spec, as far as they are given.
    #[schema(value_type = Object)]
    rule: Value,
    /// Who wrote it first.
    created_by: String,
    /// When it was first written.
    created_at: DateTime<Utc>,
    /// When it was last written.
    updated_at: DateTime<Utc>,
}

impl From<Rule> for RuleView {
    fn from(rule: Rule) -> Self {
        Self {
            name: rule.name,
            rule: rule.rule,
            created_by: rule.created_by,
            created_at: rule.created_at,
            updated_at: rule.updated_at,
        }
    }
}

/// Rules of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rules {
    /// The rules, by name.
    rules: Vec<RuleView>,
}

/// The rules of the tenant: parts of job specs that many jobs have in common.
#[utoipa::path(get, path = "/rules", tag = "specs",
    responses((status = 200, body = Rules), Problems))]
pub(crate) async fn rules(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Rules>, Problem> {
    let rules = app.metadata.rules(caller.tenant_id()).await?;
    Ok(Json(Rules {
        rules: rules.into_iter().map(RuleView::from).collect(),
    }))
}

/// A rule.
#[utoipa::path(get, path = "/rules/{name}", tag = "specs",
    params(("name" = String, Path, description = "Name of the rule")),
    responses((status = 200, body = RuleView), Problems))]
pub(crate) async fn rule(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named<String>,
) -> Result<Json<RuleView>, Problem> {
    let rule = app.metadata.rule(caller.tenant_id(), &name).await?;
    let rule = rule.ok_or_else(|| Problem::not_found("rule"))?;
    Ok(Json(rule.into()))
}

/// Writes a rule, over one of the same name. Jobs that are in the queue already keep what they came with.
#[utoipa::path(put, path = "/rules/{name}", tag = "specs",
    request_body(content = Object, description = "`dataset`, `steps` and `options` of a job spec, as far as they are given"),
    params(("name" = String, Path, description = "Name of the rule")),
    responses((status = 200, body = RuleView), Problems))]
pub(crate) async fn put_rule(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named<String>,
    Document(rule): Document<Value>,
) -> Result<Json<RuleView>, Problem> {
    check_part(&app, rule.clone())?;
    let written = app
        .metadata
        .put_rule(caller.tenant_id(), &name, &rule, &caller.actor)
        .await?;
    Ok(Json(written.into()))
}

/// Removes a rule.
#[utoipa::path(delete, path = "/rules/{name}", tag = "specs",
    params(("name" = String, Path, description = "Name of the rule")),
    responses((status = 204, description = "It is gone"), Problems))]
pub(crate) async fn delete_rule(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    app.metadata
        .delete_rule(caller.tenant_id(), &name, &caller.actor)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
