//! Pairs of rows that have a key in common.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::execution::memory_pool::MemoryReservation;
use serde::{Deserialize, Serialize};
use udfs::kernels::matching::{RecordKeys, comparable};
use udfs::kernels::minhash::{BandKeys, Banding};
use udfs::kernels::row_hash::hash_rows;
use udfs::kernels::shingle::Shingling;

use super::need::{MatchingNeed, Method};
use super::sample::{COUNT_BUCKET, SAMPLE_BUCKET, SAMPLE_ROWS, SampleBuilder};
use crate::error::{Error, Result};
use crate::learn::{KEY_BUCKETS, LogEntry};
use crate::profile::RowSample;
use crate::program::Frame;

/// Rows with a key in common of which all pairs are taken.
const FEW: usize = 64;

/// Rows of a larger group with which each of its rows is compared.
const REPRESENTATIVES: usize = 8;

/// Slots of a text's signature.
const SLOTS: usize = 128;

/// Tells the sample of one table from others.
const SAMPLE_SEED: u64 = 0x6d61_7463_6869_6e67;

/// The rows of a split, by their keys; and its part of the sample.
pub struct CandidateLog {
    need: MatchingNeed,
    keys: Keys,
    buckets: Vec<Bucket>,
    sample: SampleBuilder,
    sampled: RowSample,
}

enum Keys {
    Records(RecordKeys),
    Texts(BandKeys),
}

#[derive(Debug, Default)]
struct Bucket {
    keys: Vec<u64>,
    rows: Vec<u64>,
    sides: Vec<u64>,
}

impl std::fmt::Debug for CandidateLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CandidateLog").finish_non_exhaustive()
    }
}

/// The bands of texts that are to meet from a similarity on: as few as find 995 of 1,000 pairs that
/// are just so alike.
fn banding(threshold: f64) -> Banding {
    let fits = (1..=32)
        .rev()
        .filter_map(|rows| Banding::new(SLOTS / rows, rows).ok());
    let mut fits = fits.filter(|banding| banding.probability(threshold) >= 0.995);
    fits.next().unwrap_or_default()
}

/// The comparable values of a frame's columns, row by row.
pub(super) struct Values(Vec<StringViewArray>);

impl Values {
    pub(super) fn new(frame: &Frame, columns: &[usize]) -> Result<Self> {
        let texts = columns.iter().map(|column| {
            let text = cast(&frame.columns[*column], &DataType::Utf8View)?;
            let text = text.as_string_view_opt().cloned();
            text.ok_or(Error::Bug("a cast to text that is not"))
        });
        Ok(Self(texts.collect::<Result<_>>()?))
    }

    /// The comparable values of a row.
    pub(super) fn record(&self, row: usize) -> Vec<Option<String>> {
        let values = self.0.iter();
        values
            .map(|column| column.is_valid(row).then(|| column.value(row)))
            .map(|text| text.and_then(comparable))
            .collect()
    }

    /// The values of a row as one text.
    pub(super) fn text(&self, row: usize) -> String {
        let mut text = String::new();
        for column in self.0.iter().filter(|column| column.is_valid(row)) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(column.value(row));
        }
        text
    }
}

/// The side of each row of a frame.
pub(super) fn sides(frame: &Frame, link_by: Option<usize>) -> Option<Vec<u64>> {
    let column = Arc::clone(&frame.columns[link_by?]);
    let hashes = hash_rows(&[column]);
    Some(hashes.into_iter().map(|hash| hash as u64).collect())
}

impl CandidateLog {
    /// An empty log of a split of a table of so many rows.
    pub fn new(need: MatchingNeed, total_rows: u64, seed: u64) -> Self {
        let (keys, width) = match &need.method {
            Method::Records { .. } => {
                let keys = Keys::Records(RecordKeys::new(total_rows));
                (keys, need.columns.len())
            }
            Method::Texts { threshold, shingle } => {
                let shingling: Shingling = shingle.parse().unwrap_or_default();
                let keys = BandKeys::new(shingling, banding(*threshold));
                (Keys::Texts(keys), 0)
            }
        };
        Self {
            keys,
            buckets: (0..KEY_BUCKETS).map(|_| Bucket::default()).collect(),
            sample: SampleBuilder::new(width),
            sampled: RowSample::of(total_rows, SAMPLE_ROWS, seed ^ SAMPLE_SEED),
            need,
        }
    }

