//! The certificate of the API, which is read anew when it changes.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use axum_server::tls_rustls::RustlsConfig;
use tracing::{info, warn};

/// Interval at which the certificate is checked for changes.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(10);

/// Certificate and key, in PEM. They are read anew when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate of the server, and those up to its root.
    pub certificate: PathBuf,
    /// Private key of the certificate.
    pub key: PathBuf,
}

/// Reads certificate and key anew whenever they change.
pub(super) async fn reload(config: RustlsConfig, files: TlsFiles) {
    let changed = |path: &PathBuf| {
        std::fs::metadata(path)
            .and_then(|found| found.modified())
            .ok()
    };
    let stamp = |files: &TlsFiles| -> [Option<SystemTime>; 2] {
        [changed(&files.certificate), changed(&files.key)]
    };
    let mut known = stamp(&files);
    loop {
        tokio::time::sleep(CERTIFICATE_EVERY).await;
        let now = stamp(&files);
        if now == known {
            continue;
        }
        match config
            .reload_from_pem_file(&files.certificate, &files.key)
            .await
        {
            Ok(()) => {
                info!("the certificate was read anew");
                known = now;
            }
            // Perhaps only one of the two is there yet.
            Err(error) => warn!(%error, "the new certificate cannot be used; the old one stays"),
        }
    }
}
