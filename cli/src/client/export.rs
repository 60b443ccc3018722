//! `sanitizer audit export`.

use std::io::Write;

use futures::TryStreamExt;
use reqwest::Method;

use super::{ApiClient, ServerArguments, wait};

/// Writes the audit log of the key's tenant as JSON lines.
pub(crate) fn export_audit(server: &ServerArguments, to: &mut dyn Write) -> anyhow::Result<()> {
    let client = ApiClient::open(server)?;
    wait(async {
        let answer = client
            .send(|| client.request(Method::GET, "/audit/export"))
            .await?;
        let mut content = answer.bytes_stream();
        while let Some(chunk) = content.try_next().await? {
            to.write_all(&chunk)?;
        }
        Ok(to.flush()?)
    })
}
