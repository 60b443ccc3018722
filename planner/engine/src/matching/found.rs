//! What the statistics of one search for near duplicates have found so far, for those that follow.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use udfs::kernels::matching::KeyPlan;

use super::CappedKeys;
use super::earlier::EarlierIndex;
use super::options::{MatchingNeed, Meeting, Method};
use super::sample::Sample;
use crate::error::Result;
use crate::operation::{DriverContext, Extension, Extensions, KEY_BUCKETS};

/// The output of an earlier job with which rows are compared.
#[derive(Debug, Clone)]
pub struct EarlierOutput(pub Arc<EarlierIndex>);

impl Extension for EarlierOutput {}

impl EarlierOutput {
    /// The index, where rows are compared with those of one.
    pub(super) fn of(shared: &Extensions) -> Option<Arc<EarlierIndex>> {
        let earlier = shared.get::<Self>()?;
        Some(Arc::clone(&earlier.0))
    }
}

/// What earlier statistics have found, beside the pairs.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sample: Sample,
    pub(super) plan: Arc<KeyPlan>,
    pub(super) capped: CappedKeys,
    /// Whether the rows that are watched are a pair.
    pub(super) met: bool,
}

impl Extension for Found {}

impl Found {
    /// What a sample of the rows tells.
    pub(super) fn of_sample(
        need: &MatchingNeed,
        parts: &[RecordBatch],
        driver: &DriverContext<'_>,
    ) -> Result<Self> {
        let earlier = EarlierOutput::of(driver.shared);
        let mut sample = match need.method {
            Method::Texts { .. } => Sample::of_texts(parts)?,
            Method::Records { .. } => Sample::merge(parts)?,
        };
        // Rows meet those of an earlier output by the keys that these have.
        let plan = match (&earlier, &need.method) {
            (Some(earlier), _) => {
                let plan = earlier.head.plan.clone();
                plan.for_rows(driver.rows + earlier.rows())
            }
            (None, Method::Texts { .. }) => KeyPlan {
                shingle: sample.shingle.clone(),
                ..KeyPlan::default()
            },
            (None, Method::Records { .. }) => {
                KeyPlan::learn(&sample.records, &need.keys, driver.rows)
            }
        };
        sample.prepare(need, earlier.as_deref())?;
        driver.memory.try_grow(sample.bytes())?;
        Ok(Self {
            plan: Arc::new(plan),
            sample,
            ..Self::default()
        })
    }

    /// Takes what was found out of what statistics share; what texts are cut into may have been said, so that there
    /// was no sample.
    pub(super) fn take(need: &MatchingNeed, driver: &mut DriverContext<'_>) -> Result<Self> {
        match driver.shared.remove() {
            Some(found) => Ok(found),
            None => Self::of_sample(need, &[], driver),
        }
    }

    /// Which rows of a key meet.
    pub(super) fn meeting(need: &MatchingNeed, shared: &Extensions) -> Meeting {
        match shared.get::<Self>() {
            Some(found) => need.meeting(&found.plan),
            None => need.meeting(&KeyPlan::default()),
        }
    }

    /// Takes the counts, which are no keys, out of the partial states.
    pub(super) fn count(&mut self, buckets: &mut BTreeMap<u16, Vec<RecordBatch>>) -> Result<()> {
        let counts = buckets.split_off(&(KEY_BUCKETS as u16));
        let counts: Vec<RecordBatch> = counts.into_values().flatten().collect();
        self.sample.count(&counts)
    }
}
