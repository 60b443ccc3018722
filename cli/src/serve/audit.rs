//! The audit log of SQL: what the Flight SQL service records goes to the service's metadata, in the
//! chain of the tenant of the same name.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use scheduler::metadata::{AuditEntry, Limits, MetadataError, MetadataStore};
use sql::{AuditError, AuditEvent, AuditLog};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::home::DEFAULT_TENANT;

/// Who makes a tenant for the sake of its audit log.
const ACTOR: &str = "flight-sql";

/// Records events of SQL in the service's metadata.
#[derive(Debug)]
pub(super) struct ServiceAudit {
    records: Arc<Records>,
    /// The runtime of the service: connections to its database must not belong to that of statements,
    /// which ends before it.
    runtime: Handle,
}

#[derive(Debug)]
struct Records {
    metadata: MetadataStore,
    /// Identifiers of tenants by name; a tenant is never removed or renamed.
    tenants: Mutex<HashMap<String, Uuid>>,
}

impl ServiceAudit {
    /// A log in the metadata of the service whose runtime this is called on.
    pub(super) fn new(metadata: MetadataStore) -> Self {
        Self {
            records: Arc::new(Records {
                metadata,
                tenants: Mutex::default(),
            }),
            runtime: Handle::current(),
        }
    }

    /// Does work of the metadata on the runtime of the service.
    async fn on_service<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, MetadataError>> + Send + 'static,
    ) -> Result<T, AuditError> {
        Ok(self.runtime.spawn(work).await??)
    }
}

impl Records {
    async fn append(&self, event: AuditEvent) -> Result<(), MetadataError> {
        // What belongs to no tenant is the operators' to see, whose tenant is the first one.
        let tenant = event.tenant.as_deref().unwrap_or(DEFAULT_TENANT);
        let tenant = self.tenant(tenant).await?;
        let entry = AuditEntry {
            actor: event.actor,
            action: event.action,
            subject: event.subject,
            job_id: None,
            details: event.details,
        };
        self.metadata.record(tenant, &entry).await
    }

    /// The tenant of a name; made where the service has none, so that its chain exists.
    async fn tenant(&self, name: &str) -> Result<Uuid, MetadataError> {
        if let Some(id) = self.known(name) {
            return Ok(id);
        }
        let id = match self.named(name).await? {
            Some(id) => id,
            None => {
                let limits = Limits::default();
                match self.metadata.create_tenant(name, &limits, ACTOR).await {
                    Ok(made) => made.id,
                    // Another process was first.
                    Err(MetadataError::Conflict(text)) => self
                        .named(name)
                        .await?
                        .ok_or(MetadataError::Conflict(text))?,
                    Err(error) => return Err(error),
                }
            }
        };
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.insert(name.to_owned(), id);
        Ok(id)
    }

    /// The tenant of exactly this name: a name that looks like an identifier is a name all the same.
    async fn named(&self, name: &str) -> Result<Option<Uuid>, MetadataError> {
        let tenants = self.metadata.tenants().await?;
        let tenant = tenants.into_iter().find(|tenant| tenant.name == name);
        Ok(tenant.map(|tenant| tenant.id))
    }

    fn known(&self, name: &str) -> Option<Uuid> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.get(name).copied()
    }
}

#[async_trait]
impl AuditLog for ServiceAudit {
    async fn append(&self, event: AuditEvent) -> Result<(), AuditError> {
        let records = Arc::clone(&self.records);
        self.on_service(async move { records.append(event).await })
            .await
    }

    async fn suspended_tenants(&self) -> Result<BTreeSet<String>, AuditError> {
        let metadata = self.records.metadata.clone();
        let tenants = self.on_service(async move { metadata.tenants().await });
        let suspended = tenants.await?.into_iter().filter(|tenant| tenant.suspended);
        Ok(suspended.map(|tenant| tenant.name).collect())
    }
}
