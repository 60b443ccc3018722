//! What a tenant has named: schemas, tables, views, stored specs, and the jobs that have finished.

mod definition;
mod guarded;
mod jobs;
mod locations;
mod provider;
mod store;
mod warehouse;

pub(crate) use definition::{
    Definition, FileDefinition, ViewDefinition, decode_schema, encode_schema,
};
pub(crate) use guarded::{Guarded, GuardedCatalog};
pub(crate) use jobs::JobsCatalog;
pub(crate) use locations::TenantLocations;
pub(crate) use provider::TenantCatalog;
pub(crate) use store::{CatalogStore, Snapshot};
pub(crate) use warehouse::{RowFormat, SingleFile, write_file, write_parts};
