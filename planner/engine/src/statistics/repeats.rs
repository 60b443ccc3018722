//! Which rows repeat the key of another row: 128-bit hashes, cut into buckets by their first bits.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, UInt32Array, UInt64Array,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type, UInt64Type};
use datafusion::execution::memory_pool::MemoryReservation;
use planner_base::in_threads;
use serde_json::Value;
use udfs::kernels::row_hash::hash_rows;

use crate::error::{Error, Result};
use crate::operation::{
    Accumulator, BucketEvaluator, CleaningBatch, Collected, DriverContext, Extensions, KEY_BUCKETS,
    KeyedStatistic, PartialState, PartialStates, ReportContext, SplitContext, Statistic,
    StatisticFiles, StatisticReport, StatisticValue, Stored, Traffic, among, known,
};
use crate::profile::RowSample;

/// Which rows repeat the key of another row. Its value is [`Repeats`].
#[derive(Debug, Clone, PartialEq)]
pub struct RepeatedKeys {
    /// Columns of the key.
    pub columns: Vec<usize>,
    /// Which row of equal ones stays.
    pub keep: Keep,
    /// Whether a row with a missing value in its key is left out, as SQL's UNIQUE does.
    pub skip_nulls: bool,
}

/// Which row of equal ones stays.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The first in source order.
    #[default]
    First,
    /// The last in source order.
    Last,
    /// The one with the fewest missing values in all columns; the first of them.
    MostComplete,
}

/// Rows that repeat the key of another: the row, and the one that stays; by row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repeats(pub Vec<(u64, u64)>);

impl Repeats {
    /// The repeats among `rows` rows from `first_row`.
    pub fn among(&self, first_row: u64, rows: usize) -> &[(u64, u64)] {
        among(&self.0, first_row, rows)
    }
}

impl Statistic for RepeatedKeys {
    fn describe(&self, names: &dyn Fn(&[usize]) -> String) -> String {
        format!("a 128-bit hash of {}", names(&self.columns))
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            what: "hashes",
            row_bytes: Some(self.key_bytes() as u64),
        }
    }

    fn accumulator(&self, split: &SplitContext) -> Box<dyn Accumulator> {
        Box::new(Keys::new(self.clone(), split.rows))
    }

    fn evaluate(
        &self,
        partial: PartialStates,
        driver: &mut DriverContext<'_>,
    ) -> Result<StatisticValue> {
        let buckets: Vec<Vec<RecordBatch>> = partial.by_bucket().into_values().collect();
        let parts = in_threads(driver.threads, buckets, |keys| -> Result<_> {
            find_repeats(self.keep, &keys, driver.memory)
        })?;
        // While the parts are put together, every repeat is there twice.
        let twice = driver.memory.new_empty();
        let found = parts.iter().map(Vec::len).sum();
        twice.try_grow(found * size_of::<(u64, u64)>())?;
        let mut repeats = Vec::with_capacity(found);
        repeats.extend(parts.into_iter().flatten());
        repeats.sort_unstable();
        if driver.drops_rows {
            driver.memory.try_grow(repeats.len() * size_of::<u64>())?;
            driver.removed.extend(repeats.iter().map(|(row, _)| *row));
        }
        Ok(StatisticValue::new(Repeats(repeats)))
    }

    fn keyed(&self) -> Option<&dyn KeyedStatistic> {
        Some(self)
    }

    fn store(&self, value: &StatisticValue, files: &StatisticFiles) -> Result<Stored> {
        files.write_pairs(0, &known::<Repeats>(Some(value))?.0)?;
        Ok(Stored {
            buckets: vec![0],
            ..files.stored()
        })
    }

    fn load(&self, stored: &Stored, split: u64) -> Result<StatisticValue> {
        Ok(StatisticValue::new(Repeats(stored.read_pairs(split)?)))
    }

    fn report(&self, _: Option<&StatisticValue>, _: &ReportContext<'_>) -> Option<StatisticReport> {
        Some(StatisticReport::exact())
    }
}

impl RepeatedKeys {
    /// Bytes that are taken down of a row.
    fn key_bytes(&self) -> usize {
        match self.keep {
            Keep::MostComplete => 28,
            Keep::First | Keep::Last => 24,
        }
    }
}

impl KeyedStatistic for RepeatedKeys {
    fn row_bytes(&self) -> u64 {
        32
    }

