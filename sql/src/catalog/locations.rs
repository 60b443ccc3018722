//! Which files a tenant's tables may lie in.

use planner::spec::Secret;
use planner::storage::{LocationPolicy, Place};

use super::FileDefinition;
use crate::engine::EngineOptions;
use crate::error::{Error, Result};

/// The locations that the tables of a tenant may lie in.
#[derive(Debug, Clone)]
pub(crate) struct TenantLocations {
    /// What the tenant's statements may name.
    named: LocationPolicy,
    /// What they have made.
    made: LocationPolicy,
}

impl TenantLocations {
    /// The locations of a tenant.
    ///
    /// # Errors
    /// When a root of the tenant is not a location, or the folder of its tables cannot be made.
    pub(crate) fn of(options: &EngineOptions, tenant: &str) -> Result<Self> {
        Ok(Self {
            named: options.locations(tenant)?,
            made: options.own_tables(tenant)?,
        })
    }

    /// The policy of what statements name.
    pub(crate) fn named(&self) -> &LocationPolicy {
        &self.named
    }

    /// The policy of a table's files: those of a table of the catalog's own lie where statements name nothing.
    pub(crate) fn of_table(&self, table: &FileDefinition) -> &LocationPolicy {
        match table.managed {
            true => &self.made,
            false => &self.named,
        }
    }

    /// The place that a statement names.
    ///
    /// # Errors
    /// When the text is not a location, or one that the tenant may not name.
    pub(crate) fn place(&self, text: &str, credentials: Option<&Secret>) -> Result<Place> {
        let place = self.named.place(text, credentials);
        place.map_err(|error| Error::location(text, &error))
    }

    /// The folder of a table that statements have made.
    ///
    /// # Errors
    /// When the name is not one of a folder of the tenant's.
    pub(crate) fn made(&self, name: &str) -> Result<Place> {
        let place = self.made.place(name, None);
        place.map_err(|error| Error::location(name, &error))
    }

    /// Deletes the files of a table of the catalog's own. What cannot be deleted stays, unnamed.
    pub(crate) fn forget(&self, table: &FileDefinition) {
        for name in table.source.location.0.iter().filter(|_| table.managed) {
            let removed = self.made(name).map(|folder| folder.remove_all());
            if let Err(error) | Ok(Err(error)) =
                removed.map(|done| done.map_err(|error| Error::io(name, error)))
            {
                tracing::warn!(table = name, %error, "the files of a dropped table stay");
            }
        }
    }
}
