//! Files of this machine are sent in parts, so that a connection that breaks costs one part.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};

use super::ApiClient;

/// Bytes of a part.
const PART: u64 = 32 << 20;

/// Most parts of an upload.
const PARTS: u64 = 10_000;

/// Sends a file; gives the identifier of the upload.
pub(crate) async fn upload(client: &ApiClient, path: &Path) -> anyhow::Result<String> {
    let shown = || path.display().to_string();
    let mut file = File::open(path).with_context(shown)?;
    let size = file.metadata().with_context(shown)?.len();
    let name = path.file_name().map(|name| name.to_string_lossy());
    let begun = client
        .post("/uploads", &json!({"name": name.unwrap_or_default()}))
        .await?;
    let id = begun["upload_id"]
        .as_str()
        .context("the service names no upload")?;
    let part_bytes = PART.max(size.div_ceil(PARTS));
    let bar = bar(size);
    let mut number = 0;
    let mut sent = 0;
    // A file without bytes has a part too.
    while sent < size || number == 0 {
        number += 1;
        let length = part_bytes.min(size - sent);
        let mut content = Vec::with_capacity(usize::try_from(length)?);
        file.seek(SeekFrom::Start(sent)).with_context(shown)?;
        (&mut file)
            .take(length)
            .read_to_end(&mut content)
            .with_context(shown)?;
        anyhow::ensure!(content.len() as u64 == length, "{} has shrunk", shown());
        let content = bytes::Bytes::from(content);
        let put = || {
            client
                .request(Method::PUT, &format!("/uploads/{id}/parts/{number}"))
                .header("content-type", "application/octet-stream")
                .body(content.clone())
        };
        client.send(put).await?;
        sent += length;
        bar.set_position(sent);
    }
    let complete = || client.request(Method::POST, &format!("/uploads/{id}/complete"));
    let done: Value = client.send(complete).await?.json().await?;
    bar.finish_and_clear();
    anyhow::ensure!(
        done["bytes"].as_u64() == Some(size),
        "{} did not arrive as it was",
        shown()
    );
    Ok(id.to_owned())
}

fn bar(size: u64) -> ProgressBar {
    let template = "{spinner} sending {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