    fn finds_repeats(&self) -> bool {
        true
    }

    fn order(&self, _: &StatisticFiles, _: &Extensions) -> Result<Value> {
        Ok(Value::Null)
    }

    fn evaluator(
        &self,
        _: &Value,
        files: StatisticFiles,
        told: Option<RowSample>,
    ) -> Result<Box<dyn BucketEvaluator>> {
        let keep = self.keep;
        Ok(Box::new(Finder { keep, files, told }))
    }

    fn collect(
        &self,
        told: BTreeMap<u16, Vec<RecordBatch>>,
        driver: &mut DriverContext<'_>,
    ) -> Result<Collected> {
        let mut stored = driver.files.stored();
        for (bucket, told) in told {
            stored.buckets.push(bucket);
            for batch in told {
                let rows = batch.column(0).as_primitive_opt::<UInt64Type>();
                let rows = rows.ok_or(Error::Bug("rows that are none"))?;
                driver.removed.extend(rows.values().iter().copied());
            }
        }
        Ok(Collected::Stored(stored))
    }
}

/// Finds the repeats of buckets, and stores them.
struct Finder {
    keep: Keep,
    files: StatisticFiles,
    told: Option<RowSample>,
}

impl BucketEvaluator for Finder {
    fn evaluate(
        &self,
        bucket: u16,
        partial: Vec<RecordBatch>,
        memory: &MemoryReservation,
    ) -> Result<RecordBatch> {
        let held = memory.new_empty();
        let repeats = find_repeats(self.keep, &partial, &held)?;
        self.files.write_pairs(bucket, &repeats)?;
        let is_told = |row: &u64| self.told.is_some_and(|sample| sample.contains(*row));
        let rows = repeats.iter().map(|(row, _)| *row).filter(is_told);
        let rows = UInt64Array::from_iter_values(rows);
        Ok(RecordBatch::try_from_iter([("row", Arc::new(rows) as _)])?)
    }
}

/// The keys of a split's rows, bucket by bucket, each in row order.
#[derive(Debug)]
struct Keys {
    statistic: RepeatedKeys,
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    hashes: Vec<u128>,
    rows: Vec<u64>,
    // Number of missing values of the row; kept only where it decides which row stays.
    missing: Vec<u32>,
}

impl Keys {
    /// Of a split of so many rows.
    fn new(statistic: RepeatedKeys, rows: usize) -> Self {
        // Hashes spread evenly: a tenth more than the mean is hardly ever too little.
        let room = rows / KEY_BUCKETS + rows / KEY_BUCKETS / 10;
        let bucket = |_| Bucket {
            hashes: Vec::with_capacity(room),
            rows: Vec::with_capacity(room),
            missing: Vec::new(),
        };
        let buckets = (0..KEY_BUCKETS).map(bucket).collect();
        Self { statistic, buckets }
    }
}

impl Accumulator for Keys {
    fn update(&mut self, batch: &CleaningBatch) -> Result<usize> {
        let columns: Vec<ArrayRef> = self
            .statistic
            .columns
            .iter()
            .map(|column| Arc::clone(&batch.columns[*column]))
            .collect();
        let hashes = hash_rows(&columns);
        let counts_missing = self.statistic.keep == Keep::MostComplete;
        let mut kept = 0;
        for (row, hash) in hashes.into_iter().enumerate() {
            let skipped =
                self.statistic.skip_nulls && columns.iter().any(|column| column.is_null(row));
            if skipped || !batch.is_live(row) {
                continue;
            }
            let bucket = &mut self.buckets[(hash >> 122) as usize];
            bucket.hashes.push(hash);
            bucket.rows.push(batch.first_row + row as u64);
            if counts_missing {
                let missing = batch
                    .columns
                    .iter()
                    .filter(|column| column.is_null(row))
                    .count();
                bucket.missing.push(missing as u32);
            }
            kept += 1;
        }
        Ok(kept * self.statistic.key_bytes())
    }

    /// One batch a bucket: `hash`, `row`, and `missing` where it is kept.
    fn finish(self: Box<Self>) -> Result<Vec<PartialState>> {
        let batches = self.buckets.into_iter().map(Bucket::into_batch);
        Ok(PartialState::by_bucket(batches.collect::<Result<_>>()?))
    }
}

