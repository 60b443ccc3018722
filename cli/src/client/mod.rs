//! The REST API from a shell: `sanitizer submit`, `status`, `report`, `download`, `cancel`, `keys`, `tenants`.

mod api;
mod arguments;
mod export;
mod follow;
mod manage;
mod results;
mod submit;
mod upload;

use std::future::Future;

use anyhow::Context;

pub(crate) use self::api::ApiClient;
pub(crate) use self::arguments::{
    CancelArguments, DownloadArguments, KeysArguments, ReportArguments, ServerArguments,
    StatusArguments, SubmitArguments, TenantsArguments,
};
pub(crate) use self::export::export_audit;
pub(crate) use self::manage::{keys, tenants};
pub(crate) use self::results::{cancel, download, report, status};
pub(crate) use self::submit::submit;

/// Runs what waits for a server.
fn wait<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    runtime.block_on(work)
}