    /// Takes down the keys of a frame's live rows; gives the bytes that this took.
    pub fn observe(&mut self, frame: &Frame) -> Result<usize> {
        let values = Values::new(frame, &self.need.columns)?;
        let sides = sides(frame, self.need.link_by);
        let mut bytes = 0;
        let mut keys: Vec<u64> = Vec::new();
        for row in (0..frame.rows()).filter(|row| frame.is_live(*row)) {
            let number = frame.first_row + row as u64;
            let side = sides.as_ref().map_or(0, |sides| sides[row]);
            keys.clear();
            self.sample.count(side);
            match &mut self.keys {
                Keys::Records(maker) => {
                    let record = values.record(row);
                    let fields = record.iter().map(Option::as_deref);
                    maker.of(fields.zip(self.need.keys.iter().copied()), &mut keys);
                    if self.sampled.contains(number) {
                        bytes += self.sample.add(number, side, &record);
                    }
                }
                Keys::Texts(maker) => {
                    let bands = maker.of(&values.text(row)).iter();
                    keys.extend(bands.map(|key| RecordKeys::band(*key)));
                }
            }
            for key in &keys {
                let bucket = &mut self.buckets[(key >> 58) as usize];
                bucket.keys.push(*key);
                bucket.rows.push(number);
                if sides.is_some() {
                    bucket.sides.push(side);
                }
            }
            bytes += keys.len() * if sides.is_some() { 24 } else { 16 };
        }
        Ok(bytes)
    }

    /// The log: a batch for each bucket of keys (`key`, `row`, and `side` where there are sides), the
    /// number of rows, and those of the sample.
    pub fn finish(self) -> Result<Vec<LogEntry>> {
        let mut entries = Vec::new();
        for (bucket, keys) in self.buckets.into_iter().enumerate() {
            if keys.keys.is_empty() {
                continue;
            }
            let array = |values: Vec<u64>| Arc::new(UInt64Array::from(values)) as ArrayRef;
            let mut columns = vec![("key", array(keys.keys)), ("row", array(keys.rows))];
            if !keys.sides.is_empty() {
                columns.push(("side", array(keys.sides)));
            }
            entries.push(LogEntry {
                bucket: bucket as u16,
                batch: RecordBatch::try_from_iter(columns)?,
            });
        }
        let (counts, rows) = self.sample.finish()?;
        for (bucket, batch) in [(COUNT_BUCKET, counts), (SAMPLE_BUCKET, rows)] {
            if batch.num_rows() > 0 {
                entries.push(LogEntry { bucket, batch });
            }
        }
        Ok(entries)
    }
}

/// Keys that too many rows have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CappedKeys {
    /// Keys of more rows than are compared pair by pair; these were compared with a few of them.
    pub thinned: u64,
    /// Keys of so many rows that they tell nothing, which were left out.
    pub left_out: u64,
    /// The most rows of one key.
    pub largest: u64,
}

impl CappedKeys {
    /// As a batch.
    pub fn batch(self) -> Result<RecordBatch> {
        let numbers = UInt64Array::from(vec![self.thinned, self.left_out, self.largest]);
        let numbers = Arc::new(numbers) as ArrayRef;
        Ok(RecordBatch::try_from_iter([("capped", numbers)])?)
    }

    /// What [`CappedKeys::batch`] holds.
    pub fn read(batch: &RecordBatch) -> Result<Self> {
        let numbers = batch.column(0).as_primitive_opt::<UInt64Type>();
        match numbers.map(|numbers| &numbers.values()[..]) {
            Some([thinned, left_out, largest]) => Ok(Self {
                thinned: *thinned,
                left_out: *left_out,
                largest: *largest,
            }),
            _ => Err(Error::Bug("capped keys that are none")),
        }
    }

    /// Adds what was found in another bucket.
    pub fn add(&mut self, other: Self) {
        self.thinned += other.thinned;
        self.left_out += other.left_out;
        self.largest = self.largest.max(other.largest);
    }
}

/// The pairs of one bucket of keys.
#[derive(Debug, Default)]
pub struct FoundPairs {
    /// The smaller row first, ascending, without repeats.
    pub pairs: Vec<(u64, u64)>,
    /// Keys that too many rows have.
    pub capped: CappedKeys,
}

