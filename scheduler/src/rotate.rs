//! Re-sealing the token vault under another key, from the command line, while the service runs or not.

use serde_json::json;

use crate::metadata::{AuditEntry, MetadataStore};
use crate::service::ServiceError;
use crate::vault::{Owner, TokenKeys, Vault};

/// Re-seals under the key that writes every value of the vault that another key has sealed; gives how many. `done`
/// hears of each tenant's progress, a transaction at a time. May be stopped at any moment and run again.
///
/// # Errors
/// When a database does not answer, or a value is sealed under a key that is not among these.
pub async fn rotate_tokens(
    database: &str,
    token_database: &str,
    keys: TokenKeys,
    mut done: impl FnMut(&str, u64),
) -> Result<u64, ServiceError> {
    let metadata = MetadataStore::open(database).await?;
    let vault = Vault::open(token_database, keys).await?;
    let mut all = 0;
    for tenant in metadata.tenants().await? {
        let owner = Owner {
            id: tenant.id,
            name: tenant.name,
        };
        let count = vault
            .rotate(&owner, |count| done(&owner.name, count))
            .await?;
        all += count;
        if count > 0 {
            let entry = AuditEntry {
                actor: "operator".to_owned(),
                action: "tokens_resealed",
                subject: format!("{count} tokens"),
                job_id: None,
                details: json!({"key": vault.keys().writing.to_string()}),
            };
            metadata.record(owner.id, &entry).await?;
        }
    }
    Ok(all)
}
