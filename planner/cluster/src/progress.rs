//! How far a job of a cluster is. The driver asks along with a job's status, and the scheduler answers beside it, in the
//! metadata of the same call: so the question needs no other port, protocol or credential.

use std::time::{Duration, Instant};

use tonic::metadata::{MetadataMap, MetadataValue};

/// Key of a request's metadata: the caller wants to know how many partitions are done.
pub const WANTS_PROGRESS: &str = "sanitizer-wants-progress";

/// Key of an answer's metadata: the partitions of the job's first stage that are done.
pub const PARTITIONS_DONE: &str = "sanitizer-partitions-done";

/// Time between two questions, at least; an answer that took long is not asked for often.
const PERIOD: Duration = Duration::from_millis(500);
const SHARE: u32 = 20;

/// Asks the scheduler how many partitions of a job's first stage are done. That one reads the source; what comes after is
/// small beside it.
pub(super) struct StageWatch {
    next: Instant,
    asked: Option<Instant>,
}

impl Default for StageWatch {
    fn default() -> Self {
        Self {
            next: Instant::now() + PERIOD,
            asked: None,
        }
    }
}

impl StageWatch {
    /// Adds the question to a request, when it is time to ask.
    pub(super) fn ask(&mut self, metadata: &mut MetadataMap) {
        let now = Instant::now();
        self.asked = (now >= self.next).then_some(now);
        if self.asked.is_some() {
            metadata.insert(WANTS_PROGRESS, MetadataValue::from_static("1"));
        }
    }

    /// Returns the partitions that are done, if they were asked for and the scheduler tells them.
    pub(super) fn partitions_done(&mut self, metadata: &MetadataMap) -> Option<usize> {
        let asked = self.asked.take()?;
        self.next = Instant::now() + PERIOD.max(asked.elapsed() * SHARE);
        metadata.get(PARTITIONS_DONE)?.to_str().ok()?.parse().ok()
    }
}
