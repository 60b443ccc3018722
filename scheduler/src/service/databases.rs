//! The databases of the service as it starts: metadata, and the vault of tokens.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tracing::warn;

use super::error::ServiceError;
use crate::metadata::{MetadataError, MetadataStore};
use crate::vault::{TokenKeys, Vault};

/// Time for which a database that does not answer is waited for when the service starts, tries not counted.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// Opens the metadata; a database that starts at the same time may take a while.
pub(super) async fn open_metadata(url: &str) -> Result<MetadataStore, MetadataError> {
    let patience = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .with_total_delay(Some(START_PATIENCE));
    (|| MetadataStore::open(url))
        .retry(patience)
        .when(MetadataError::is_transient)
        .notify(|error, _| warn!(%error, "the service waits for its database"))
        .await
}

/// Makes the tables of the service, or brings them up to date.
///
/// # Errors
/// When a database does not open.
pub async fn migrate(database: &str, token_database: &str) -> Result<(), ServiceError> {
    open_metadata(database).await?;
    Vault::open(token_database, TokenKeys::default()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database that hangs up, as one that starts does, is asked again.
    #[tokio::test]
    async fn waits_for_its_database() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://{}/base", listener.local_addr().unwrap());
        let opening = tokio::spawn(async move { open_metadata(&url).await });
        for _ in 0..3 {
            let (asked, _) = listener.accept().await.unwrap();
            drop(asked);
        }
        assert!(!opening.is_finished());
        opening.abort();
    }
}