/// The pairs in one bucket's logs of all splits, whatever their order; keys of more than `most` rows
/// are left out. The memory of the answer is
/// asked of `memory`, and stays with it.
pub fn find_pairs(
    logs: &[RecordBatch],
    most: usize,
    memory: &MemoryReservation,
) -> Result<FoundPairs> {
    let logged = logs.iter().map(RecordBatch::num_rows).sum::<usize>();
    let sorted = memory.new_empty();
    sorted.try_grow(logged * size_of::<(u64, u64, u64)>())?;
    let mut keys: Vec<(u64, u64, u64)> = Vec::with_capacity(logged);
    for log in logs {
        let column = |place: usize| {
            let column = log.columns().get(place)?;
            column.as_primitive_opt::<UInt64Type>()
        };
        let (Some(hashes), Some(rows)) = (column(0), column(1)) else {
            return Err(Error::Bug("a log of keys without keys"));
        };
        let sides = column(2);
        for row in 0..log.num_rows() {
            let side = sides.map_or(row as u64, |sides| sides.value(row));
            keys.push((hashes.value(row), rows.value(row), side));
        }
    }
    keys.sort_unstable();
    let linked = logs.first().is_some_and(|log| log.num_columns() == 3);
    let mut found = FoundPairs::default();
    let mut asked = 0;
    for group in keys.chunk_by(|left, right| left.0 == right.0) {
        found.group(group, linked, most);
        if found.pairs.len() > asked {
            // In steps: asking takes a lock.
            let more = (found.pairs.len() - asked).max(1 << 16);
            memory.try_grow(more * size_of::<(u64, u64)>())?;
            asked += more;
        }
    }
    found.pairs.sort_unstable();
    found.pairs.dedup();
    memory.shrink((asked - found.pairs.len()) * size_of::<(u64, u64)>());
    Ok(found)
}

impl FoundPairs {
    /// Adds the pairs of the rows of one key, which are in ascending order.
    fn group(&mut self, group: &[(u64, u64, u64)], linked: bool, most: usize) {
        let rows = group.len();
        let whole_value = group
            .first()
            .is_some_and(|(key, ..)| RecordKeys::is_value(*key));
        let mut firsts = rows;
        if rows > FEW {
            // That many rows share a value is no news.
            if whole_value {
                return;
            }
            self.capped.largest = self.capped.largest.max(rows as u64);
            if rows > most {
                self.capped.left_out += 1;
                return;
            }
            self.capped.thinned += 1;
            firsts = REPRESENTATIVES;
        }
        for (place, (_, left, side)) in group.iter().take(firsts).enumerate() {
            for (_, right, other) in &group[place + 1..] {
                if left != right && !(linked && side == other) {
                    self.pairs.push((*left, *right));
                }
            }
        }
    }
}

/// The pairs that are to be compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    /// The smaller row first, ascending.
    pub pairs: Vec<(u64, u64)>,
    /// All rows of a pair, ascending.
    pub rows: Vec<u64>,
}

impl Candidates {
    /// Of the pairs of all buckets.
    pub fn merge(mut pairs: Vec<(u64, u64)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        let mut rows: Vec<u64> = Vec::with_capacity(pairs.len());
        // Left rows come in order already; of both sides, a half at a time.
        rows.extend(pairs.iter().map(|pair| pair.0));
        rows.dedup();
        let lefts = rows.len();
        rows.extend(pairs.iter().map(|pair| pair.1));
        rows[lefts..].sort_unstable();
        rows.sort_unstable();
        rows.dedup();
        Self { pairs, rows }
    }

    /// Of pairs in both directions, whose first rows are those of a split.
    pub fn of_split(both: Vec<(u64, u64)>) -> Self {
        let mut rows: Vec<u64> = both.iter().map(|pair| pair.0).collect();
        rows.dedup();
        let mut pairs = both;
        pairs.retain(|(row, partner)| row < partner);
        pairs.dedup();
        Self { pairs, rows }
    }

    /// The pairs whose smaller row is among `rows` rows from `first_row`, and the rows of any pair
    /// among these.
    pub fn among(&self, first_row: u64, rows: usize) -> Self {
        let end = first_row + rows as u64;
        let pair = |row: u64| self.pairs.partition_point(|pair| pair.0 < row);
        let place = |row: u64| self.rows.partition_point(|other| *other < row);
        Self {
            pairs: self.pairs[pair(first_row)..pair(end)].to_vec(),
            rows: self.rows[place(first_row)..place(end)].to_vec(),
        }
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        self.pairs.len() * size_of::<(u64, u64)>() + self.rows.len() * size_of::<u64>()
    }
}
