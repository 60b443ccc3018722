//! Pairs of rows that have keys in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::concat_batches;
use datafusion::execution::memory_pool::MemoryReservation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use udfs::kernels::matching::KeyPlan;

use super::earlier::EarlierIndex;
use super::found::{EarlierOutput, Found};
use super::options::{MatchingNeed, Meeting};
use super::pairs::{Bucket, Candidates, CappedKeys, find_pairs};
use super::rows::{RowKeys, Values, sides};
use super::sample::COUNT_BUCKET;
use crate::error::{Error, Result};
use crate::operation::{
    Accumulator, BucketEvaluator, CleaningBatch, Collected, DriverContext, Extension, Extensions,
    KEY_BUCKETS, KeyedStatistic, PartialState, PartialStates, ReportContext, SplitContext,
    Statistic, StatisticFiles, StatisticReport, StatisticValue, Stored, Traffic, known,
};
use crate::profile::RowSample;
use planner_base::in_threads;

/// How the keys of the rows of a batch are made.
#[derive(Debug)]
pub struct KeysOfRows(pub Arc<KeyPlan>);

impl Extension for KeysOfRows {}

impl KeysOfRows {
    /// The plan that a batch has.
    pub(super) fn plan(batch: &CleaningBatch) -> Option<&KeyPlan> {
        let plan = batch.extensions.get::<Self>();
        plan.map(|plan| plan.0.as_ref())
    }
}

/// Bytes of the keys by which a row may meet others.
pub(super) const ROW_KEYS_BYTES: u64 = 480;

/// Pairs of rows that may be near duplicates. Its value is [`Candidates`].
#[derive(Debug, Clone)]
pub struct CandidatePairs(pub MatchingNeed);

/// What workers must know to find pairs.
#[derive(Debug, Serialize, Deserialize)]
struct PairOrder {
    /// Which rows of a key meet.
    meeting: Meeting,
    /// Rows of an earlier output that they may meet too.
    earlier: Option<Arc<EarlierIndex>>,
}

impl Statistic for CandidatePairs {
    fn describe(&self, names: &dyn Fn(&[usize]) -> String) -> String {
        format!("keys of {} by which rows meet", names(&self.0.columns))
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            what: "hashes",
            row_bytes: Some(ROW_KEYS_BYTES),
        }
    }

    fn accumulator(&self, split: &SplitContext) -> Box<dyn Accumulator> {
        Box::new(RowsByKey::new(self.0.clone(), split.first_row))
    }

    fn evaluate(
        &self,
        partial: PartialStates,
        driver: &mut DriverContext<'_>,
    ) -> Result<StatisticValue> {
        let mut found = Found::take(&self.0, driver)?;
        let meeting = self.0.meeting(&found.plan);
        let mut buckets = partial.by_bucket();
        found.count(&mut buckets)?;
        let held = driver.memory.new_empty();
        if let Some(earlier) = EarlierOutput::of(driver.shared) {
            earlier.add_keys(&mut buckets, driver.threads, &held)?;
        }
        let buckets: Vec<Vec<RecordBatch>> = buckets.into_values().collect();
        let parts = in_threads(driver.threads, buckets, |keys| -> Result<_> {
            find_pairs(&keys, meeting, &held)
        })?;
        let mut pairs = Vec::with_capacity(parts.len());
        for part in parts {
            found.capped.add(part.capped);
            pairs.push(part.pairs);
        }
        let mut candidates = Candidates::merge(&pairs, meeting.least_shared, driver.threads)?;
        if let Some(rows) = driver.watched {
            found.met = candidates.watch(rows);
        }
        driver.memory.try_grow(candidates.bytes())?;
        driver.shared.insert(found);
        Ok(StatisticValue::new(candidates))
    }

    fn keyed(&self) -> Option<&dyn KeyedStatistic> {
        Some(self)
    }

    fn store(&self, value: &StatisticValue, files: &StatisticFiles) -> Result<Stored> {
        let candidates = known::<Candidates>(Some(value))?;
        files.write_pairs(0, &both_ways(&candidates.pairs))?;
        Ok(Stored {
            buckets: vec![0],
            note: 1.into(),
            ..files.stored()
        })
    }

    fn load(&self, stored: &Stored, split: u64) -> Result<StatisticValue> {
        let least_shared = stored
            .note
            .as_u64()
            .and_then(|least| u32::try_from(least).ok());
        let least_shared = least_shared.ok_or(Error::Bug("stored pairs of another statistic"))?;
        let candidates = Candidates::of_split(stored.read_pairs(split)?, least_shared);
        Ok(StatisticValue::new(candidates))
    }

    fn report(&self, _: Option<&StatisticValue>, _: &ReportContext<'_>) -> Option<StatisticReport> {
        None
    }
}

impl KeyedStatistic for CandidatePairs {
    fn row_bytes(&self) -> u64 {
        ROW_KEYS_BYTES
    }

    fn order(&self, _: &StatisticFiles, shared: &Extensions) -> Result<Value> {
        Ok(serde_json::to_value(PairOrder {
            meeting: Found::meeting(&self.0, shared),
            earlier: EarlierOutput::of(shared),
        })?)
    }

