//! A tenant's tables as the engine looks them up: from a snapshot that every statement takes anew.

use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::{Fields, Schema};
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result as EngineResult};
use planner::source::Format;
use planner::spec::{Locations, SourceSpec};

use super::{Definition, Snapshot, TenantLocations, decode_schema};
use crate::engine::Engine;
use crate::error::Result;
use crate::identifiers::PUBLIC;
use crate::table::{FileTable, StoredView};

/// The catalog of a tenant.
#[derive(Debug)]
pub(crate) struct TenantCatalog {
    engine: Engine,
    locations: TenantLocations,
    snapshot: RwLock<Arc<Snapshot>>,
}

impl TenantCatalog {
    pub(crate) fn new(engine: Engine, locations: TenantLocations) -> Self {
        let mut empty = Snapshot::default();
        empty.schemas.insert(PUBLIC.to_owned(), Default::default());
        Self {
            engine,
            locations,
            snapshot: RwLock::new(Arc::new(empty)),
        }
    }

    /// Which files the tables may lie in.
    pub(crate) fn locations(&self) -> &TenantLocations {
        &self.locations
    }

    /// The names as they were when the last statement began.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_snapshot(&self, snapshot: Snapshot) {
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }
}

impl CatalogProvider for TenantCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.snapshot().schemas.keys().cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let snapshot = self.snapshot();
        snapshot.schemas.contains_key(name).then(|| {
            Arc::new(TenantSchema {
                engine: self.engine.clone(),
                locations: self.locations.clone(),
                name: name.to_owned(),
                snapshot,
            }) as Arc<dyn SchemaProvider>
        })
    }
}

/// A schema of a tenant.
#[derive(Debug)]
struct TenantSchema {
    engine: Engine,
    locations: TenantLocations,
    name: String,
    snapshot: Arc<Snapshot>,
}

impl TenantSchema {
    fn definition(&self, name: &str) -> Option<&Definition> {
        self.snapshot.schemas.get(&self.name)?.get(name)
    }
}

#[async_trait]
impl SchemaProvider for TenantSchema {
    fn table_names(&self) -> Vec<String> {
        let tables = self.snapshot.schemas.get(&self.name);
        tables.map_or_else(Vec::new, |tables| tables.keys().cloned().collect())
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some(definition) = self.definition(name) {
            return Ok(Some(provider(&self.engine, &self.locations, definition)?));
        }
        if self.name == PUBLIC && is_location(name) {
            let source = SourceSpec {
                location: Locations(vec![name.to_owned()]),
                ..SourceSpec::default()
            };
            let locations = self.locations.named().clone();
            let table = FileTable::of_catalog(&self.engine, (source, locations)).await?;
            return Ok(Some(Arc::new(table)));
        }
        Ok(None)
    }

    async fn table_type(&self, name: &str) -> EngineResult<Option<TableType>> {
        Ok(self.definition(name).map(|definition| match definition {
            Definition::File(_) => TableType::Base,
            Definition::View(_) => TableType::View,
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.definition(name).is_some()
    }
}

/// The table that a definition describes.
pub(super) fn provider(
    engine: &Engine,
    locations: &TenantLocations,
    definition: &Definition,
) -> Result<Arc<dyn TableProvider>> {
    Ok(match definition {
        Definition::File(file) => {
            let schema = decode_schema(&file.schema)?;
            // NOT NULL is for what goes in: a reader that casts cannot vouch for it, and the engine
            // takes it for a mistake if the plan and its operators do not agree on it.
            let fields = schema.fields().iter();
            let fields: Fields = fields
                .map(|field| field.as_ref().clone().with_nullable(true))
                .collect();
            let schema = Arc::new(Schema::new(fields));
            let source = (file.source.clone(), locations.of_table(file).clone());
            Arc::new(FileTable::new(engine, source, schema, file.declared))
        }
        Definition::View(view) => {
            let schema = decode_schema(&view.schema)?;
            Arc::new(StoredView::new(view.query.clone(), schema))
        }
    })
}

/// Whether a name that no table has is one of a file: `'data/customers.csv'`, `'s3://lake/in/'`.
pub(super) fn is_location(name: &str) -> bool {
    name.contains('/') || Format::of_name(name).is_some()
}
