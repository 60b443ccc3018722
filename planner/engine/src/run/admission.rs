//! Leave to read the rows of a source, asked for once they are counted and before any is read.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::error::Result;

type Ask = dyn Fn(u64) -> BoxFuture<'static, Result<()>> + Send + Sync;

/// Decides whether a job may read so many rows: a quota, for example.
#[derive(Clone)]
pub struct Admission(Arc<Ask>);

impl Admission {
    /// Returns an admission that asks `ask`, whose error ends the job.
    pub fn new(
        ask: impl Fn(u64) -> BoxFuture<'static, Result<()>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(ask))
    }

    /// Asks for leave to read `rows` rows.
    pub(super) async fn admit(&self, rows: u64) -> Result<()> {
        (self.0)(rows).await
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Admission")
    }
}
