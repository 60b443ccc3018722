//! Datasets: their contracts, their versions and where these come from; and named rules.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::MetadataStore;
use super::audit::{self, AuditEntry};
use super::database::{Scope, Transaction};
use super::error::{MetadataError, Result};
use super::record::{Record, params};

/// A table that is cleaned again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Identifier.
    pub id: Uuid,
    /// Name.
    pub name: String,
    /// When it was first heard of.
    pub created_at: DateTime<Utc>,
    /// Its last version; 0 before the first.
    pub latest_version: i64,
    /// Its last contract; 0 before the first.
    pub latest_contract: i64,
}

/// What a dataset's columns must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// The dataset.
    pub dataset_id: Uuid,
    /// Number, from 1.
    pub version: i64,
    /// The contract, as the `dataset` of a job spec.
    pub contract: Value,
    /// Who wrote it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A published version of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The dataset.
    pub dataset_id: Uuid,
    /// Number, from 1.
    pub version: i64,
    /// The job that made it.
    pub job_id: Uuid,
    /// Where it lies, from the service's store on.
    pub location: String,
    /// Digest of its tables.
    pub checksum: String,
    /// Rows of the cleaned data.
    pub rows: i64,
    /// Bytes of all files.
    pub bytes: i64,
    /// When it was published.
    pub created_at: DateTime<Utc>,
}

/// Where a version comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Lineage {
    /// The version.
    pub version: Version,
    /// The files that were read.
    pub sources: Value,
    /// The contract, as it was completed.
    pub contract: Value,
    /// The transformations, in order.
    pub transformations: Value,
    /// The spec of the job.
    pub spec: Value,
    /// Who submitted it.
    pub created_by: String,
}

/// A part of a job spec with a name, for many jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Name.
    pub name: String,
    /// `dataset` and `steps` of a job spec.
    pub rule: Value,
    /// Who wrote it.
    pub created_by: String,
    /// When it was first written.
    pub created_at: DateTime<Utc>,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
}

const DATASETS: &str = "SELECT d.id, d.name, d.created_at,
  coalesce((SELECT max(v.version) FROM cleaned_datasets v WHERE v.dataset_id = d.id), 0) AS latest_version,
  coalesce((SELECT max(c.version) FROM contracts c WHERE c.dataset_id = d.id), 0) AS latest_contract
FROM datasets d WHERE d.tenant_id = $1 AND ($2 IS NULL OR d.name > $2) AND ($3 IS NULL OR d.name = $3)
  AND ($4 IS NULL OR d.id = $4) AND ($6 IS NULL OR d.name IN {names $6})
ORDER BY d.name LIMIT $5";

fn read_dataset(row: &Record) -> Result<Dataset> {
    Ok(Dataset {
        id: row.uuid("id")?,
        name: row.text("name")?,
        created_at: row.time("created_at")?,
        latest_version: row.int("latest_version")?,
        latest_contract: row.int("latest_contract")?,
    })
}

fn read_version(row: &Record) -> Result<Version> {
    Ok(Version {
        dataset_id: row.uuid("dataset_id")?,
        version: row.int("version")?,
        job_id: row.uuid("job_id")?,
        location: row.text("location")?,
        checksum: row.text("checksum")?,
        rows: row.int("rows")?,
        bytes: row.int("bytes")?,
        created_at: row.time("created_at")?,
    })
}

fn read_contract(row: &Record) -> Result<Contract> {
    Ok(Contract {
        dataset_id: row.uuid("dataset_id")?,
        version: row.int("version")?,
        contract: row.json("contract")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
    })
}

