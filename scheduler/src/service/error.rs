//! What can go wrong with the service.

use std::net::SocketAddr;

use crate::metadata::MetadataError;

/// What can go wrong with the service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The settings cannot be right.
    #[error("{0}")]
    Invalid(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("tls: {0}")]
    Tls(std::io::Error),
    /// The metadata store failed.
    #[error("metadata: {0}")]
    Metadata(#[from] MetadataError),
    /// The API failed.
    #[error("the API failed: {0}")]
    Io(#[from] std::io::Error),
}