    fn evaluator(
        &self,
        order: &Value,
        files: StatisticFiles,
        _: Option<RowSample>,
    ) -> Result<Box<dyn BucketEvaluator>> {
        let order = PairOrder::deserialize(order)?;
        Ok(Box::new(PairFinder { order, files }))
    }

    fn collect(
        &self,
        mut told: BTreeMap<u16, Vec<RecordBatch>>,
        driver: &mut DriverContext<'_>,
    ) -> Result<Collected> {
        let mut found = Found::take(&self.0, driver)?;
        let meeting = self.0.meeting(&found.plan);
        found.count(&mut told)?;
        for told in told.values().flatten() {
            found.capped.add(CappedKeys::read(told)?);
        }
        driver.shared.insert(found);
        Ok(Collected::Stored(Stored {
            buckets: told.into_keys().collect(),
            note: meeting.least_shared.into(),
            ..driver.files.stored()
        }))
    }
}

/// Finds the pairs of buckets, and stores them.
struct PairFinder {
    order: PairOrder,
    files: StatisticFiles,
}

impl BucketEvaluator for PairFinder {
    fn complete(
        &self,
        buckets: &mut BTreeMap<u16, Vec<RecordBatch>>,
        memory: &MemoryReservation,
    ) -> Result<()> {
        let Some(earlier) = &self.order.earlier else {
            return Ok(());
        };
        let mut counts = buckets.split_off(&COUNT_BUCKET);
        earlier.add_keys(buckets, 1, memory)?;
        buckets.append(&mut counts);
        Ok(())
    }

    fn evaluate(
        &self,
        bucket: u16,
        partial: Vec<RecordBatch>,
        memory: &MemoryReservation,
    ) -> Result<RecordBatch> {
        // Counts, which are no keys.
        if bucket >= COUNT_BUCKET {
            let schema = partial.first().ok_or(Error::Bug("no counts"))?.schema();
            return Ok(concat_batches(&schema, &partial)?);
        }
        let held = memory.new_empty();
        let found = find_pairs(&partial, self.order.meeting, &held)?;
        held.try_grow(2 * found.pairs.len() * size_of::<(u64, u64)>())?;
        self.files.write_pairs(bucket, &both_ways(&found.pairs))?;
        found.capped.batch()
    }
}

/// Each pair in both directions, ascending.
fn both_ways(pairs: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let turned = pairs.iter().map(|(left, right)| (*right, *left));
    let mut both: Vec<(u64, u64)> = pairs.iter().copied().chain(turned).collect();
    both.sort_unstable();
    both
}

/// The rows of a split, by their keys.
struct RowsByKey {
    need: MatchingNeed,
    first_row: u64,
    keys: Option<RowKeys>,
    buckets: Vec<Bucket>,
    /// Rows of each side.
    counts: BTreeMap<u64, u64>,
}

impl RowsByKey {
    /// Of a split that begins with this row.
    fn new(need: MatchingNeed, first_row: u64) -> Self {
        Self {
            first_row,
            keys: None,
            buckets: (0..KEY_BUCKETS).map(|_| Bucket::default()).collect(),
            counts: BTreeMap::new(),
            need,
        }
    }
}

impl Accumulator for RowsByKey {
    fn update(&mut self, frame: &CleaningBatch) -> Result<usize> {
        let values = Values::new(frame, &self.need.columns)?;
        let sides = sides(frame, self.need.link_by);
        let maker = match &mut self.keys {
            Some(maker) => maker,
            None => {
                let maker = RowKeys::new(&self.need, KeysOfRows::plan(frame))?;
                self.keys.insert(maker)
            }
        };
        let mut bytes = 0;
        for row in (0..frame.rows()).filter(|row| frame.is_live(*row)) {
            let number = frame.first_row + row as u64;
            let side = sides.as_ref().map_or(0, |sides| sides[row]);
            *self.counts.entry(side).or_default() += 1;
            let keys = maker.of(&values, row);
            let same = Bucket::same(keys);
            for key in keys {
                let bucket = &mut self.buckets[Bucket::of(*key)];
                bucket.keys.push(Bucket::half(*key));
                bucket.rows.push((number - self.first_row) as u32);
                bucket.same.push(same);
                if sides.is_some() {
                    bucket.sides.push(side as u32);
                }
            }
            bytes += keys.len() * if sides.is_some() { 16 } else { 12 };
        }
        Ok(bytes)
    }

    /// A batch for each bucket of keys (`key`, `row`, `same`, and `side` where there are sides), and the number of rows
    /// of each side.
    fn finish(self: Box<Self>) -> Result<Vec<PartialState>> {
        let mut entries = Vec::new();
        for (bucket, keys) in self.buckets.into_iter().enumerate() {
            if keys.keys.is_empty() {
                continue;
            }
            entries.push(PartialState {
                bucket: bucket as u16,
                batch: keys.into_batch(self.first_row)?,
            });
        }
        let sides = UInt64Array::from_iter_values(self.counts.keys().copied());
        let rows = UInt64Array::from_iter_values(self.counts.values().copied());
        let counts = [
            ("rows", Arc::new(rows) as ArrayRef),
            ("side", Arc::new(sides)),
        ];
        entries.push(PartialState {
            bucket: COUNT_BUCKET,
            batch: RecordBatch::try_from_iter(counts)?,
        });
        Ok(entries)
    }
}