fn read_rule(row: &Record) -> Result<Rule> {
    Ok(Rule {
        name: row.text("name")?,
        rule: row.json("rule")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// The dataset of a name, made where there is none.
pub(super) async fn dataset_named(
    transaction: &mut dyn Transaction,
    tenant: Uuid,
    name: &str,
) -> Result<Uuid> {
    if name.is_empty() || name.len() > 200 || name.chars().any(|c| c.is_control() || c == '/') {
        return Err(MetadataError::Invalid(
            "a dataset's name has 1 to 200 bytes, no slash and no control characters".to_owned(),
        ));
    }
    // These mean something else in a path.
    if matches!(name, "." | ".." | "ingest") || Uuid::parse_str(name).is_ok() {
        return Err(MetadataError::Invalid(format!(
            "{name:?} cannot be the name of a dataset"
        )));
    }
    transaction
        .execute(
            "INSERT INTO datasets (id, tenant_id, name, created_at) VALUES ($1, $2, $3, {now})
             ON CONFLICT (tenant_id, name) DO NOTHING",
            params![Uuid::now_v7(), tenant, name],
        )
        .await?;
    let row = transaction
        .one(
            "SELECT id FROM datasets WHERE tenant_id = $1 AND name = $2",
            params![tenant, name],
        )
        .await?;
    row.uuid("id")
}

impl MetadataStore {
    /// Returns datasets of a tenant behind a name, by name; only those in `among`, where it is given.
    ///
    /// # Errors
    /// The store does not answer, or holds what cannot be read.
    pub async fn datasets(
        &self,
        tenant: Uuid,
        among: Option<&[String]>,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Dataset>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let none = || None::<&str>;
        let among = among.map(|names| json!(names));
        let params = params![tenant, after, none(), None::<Uuid>, limit, among];
        let rows = transaction.fetch(DATASETS, params).await?;
        transaction.commit().await?;
        rows.iter().map(read_dataset).collect()
    }

    /// The dataset of this identifier or name.
    pub async fn dataset(&self, tenant: Uuid, id_or_name: &str) -> Result<Option<Dataset>> {
        let id = Uuid::parse_str(id_or_name).ok();
        let name = id.is_none().then_some(id_or_name);
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let params = params![tenant, None::<&str>, name, id, 1_i64, None::<Value>];
        let row = transaction.optional(DATASETS, params).await?;
        transaction.commit().await?;
        row.as_ref().map(read_dataset).transpose()
    }

    /// Versions of a dataset older than number `before`, newest first.
    pub async fn versions(
        &self,
        tenant: Uuid,
        dataset: Uuid,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Version>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT * FROM cleaned_datasets WHERE tenant_id = $1 AND dataset_id = $2 AND version < $3
                 ORDER BY version DESC LIMIT $4",
                params![tenant, dataset, before.unwrap_or(i64::MAX), limit],
            )
            .await?;
        transaction.commit().await?;
        rows.iter().map(read_version).collect()
    }

    /// The version that a job made.
    pub async fn version_of_job(&self, tenant: Uuid, job: Uuid) -> Result<Option<Version>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT * FROM cleaned_datasets WHERE tenant_id = $1 AND job_id = $2",
                params![tenant, job],
            )
            .await?;
        transaction.commit().await?;
        row.as_ref().map(read_version).transpose()
    }

    /// Where a version comes from.
    pub async fn lineage(
        &self,
        tenant: Uuid,
        dataset: Uuid,
        version: i64,
    ) -> Result<Option<Lineage>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT v.*, j.spec, j.created_by FROM cleaned_datasets v JOIN jobs j ON j.id = v.job_id
                 WHERE v.tenant_id = $1 AND v.dataset_id = $2 AND v.version = $3",
                params![tenant, dataset, version],
            )
            .await?;
        transaction.commit().await?;
        let Some(row) = row else {
            return Ok(None);
        };
        Ok(Some(Lineage {
            version: read_version(&row)?,
            sources: row.json("sources")?,
            contract: row.json("contract")?,
            transformations: row.json("transformations")?,
            spec: row.json("spec")?,
            created_by: row.text("created_by")?,
        }))
    }

    /// Contracts of a dataset, newest first.
    pub async fn contracts(&self, tenant: Uuid, dataset: Uuid) -> Result<Vec<Contract>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT * FROM contracts WHERE tenant_id = $1 AND dataset_id = $2 ORDER BY version DESC LIMIT 1000",
                params![tenant, dataset],
            )
            .await?;
        transaction.commit().await?;
        rows.iter().map(read_contract).collect()
    }

    /// A contract of a dataset: that of a number, or the last one.
    pub async fn contract(
        &self,
        tenant: Uuid,
        dataset: Uuid,
        version: Option<i64>,
    ) -> Result<Option<Contract>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT * FROM contracts WHERE tenant_id = $1 AND dataset_id = $2 AND ($3 IS NULL OR version = $3)
                 ORDER BY version DESC LIMIT 1",
                params![tenant, dataset, version],
            )
            .await?;
        transaction.commit().await?;
        row.as_ref().map(read_contract).transpose()
    }

    /// Adds the next contract of the dataset with this name, which is made where there is none.
    pub async fn add_contract(
        &self,
        tenant: Uuid,
        dataset: &str,
        contract: &Value,
        actor: &str,
    ) -> Result<Contract> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        let dataset = dataset_named(transaction.as_mut(), tenant, dataset).await?;
        transaction
            .fetch(
                "SELECT id FROM datasets WHERE id = $1 {lock}",
                params![dataset],
            )
            .await?;
        let row = transaction
            .one(
                "INSERT INTO contracts (dataset_id, version, tenant_id, contract, created_by, created_at)
                 SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, {now} FROM contracts WHERE dataset_id = $1
                 RETURNING *",
                params![dataset, tenant, contract.clone(), actor],
            )
            .await?;
        let contract = read_contract(&row)?;
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "contract_added",
            subject: dataset.to_string(),
            job_id: None,
            details: json!({"version": contract.version}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        transaction.commit().await?;
        Ok(contract)
    }

    /// Rules of a tenant, by name.
    pub async fn rules(&self, tenant: Uuid) -> Result<Vec<Rule>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let rows = transaction
            .fetch(
                "SELECT * FROM cleaning_rules WHERE tenant_id = $1 ORDER BY name LIMIT 10000",
                params![tenant],
            )
            .await?;
        transaction.commit().await?;
        rows.iter().map(read_rule).collect()
    }

    /// The rule of a name.
    pub async fn rule(&self, tenant: Uuid, name: &str) -> Result<Option<Rule>> {
        let mut transaction = self.read(Scope::Tenant(tenant)).await?;
        let row = transaction
            .optional(
                "SELECT * FROM cleaning_rules WHERE tenant_id = $1 AND name = $2",
                params![tenant, name],
            )
            .await?;
        transaction.commit().await?;
        row.as_ref().map(read_rule).transpose()
    }

    /// Writes a rule, over one of the same name.
    pub async fn put_rule(
        &self,
        tenant: Uuid,
        name: &str,
        rule: &Value,
        actor: &str,
    ) -> Result<Rule> {
        if name.is_empty() || name.len() > 200 || name.chars().any(|c| c.is_control() || c == '/') {
            return Err(MetadataError::Invalid(
                "a rule's name has 1 to 200 bytes, no slash and no control characters".to_owned(),
            ));
        }
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        let row = transaction
            .one(
                "INSERT INTO cleaning_rules (tenant_id, name, rule, created_by, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, {now}, {now})
                 ON CONFLICT (tenant_id, name) DO UPDATE SET rule = $3, updated_at = {now} RETURNING *",
                params![tenant, name, rule.clone(), actor],
            )
            .await?;
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "rule_written",
            subject: name.to_owned(),
            job_id: None,
            details: json!({"rule": rule}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        transaction.commit().await?;
        read_rule(&row)
    }

    /// Removes a rule.
    pub async fn delete_rule(&self, tenant: Uuid, name: &str, actor: &str) -> Result<()> {
        let mut transaction = self.write(Scope::Tenant(tenant)).await?;
        let removed = transaction
            .execute(
                "DELETE FROM cleaning_rules WHERE tenant_id = $1 AND name = $2",
                params![tenant, name],
            )
            .await?;
        if removed == 0 {
            return Err(MetadataError::NotFound("there is no such rule".to_owned()));
        }
        let entry = AuditEntry {
            actor: actor.to_owned(),
            action: "rule_removed",
            subject: name.to_owned(),
            job_id: None,
            details: json!({}),
        };
        audit::append(transaction.as_mut(), tenant, &entry).await?;
        transaction.commit().await
    }
}
