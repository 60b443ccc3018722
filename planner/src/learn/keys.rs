//! Which rows repeat the key of another row: 128-bit hashes, cut into buckets by their first bits.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, UInt32Array, UInt64Array,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type, UInt64Type};
use udfs::kernels::row_hash::hash_rows;

use super::GoneRows;
use crate::error::{Error, Result};
use crate::program::{Frame, Keep, KeyNeed};

/// Number of buckets; a power of two.
pub const KEY_BUCKETS: usize = 64;

/// The keys of a split's rows, bucket by bucket, each in row order.
#[derive(Debug)]
pub struct KeyLog {
    need: KeyNeed,
    buckets: Vec<Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    hashes: Vec<u128>,
    rows: Vec<u64>,
    // Number of missing values of the row; kept only where it decides which row stays.
    missing: Vec<u32>,
}

impl KeyLog {
    /// An empty log.
    pub fn new(need: KeyNeed) -> Self {
        let buckets = (0..KEY_BUCKETS).map(|_| Bucket::default()).collect();
        Self { need, buckets }
    }

    /// Takes down the keys of a frame's live rows; gives the bytes that this took.
    pub fn observe(&mut self, frame: &Frame) -> usize {
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

/// The repeats in one bucket's logs of all splits: row and the row that stays, by row. Rows that
/// are `gone` have left before.
pub fn find_repeats(keep: Keep, logs: &[RecordBatch], gone: &GoneRows) -> Result<Vec<(u64, u64)>> {
    let mut keys: Vec<(u128, u32, u64)> =
        Vec::with_capacity(logs.iter().map(RecordBatch::num_rows).sum());
    let mut gone = gone.cursor();
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
            if !gone.contains(row) {
                let missing = missing.map_or(0, |missing| missing.value(index));
                keys.push((u128::from_ne_bytes(hash), missing, row));
            }
        }
    }
    keys.sort_unstable();
    let mut repeats = Vec::new();
    for group in keys
        .chunk_by(|left, right| left.0 == right.0)
        .filter(|group| group.len() > 1)
    {
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
