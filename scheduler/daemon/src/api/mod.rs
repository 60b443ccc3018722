//! The REST service, as a part of `sanitizer serve` and of the scheduler.

mod arguments;
mod settings;

use std::io::Write as _;
use std::path::Path;

use cli_process::say;
use planner::private;
use scheduler::Service;
use tracing::{info, warn};

pub use self::arguments::ApiArguments;
pub use self::settings::{ApiSettings, tokens_beside};

/// The tenant of whoever works on the machine itself.
pub const DEFAULT_TENANT: &str = "default";

/// Name of the file that the first key is put into.
const FIRST_KEY: &str = "first-api-key";

/// Says where the API listens; where nobody has a key yet, makes one and puts it into a file that only its
/// owner reads.
///
/// # Errors
/// When the metadata store does not answer, or the file cannot be written.
pub async fn announce(service: &Service, home: Option<&Path>) -> anyhow::Result<()> {
    let address = service.address();
    say(&format!(
        "REST API listens on {}://{address}",
        service.scheme()
    ));
    if service.scheme() == "http" && !address.ip().is_loopback() {
        warn!("keys and data travel in the clear; set tls_cert and tls_key");
    }
    let Some(secret) = service.begin(DEFAULT_TENANT).await? else {
        return Ok(());
    };
    match home {
        Some(home) => {
            private::folder(home)?;
            let path = home.join(FIRST_KEY);
            let mut file = private::file(&path)?;
            writeln!(file, "{secret}")?;
            info!(file = %path.display(), "the first API key was written to a file");
            say(&format!("first API key: {}", path.display()));
        }
        None => say(&format!("first API key, shown this once: {secret}")),
    }
    Ok(())
}
