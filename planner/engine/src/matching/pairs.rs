//! Pairs of rows that have keys in common, bucket by bucket of keys, and those of all buckets together.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type, UInt64Type};
use datafusion::execution::memory_pool::MemoryReservation;
use planner_base::in_threads;
use serde::{Deserialize, Serialize};
use udfs::kernels::matching::{FEW_ROWS, RARE_ROWS, REPRESENTATIVES, RecordKeys};

use super::options::Meeting;
use super::rows::EARLIER;
use crate::error::{Error, Result};
use crate::operation::Extension;

/// Parts in which the pairs of all buckets are put together.
const MERGE_RANGES: u64 = 256;

/// Name, in the schema of a log, of the row from which its rows are counted.
const FIRST_ROW: &str = "first_row";

/// The rows of a split in one bucket of keys. Within a bucket half of a key tells it from others as
/// well as it must: that two keys are taken for one costs a comparison.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) keys: Vec<u32>,
    /// From the first row of the split.
    pub(super) rows: Vec<u32>,
    /// What rows that are the same have in common.
    pub(super) same: Vec<u32>,
    /// Where there are sides, a half of each row's.
    pub(super) sides: Vec<u32>,
}

impl Bucket {
    /// As a log of rows that are counted from `first_row`.
    pub(super) fn into_batch(self, first_row: u64) -> Result<RecordBatch> {
        let array = |values: Vec<u32>| Arc::new(UInt32Array::from(values)) as ArrayRef;
        let field = |name: &str| Field::new(name, DataType::UInt32, false);
        let mut fields = vec![field("key"), field("row"), field("same")];
        let mut columns = vec![array(self.keys), array(self.rows), array(self.same)];
        if !self.sides.is_empty() {
            fields.push(field("side"));
            columns.push(array(self.sides));
        }
        let counted_from = HashMap::from([(FIRST_ROW.to_owned(), first_row.to_string())]);
        let schema = Schema::new_with_metadata(fields, counted_from);
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }

    /// The bucket of a key.
    pub(super) fn of(key: u64) -> usize {
        (key >> 58) as usize
    }

    /// What rows that are the same have in common, by the keys of one: other bits of that of the whole row
    /// than its half has.
    pub(super) fn same(keys: &[u64]) -> u32 {
        keys.first().map_or(0, |whole| (whole >> 2) as u32)
    }

    /// Half of a key, which still tells what it is of.
    pub(super) fn half(key: u64) -> u32 {
        let kind = RecordKeys::kind(key) as u32;
        (key >> 26) as u32 & !(RecordKeys::kind(u64::MAX) as u32) | kind
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
    /// The smaller row first, ascending; each as often as it counts, at most as often as it must.
    pub pairs: Vec<(u64, u64)>,
    /// Keys that too many rows have.
    pub capped: CappedKeys,
}

/// A row of a key, in the order of keys and rows; rows of an earlier output come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct KeyRow {
    key: u32,
    same: u32,
    /// With [`EARLIER`] turned.
    place: u64,
    side: u32,
}

impl KeyRow {
    fn row(&self) -> u64 {
        self.place ^ EARLIER
    }

    /// The two rows, the smaller first; none of two of an earlier output.
    fn pair(&self, other: &Self) -> Option<(u64, u64)> {
        let (one, two) = (self.row(), other.row());
        let pair = (one.min(two), one.max(two));
        (pair.0 < EARLIER && pair.0 != pair.1).then_some(pair)
    }
}

/// A set of keys, as far as a small table can tell: a key that is in it is never missed, another may be
/// taken for one that is where it has its place.
#[derive(Debug)]
pub(super) struct KeyPlaces {
    words: Vec<u64>,
    /// The highest bits of a spread key are its place.
    shift: u32,
}

impl KeyPlaces {
    /// Places for each key, so that few share one; and what stays near a core.
    const PLACES: usize = 8;
    const MOST_PLACES: usize = 1 << 26;

    /// For so many keys.
    pub(super) fn of(keys: usize, memory: &MemoryReservation) -> Result<Self> {
        let places = (keys * Self::PLACES).next_power_of_two();
        let places = places.clamp(64, Self::MOST_PLACES);
        memory.try_grow(places / 8)?;
        Ok(Self {
            words: vec![0; places / 64],
            shift: 32 - places.trailing_zeros(),
        })
    }

    fn place(&self, key: u32) -> (usize, u64) {
        // The multiplier of Fibonacci hashing (Knuth, volume 3, section 6.4).
        let place = key.wrapping_mul(0x9E37_79B1) >> self.shift;
        ((place / 64) as usize, 1 << (place % 64))
    }

