//! The outputs of finished jobs as tables: `jobs.<name>.data`, `.provenance`, `.removed`,
//! `.quarantine`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result as EngineResult};
use planner::spec::{Locations, Secret, SourceSpec};
use planner::storage::{LocationPolicy, Place};

use super::{CatalogStore, TenantCatalog};
use crate::engine::Engine;
use crate::error::Result;
use crate::table::FileTable;

/// Tables of an output, in the order in which they are shown.
const TABLES: [&str; 5] = ["data", "provenance", "removed", "quarantine", "clusters"];

/// The catalog of a tenant's finished jobs.
#[derive(Debug)]
pub(crate) struct JobsCatalog {
    engine: Engine,
    tenant: Arc<TenantCatalog>,
}

impl JobsCatalog {
    pub(crate) fn new(engine: Engine, tenant: Arc<TenantCatalog>) -> Self {
        Self { engine, tenant }
    }
}

impl CatalogProvider for JobsCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.tenant.snapshot().jobs.keys().cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let snapshot = self.tenant.snapshot();
        let output: FinishedOutput = serde_json::from_str(snapshot.jobs.get(name)?).ok()?;
        Some(Arc::new(JobSchema {
            engine: self.engine.clone(),
            output,
        }))
    }
}

/// Where the output of a job lies.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct FinishedOutput {
    /// The place, as a person writes it.
    pub(crate) location: String,
    /// Name of the store's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) credentials: Option<Secret>,
    /// The files by table.
    pub(crate) files: BTreeMap<String, Vec<String>>,
}

impl FinishedOutput {
    /// What the manifest of an output names.
    pub(crate) fn of(
        place: &Place,
        credentials: Option<Secret>,
        files: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in files {
            if let Some((table, _)) = file.split_once('/') {
                tables
                    .entry(table.to_owned())
                    .or_default()
                    .push(file.clone());
            }
        }
        Self {
            location: place.to_string(),
            credentials,
            files: tables,
        }
    }
}

impl Engine {
    /// Remembers the output of a job that has finished: its tables are `jobs.<name>.data` and so on.
    /// The files are those that the manifest names.
    ///
    /// # Errors
    /// When the catalog's database cannot be written.
    pub async fn remember_job(
        &self,
        tenant: &str,
        name: &str,
        output: &Place,
        credentials: Option<Secret>,
        files: impl IntoIterator<Item = String>,
    ) -> Result<()> {
        let output = FinishedOutput::of(output, credentials, files);
        let store = CatalogStore::new(self.shared.store.clone(), tenant);
        store
            .finish_job(name, &serde_json::to_string(&output)?)
            .await
    }
}

/// The tables of a finished job.
#[derive(Debug)]
struct JobSchema {
    engine: Engine,
    output: FinishedOutput,
}

#[async_trait]
impl SchemaProvider for JobSchema {
    fn table_names(&self) -> Vec<String> {
        let tables = TABLES.iter().filter(|table| self.table_exist(table));
        tables.map(|table| (*table).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(files) = self.output.files.get(name) else {
            return Ok(None);
        };
        let location = self.output.location.trim_end_matches('/');
        let files = files.iter().map(|file| format!("{location}/{file}"));
        let source = SourceSpec {
            location: Locations(files.collect()),
            credentials: self.output.credentials.clone(),
            ..SourceSpec::default()
        };
        // Outputs are named by whoever runs the process, not by statements.
        let locations = LocationPolicy::everything(&self.engine.options().base);
        let table = FileTable::of_catalog(&self.engine, (source, locations)).await?;
        Ok(Some(Arc::new(table)))
    }

    async fn table_type(&self, name: &str) -> EngineResult<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.output.files.contains_key(name)
    }
}