impl Bucket {
    fn into_batch(self) -> Result<RecordBatch> {
        let hashes = FixedSizeBinaryArray::try_new(16, Buffer::from_vec(self.hashes), None)?;
        let mut fields = vec![
            Field::new("hash", DataType::FixedSizeBinary(16), false),
            Field::new("row", DataType::UInt64, false),
        ];
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(hashes), Arc::new(UInt64Array::from(self.rows))];
        if !self.missing.is_empty() {
            fields.push(Field::new("missing", DataType::UInt32, false));
            columns.push(Arc::new(UInt32Array::from(self.missing)));
        }
        Ok(RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            columns,
        )?)
    }
}

/// A key, the missing values of its row, and the row.
type Key = (u128, u32, u64);

/// The repeats in one bucket's logs of all splits, whatever their order: row and the row that stays,
/// by row. The answer's memory is asked of `memory`, and stays with it.
fn find_repeats(
    keep: Keep,
    logs: &[RecordBatch],
    memory: &MemoryReservation,
) -> Result<Vec<(u64, u64)>> {
    let logged = logs.iter().map(RecordBatch::num_rows).sum();
    let sorted = memory.new_empty();
    sorted.try_grow(logged * size_of::<Key>())?;
    let mut keys: Vec<Key> = Vec::with_capacity(logged);
    for log in logs {
        let hashes = log
            .column(0)
            .as_fixed_size_binary_opt()
            .ok_or(Error::Bug("a key log without hashes"))?;
        let rows = log
            .column(1)
            .as_primitive_opt::<UInt64Type>()
            .ok_or(Error::Bug("a key log without rows"))?;
        let missing = log
            .columns()
            .get(2)
            .and_then(|column| column.as_primitive_opt::<UInt32Type>());
        for index in 0..rows.len() {
            let row = rows.value(index);
            let hash: [u8; 16] = hashes
                .value(index)
                .try_into()
                .map_err(|_| Error::Bug("a key hash that has not 16 bytes"))?;
            let missing = missing.map_or(0, |missing| missing.value(index));
            keys.push((u128::from_ne_bytes(hash), missing, row));
        }
    }
    keys.sort_unstable();
    let groups = || keys.chunk_by(|left, right| left.0 == right.0);
    let found = groups().map(|group| group.len() - 1).sum();
    memory.try_grow(found * size_of::<(u64, u64)>())?;
    let mut repeats = Vec::with_capacity(found);
    for group in groups().filter(|group| group.len() > 1) {
        let survivor = match keep {
            Keep::First => group.iter().map(|key| key.2).min(),
            Keep::Last => group.iter().map(|key| key.2).max(),
            // Sorted by missing values, then row.
            Keep::MostComplete => group.first().map(|key| key.2),
        };
        let survivor = survivor.ok_or(Error::Bug("an empty group of keys"))?;
        let others = group.iter().map(|key| key.2).filter(|row| *row != survivor);
        repeats.extend(others.map(|row| (row, survivor)));
    }
    repeats.sort_unstable();
    Ok(repeats)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};

    use super::*;

    /// A sum asks for its memory before it takes it, keeps that of its answer, and gives the rest
    /// back; where there is too little it fails.
    #[test]
    fn the_memory_of_a_sum() {
        let mut bucket = Bucket {
            hashes: Vec::new(),
            rows: Vec::new(),
            missing: Vec::new(),
        };
        for row in 0..1_000u64 {
            bucket.hashes.push(u128::from(row % 900));
            bucket.rows.push(row);
        }
        let logs = [bucket.into_batch().unwrap()];
        let sum = |limit: usize| {
            let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limit));
            let memory = MemoryConsumer::new("test").register(&pool);
            let repeats = find_repeats(Keep::First, &logs, &memory)?;
            Ok::<_, Error>((repeats, pool.reserved()))
        };
        let (repeats, kept) = sum(1_000 * 32 + 100 * 16).unwrap();
        assert_eq!(repeats.len(), 100);
        assert_eq!(repeats[0], (900, 0));
        assert_eq!(kept, 100 * 16);
        for limit in [0, 1_000 * 32 - 1, 1_000 * 32 + 100 * 16 - 1] {
            let refused = sum(limit).unwrap_err();
            assert!(refused.is_out_of_memory(), "{limit}: {refused}");
        }
    }
}