    /// Adds a key; tells whether it may have been there.
    pub(super) fn insert(&mut self, key: u32) -> bool {
        let (word, bit) = self.place(key);
        let was = self.words[word] & bit != 0;
        self.words[word] |= bit;
        was
    }

    /// Whether a key may be there.
    pub(super) fn may_hold(&self, key: u32) -> bool {
        let (word, bit) = self.place(key);
        self.words[word] & bit != 0
    }
}

/// The keys of a log.
pub(super) fn keys_of(log: &RecordBatch) -> Result<&[u32]> {
    let keys = log.columns().first();
    let keys = keys.and_then(|keys| keys.as_primitive_opt::<UInt32Type>());
    Ok(keys
        .ok_or(Error::Bug("a log of keys without keys"))?
        .values())
}

/// Keys that stand more than once in logs: most do not, and need not be sorted.
fn shared_keys(logs: &[RecordBatch], memory: &MemoryReservation) -> Result<KeyPlaces> {
    let logged = logs.iter().map(RecordBatch::num_rows).sum::<usize>();
    let mut once = KeyPlaces::of(logged, memory)?;
    let mut shared = KeyPlaces::of(logged, memory)?;
    for log in logs {
        for key in keys_of(log)? {
            if once.insert(*key) {
                shared.insert(*key);
            }
        }
    }
    Ok(shared)
}

/// The pairs in one bucket's logs of all splits, whatever their order. The memory of the answer is
/// asked of `memory`, and stays with it.
pub fn find_pairs(
    logs: &[RecordBatch],
    meeting: Meeting,
    memory: &MemoryReservation,
) -> Result<FoundPairs> {
    let sorted = memory.new_empty();
    let shared = shared_keys(logs, &sorted)?;
    let mut keys: Vec<KeyRow> = Vec::new();
    for log in logs {
        let column = |place: usize| {
            let column = log.columns().get(place)?;
            Some(column.as_primitive_opt::<UInt32Type>()?.values())
        };
        let first_row = log.schema_ref().metadata().get(FIRST_ROW);
        let first_row = first_row.and_then(|row| row.parse::<u64>().ok());
        let (Some(halves), Some(rows), Some(same), Some(first_row)) =
            (column(0), column(1), column(2), first_row)
        else {
            return Err(Error::Bug("a log of keys without keys"));
        };
        let sides = column(3);
        let rows = halves.iter().zip(rows.iter()).enumerate();
        let rows = rows.filter(|(_, (key, _))| shared.may_hold(**key));
        let before = keys.capacity();
        keys.extend(rows.map(|(place, (key, row))| KeyRow {
            key: *key,
            same: same[place],
            place: first_row.wrapping_add(u64::from(*row)) ^ EARLIER,
            side: sides.map_or(0, |sides| sides[place]),
        }));
        sorted.try_grow((keys.capacity() - before) * size_of::<KeyRow>())?;
    }
    drop(shared);
    keys.sort_unstable();
    let linked = logs.first().is_some_and(|log| log.num_columns() == 4);
    let mut found = FoundPairs::default();
    let (mut asked, mut firsts) = (0, Vec::<KeyRow>::new());
    for group in keys.chunk_by(|left, right| left.key == right.key) {
        let whole = group
            .first()
            .is_some_and(|row| RecordKeys::is_record(u64::from(row.key)));
        if whole {
            for rows in group.chunk_by(|left, right| left.same == right.same) {
                found.same(rows, linked, meeting);
            }
        } else {
            // Of rows that are the same, one stands for all.
            firsts.clear();
            let same = group.chunk_by(|left, right| !linked && left.same == right.same);
            firsts.extend(same.filter_map(|rows| rows.first()).copied());
            firsts.sort_unstable_by_key(|row| row.place);
            found.group(&firsts, linked, meeting);
        }
        if found.pairs.len() > asked {
            // In steps: asking takes a lock.
            let more = (found.pairs.len() - asked).max(1 << 16);
            memory.try_grow(more * size_of::<(u64, u64)>())?;
            asked += more;
        }
    }
    found.pairs.sort_unstable();
    let most = meeting.least_shared as usize;
    retain_groups(&mut found.pairs, |count| count.min(most));
    memory.shrink((asked - found.pairs.len()) * size_of::<(u64, u64)>());
    Ok(found)
}

/// Of equal neighbours, keeps as many as `wanted` says of their number.
fn retain_groups<T: PartialEq + Copy>(items: &mut Vec<T>, wanted: impl Fn(usize) -> usize) {
    let (mut from, mut to) = (0, 0);
    while from < items.len() {
        let item = items[from];
        let count = items[from..].iter().take_while(|other| **other == item);
        let count = count.count();
        for _ in 0..wanted(count) {
            items[to] = item;
            to += 1;
        }
        from += count;
    }
    items.truncate(to);
}

