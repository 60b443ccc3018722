//! What a tenant has named: schemas, tables, views, stored specs, and the jobs that have finished.

mod definition;
mod guarded;
mod jobs;
mod locations;
mod provider;
mod store;
mod view;
mod warehouse;

pub(crate) use definition::{
    Definition, FileDefinition, ViewDefinition, decode_schema, encode_schema,
};
pub(crate) use guarded::{Guarded, GuardedCatalog};
pub(crate) use jobs::{FinishedOutput, JobsCatalog};
pub(crate) use locations::TenantLocations;
pub(crate) use provider::TenantCatalog;
pub(crate) use store::{CatalogStore, Snapshot};
pub(crate) use warehouse::{RowFormat, SingleFile, write_file, write_parts};

/// The catalog of a tenant's tables.
pub(crate) const CATALOG: &str = "sanitizer";

/// The schema that is always there.
pub(crate) const PUBLIC: &str = "public";

/// The catalog of the jobs that have finished.
pub(crate) const JOBS: &str = "jobs";
