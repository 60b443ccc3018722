//! The catalogs as a login of the service sees them: what it may not read is not there.

use std::sync::{Arc, Weak};

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::information_schema::{INFORMATION_SCHEMA, InformationSchemaProvider};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use super::provider::is_location;
use crate::error::Error;
use crate::grants::{Action, Grants};
use crate::settings::client_setting;

/// The table of the information schema that lists settings.
const SETTINGS: &str = "df_settings";

/// The table of a job's output that tells which cells were changed.
const PROVENANCE: &str = "provenance";

/// Which catalog is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarded {
    /// The tenant's tables and views.
    Tables,
    /// The outputs of jobs.
    Jobs,
}

/// A catalog as a login sees it. Datasets that it is not limited to are left out of the snapshot
/// already; this leaves out what its actions do not let it read, and the operator's settings.
#[derive(Debug)]
pub(crate) struct GuardedCatalog {
    inner: Arc<dyn CatalogProvider>,
    kind: Guarded,
    grants: Grants,
    /// All catalogs, for the information schema; they hold this one.
    all: Weak<dyn CatalogProviderList>,
}

impl GuardedCatalog {
    pub(crate) fn new(
        inner: Arc<dyn CatalogProvider>,
        kind: Guarded,
        grants: Grants,
        all: &Arc<dyn CatalogProviderList>,
    ) -> Self {
        Self {
            inner,
            kind,
            grants,
            all: Arc::downgrade(all),
        }
    }
}

impl CatalogProvider for GuardedCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == INFORMATION_SCHEMA {
            let all = self.all.upgrade()?;
            return Some(Arc::new(GuardedInformation(
                InformationSchemaProvider::new(all),
            )));
        }
        Some(Arc::new(GuardedSchema {
            inner: self.inner.schema(name)?,
            kind: self.kind,
            grants: self.grants.clone(),
        }))
    }
}

/// A schema as a login sees it.
#[derive(Debug)]
struct GuardedSchema {
    inner: Arc<dyn SchemaProvider>,
    kind: Guarded,
    grants: Grants,
}

impl GuardedSchema {
    /// The action that reading a table needs.
    fn needs(&self, table: &str) -> Action {
        match self.kind {
            Guarded::Jobs if table == PROVENANCE => Action::ReadProvenance,
            Guarded::Jobs | Guarded::Tables => Action::ReadData,
        }
    }

    fn sees(&self, table: &str) -> bool {
        self.grants.may(self.needs(table))
    }

    /// Refuses a file or URL in the place of a table.
    fn check_file(&self) -> Result<(), Error> {
        self.grants.check(Action::ReadFiles)?;
        self.grants.check(Action::ReadData)?;
        match self.grants.is_limited() {
            // A file may be the output of a dataset that the login does not see.
            true => Err(Error::Forbidden(
                "this login is limited to some datasets, and files are none of them".to_owned(),
            )),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl SchemaProvider for GuardedSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.inner.table_names();
        names.retain(|name| self.sees(name));
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if !self.inner.table_exist(name) && is_location(name) {
            self.check_file()?;
        } else if !self.sees(name) {
            return Ok(None);
        }
        self.inner.table(name).await
    }

    async fn table_type(&self, name: &str) -> EngineResult<Option<TableType>> {
        match self.sees(name) {
            true => self.inner.table_type(name).await,
            false => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.sees(name) && self.inner.table_exist(name)
    }
}

/// The information schema with the client's settings only.
#[derive(Debug)]
struct GuardedInformation(InformationSchemaProvider);

#[async_trait]
impl SchemaProvider for GuardedInformation {
    fn table_names(&self) -> Vec<String> {
        self.0.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if !name.eq_ignore_ascii_case(SETTINGS) {
            return self.0.table(name).await;
        }
        let settings: Arc<dyn PartitionStream> = Arc::new(ClientSettings::new());
        let schema = Arc::clone(settings.schema());
        let table = StreamingTable::try_new(schema, vec![settings])?;
        Ok(Some(Arc::new(table)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.table_exist(name)
    }
}

/// The settings that a client may see, with the values of its session.
#[derive(Debug)]
struct ClientSettings(SchemaRef);

impl ClientSettings {
    fn new() -> Self {
        Self(Arc::new(Schema::new(vec![
            Field::new("name", DataType::Utf8, false),
            Field::new("value", DataType::Utf8, true),
            Field::new("description", DataType::Utf8, true),
        ])))
    }
}

impl PartitionStream for ClientSettings {
    fn schema(&self) -> &SchemaRef {
        &self.0
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut entries = context.session_config().options().entries();
        entries.retain(|entry| client_setting(&entry.key).is_some());
        let names = StringArray::from_iter_values(entries.iter().map(|entry| &entry.key));
        let values: StringArray = entries.iter().map(|entry| entry.value.as_ref()).collect();
        let meanings = StringArray::from_iter_values(entries.iter().map(|entry| entry.description));
        let columns = vec![
            Arc::new(names) as _,
            Arc::new(values) as _,
            Arc::new(meanings) as _,
        ];
        let batch = RecordBatch::try_new(Arc::clone(&self.0), columns);
        let rows = futures::stream::iter([batch.map_err(DataFusionError::from)]);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.0), rows))
    }
}
