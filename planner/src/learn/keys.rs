//! Which rows repeat the key of another row: 128-bit hashes, cut into buckets by their first bits.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, UInt32Array, UInt64Array,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type, UInt64Type};
use datafusion::execution::memory_pool::MemoryReservation;
use udfs::kernels::row_hash::hash_rows;

use crate::error::{Error, Result};
use crate::operation::{CleaningBatch, Keep, KeyNeed};

/// Number of buckets; a power of two.
pub const KEY_BUCKETS: usize = 64;

/// The keys of a split's rows, bucket by bucket, each in row order.
#[derive(Debug)]
pub struct KeyLog {
    need: KeyNeed,
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    hashes: Vec<u128>,
    rows: Vec<u64>,
    // Number of missing values of the row; kept only where it decides which row stays.
    missing: Vec<u32>,
}

impl KeyLog {
    /// An empty log for a split of so many rows.
    pub fn new(need: KeyNeed, rows: usize) -> Self {
        // Hashes spread evenly: a tenth more than the mean is hardly ever too little.
        let room = rows / KEY_BUCKETS + rows / KEY_BUCKETS / 10;
        let bucket = |_| Bucket {
            hashes: Vec::with_capacity(room),
            rows: Vec::with_capacity(room),
            missing: Vec::new(),
        };
        let buckets = (0..KEY_BUCKETS).map(bucket).collect();
        Self { need, buckets }
    }

    /// Takes down the keys of a frame's live rows; gives the bytes that this took.
    pub fn observe(&mut self, frame: &CleaningBatch) -> usize {
        let columns: Vec<ArrayRef> = self
            .need
            .columns
            .iter()
            .map(|column| Arc::clone(&frame.columns[*column]))
            .collect();
        let hashes = hash_rows(&columns);
        let counts_missing = self.need.keep == Keep::MostComplete;
        let mut kept = 0;
        for (row, hash) in hashes.into_iter().enumerate() {
            let skipped = self.need.skip_nulls && columns.iter().any(|column| column.is_null(row));
            if skipped || !frame.is_live(row) {
                continue;
            }
            let bucket = &mut self.buckets[(hash >> 122) as usize];
            bucket.hashes.push(hash);
            bucket.rows.push(frame.first_row + row as u64);
            if counts_missing {
                let missing = frame
                    .columns
                    .iter()
                    .filter(|column| column.is_null(row))
                    .count();
                bucket.missing.push(missing as u32);
            }
            kept += 1;
        }
        kept * if counts_missing { 28 } else { 24 }
    }

    /// The log as one batch a bucket (`hash`, `row`, and `missing` where it is kept).
    pub fn finish(self) -> Result<Vec<RecordBatch>> {
        self.buckets.into_iter().map(Bucket::into_batch).collect()
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
pub fn find_repeats(
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