/// Keeps one of each pair that is there often enough.
fn retain_shared(pairs: &mut Vec<(u64, u64)>, least_shared: u32) {
    let least = least_shared as usize;
    retain_groups(pairs, |count| usize::from(count >= least));
}

impl FoundPairs {
    /// Adds the pairs of rows that are the same: each with the first, or with the first of another side.
    fn same(&mut self, group: &[KeyRow], linked: bool, meeting: Meeting) {
        let Some((first, others)) = group.split_first() else {
            return;
        };
        let facing = group.iter().find(|row| row.side != first.side);
        for other in others {
            let partner = match facing {
                _ if !linked || other.side != first.side => Some(first),
                facing => facing,
            };
            let Some(pair) = partner.and_then(|partner| partner.pair(other)) else {
                continue;
            };
            for _ in 0..meeting.least_shared {
                self.pairs.push(pair);
            }
        }
    }

    /// Adds the pairs of the rows of one key, which are in order.
    fn group(&mut self, group: &[KeyRow], linked: bool, meeting: Meeting) {
        let rows = group.len();
        let whole_value = group
            .first()
            .is_some_and(|row| RecordKeys::is_value(u64::from(row.key)));
        // That many rows share a value is no news.
        if whole_value && rows > meeting.of_value {
            return;
        }
        let mut firsts = rows;
        if rows > FEW_ROWS {
            self.capped.largest = self.capped.largest.max(rows as u64);
            if rows > meeting.most {
                self.capped.left_out += 1;
                return;
            }
            self.capped.thinned += 1;
            firsts = REPRESENTATIVES;
        }
        let twice = meeting.least_shared > 1 && whole_value && rows <= RARE_ROWS;
        for (place, left) in group.iter().take(firsts).enumerate() {
            for right in &group[place + 1..] {
                if linked && left.side == right.side {
                    continue;
                }
                if let Some(pair) = left.pair(right) {
                    self.pairs.push(pair);
                    if twice {
                        self.pairs.push(pair);
                    }
                }
            }
        }
    }
}

impl Extension for Candidates {}

/// The pairs that are to be compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    /// The smaller row first, ascending.
    pub pairs: Vec<(u64, u64)>,
    /// All rows of a pair, ascending.
    pub rows: Vec<u64>,
}

impl Candidates {
    /// Of the ascending pairs of all buckets, those that share so many keys. The work is divided by rows
    /// among threads.
    pub fn merge(parts: &[Vec<(u64, u64)>], least_shared: u32, threads: usize) -> Result<Self> {
        let last = parts
            .iter()
            .filter_map(|part| part.last())
            .map(|pair| pair.0);
        let end = last.max().map_or(0, |row| row + 1);
        let step = end.div_ceil(MERGE_RANGES).max(1);
        let ranges: Vec<u64> = (0..end.div_ceil(step)).map(|range| range * step).collect();
        let merged = in_threads(threads, ranges, |first| -> Result<_> {
            let mut pairs: Vec<(u64, u64)> = Vec::new();
            for part in parts {
                let place = |row: u64| part.partition_point(|pair| pair.0 < row);
                pairs.extend_from_slice(&part[place(first)..place(first + step)]);
            }
            pairs.sort_unstable();
            retain_shared(&mut pairs, least_shared);
            Ok(pairs)
        })?;
        let pairs = merged.concat();
        let mut rows: Vec<u64> = Vec::with_capacity(2 * pairs.len());
        rows.extend(pairs.iter().flat_map(|pair| [pair.0, pair.1]));
        rows.sort_unstable();
        rows.dedup();
        rows.shrink_to_fit();
        Ok(Self { pairs, rows })
    }

    /// Of pairs in both directions, ascending, whose first rows are those of a split; those that share so
    /// many keys.
    pub fn of_split(mut both: Vec<(u64, u64)>, least_shared: u32) -> Self {
        retain_shared(&mut both, least_shared);
        let mut rows: Vec<u64> = both.iter().map(|pair| pair.0).collect();
        rows.dedup();
        let mut pairs = both;
        pairs.retain(|(row, partner)| row < partner);
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

    /// Adds two rows to those whose records are wanted. Gives whether they are a pair.
    pub fn watch(&mut self, rows: (u64, u64)) -> bool {
        for row in [rows.0, rows.1] {
            if let Err(place) = self.rows.binary_search(&row) {
                self.rows.insert(place, row);
            }
        }
        self.pairs.binary_search(&rows).is_ok()
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        self.pairs.len() * size_of::<(u64, u64)>() + self.rows.len() * size_of::<u64>()
    }
}
