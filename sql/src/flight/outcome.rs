//! How statements end, as metrics.

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use planner::telemetry::METRICS;
use tonic::{Code, Status};

/// Counts the end of a statement when it is dropped; one that nobody waits for any more was cancelled.
pub(super) struct Outcome(&'static str);

impl Outcome {
    pub(super) fn begin() -> Self {
        Self("cancelled")
    }

    /// It has come to an end.
    pub(super) fn is<T>(&mut self, result: &Result<T, Status>) {
        self.0 = match result {
            Ok(_) => "success",
            Err(status) if status.code() == Code::Cancelled => "cancelled",
            Err(_) => "failed",
        };
    }

    /// Its rows, at whose end it has ended.
    pub(super) fn follow<T: Send + 'static>(
        self,
        rows: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> BoxStream<'static, Result<T, Status>> {
        let state = (self, rows.boxed());
        let rows = futures::stream::unfold(state, |(mut outcome, mut rows)| async move {
            let next = rows.next().await;
            match &next {
                Some(Ok(_)) => {}
                Some(failed) => outcome.is(failed),
                None if outcome.0 == "cancelled" => outcome.is(&Ok(())),
                None => {}
            }
            next.map(|next| (next, (outcome, rows)))
        });
        rows.boxed()
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        METRICS.flight_sql_statements.count([self.0]);
    }
}
