//! The records of the rows that are to be compared.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, ListBuilder, RecordBatch, StringArray, StringBuilder,
    UInt64Array, UInt64Builder,
};
use arrow::datatypes::UInt64Type;

use super::candidates::KeysOfRows;
use super::options::{KeepMatch, MatchingNeed, Method};
use super::pairs::Candidates;
use super::rows::{RowRecords, Values};
use crate::error::{Error, Result};
use crate::operation::{Accumulator, CleaningBatch, PartialState};
use crate::profile::mix;
use crate::statistics::{Quantity, quantities};

/// Columns of a log before the values.
const LEAD: usize = 3;

/// The most buckets among which pairs are divided.
const MOST_BUCKETS: usize = 8;

/// Rows of a table for which one bucket of pairs is enough.
const BUCKET_ROWS: u64 = 250_000;

/// Buckets of the pairs of a table that many workers compare. Each holds all records.
pub(super) fn pair_buckets(total_rows: u64) -> usize {
    let wanted = usize::try_from(total_rows / BUCKET_ROWS).unwrap_or(MOST_BUCKETS);
    (1 + wanted).min(MOST_BUCKETS)
}

/// The records of a split's rows that may match others.
#[derive(Debug)]
pub(super) struct MatchingRecords {
    need: MatchingNeed,
    records: Option<RowRecords>,
    rows: Vec<u64>,
    /// What decides which row of a cluster stays: the smallest.
    ranks: Vec<u64>,
    /// For each bucket, the rows with which each row is compared there.
    partners: Vec<ListBuilder<UInt64Builder>>,
    values: Vec<StringBuilder>,
}

impl MatchingRecords {
    /// With pairs in so many buckets.
    pub(super) fn new(need: MatchingNeed, buckets: usize) -> Self {
        let width = match &need.method {
            Method::Records { .. } => need.columns.len(),
            Method::Texts { .. } => 1,
        };
        Self {
            records: None,
            rows: Vec::new(),
            ranks: Vec::new(),
            partners: (0..buckets.max(1))
                .map(|_| ListBuilder::new(UInt64Builder::new()))
                .collect(),
            values: (0..width).map(|_| StringBuilder::new()).collect(),
            need,
        }
    }
}

impl Accumulator for MatchingRecords {
    fn update(&mut self, frame: &CleaningBatch) -> Result<usize> {
        let Some(candidates) = frame.extensions.get::<Candidates>() else {
            return Err(Error::Bug("records without candidates"));
        };
        if candidates.rows.is_empty() {
            return Ok(0);
        }
        let live: Vec<usize> = candidates
            .rows
            .iter()
            .map(|number| (number - frame.first_row) as usize)
            .filter(|row| frame.is_live(*row))
            .collect();
        let values = Values::at(frame, &self.need.columns, &live)?;
        let ranks = Ranks::new(frame, self.need.keep)?;
        let records = match &mut self.records {
            Some(records) => records,
            None => {
                let records = RowRecords::new(&self.need, KeysOfRows::plan(frame))?;
                self.records.insert(records)
            }
        };
        let (mut bytes, mut next) = (0, 0);
        for (place, row) in live.into_iter().enumerate() {
            let number = frame.first_row + row as u64;
            self.rows.push(number);
            self.ranks.push(ranks.of(frame, row));
            while candidates
                .pairs
                .get(next)
                .is_some_and(|pair| pair.0 < number)
            {
                next += 1;
            }
            while let Some((_, partner)) = candidates.pairs.get(next).filter(|p| p.0 == number) {
                let bucket = mix(number ^ mix(*partner)) % self.partners.len() as u64;
                self.partners[bucket as usize]
                    .values()
                    .append_value(*partner);
                bytes += 8;
                next += 1;
            }
            for partners in &mut self.partners {
                partners.append(true);
            }
            bytes += 16 + 4 * self.partners.len();
            let record = records.of(&values, place);
            for (column, value) in self.values.iter_mut().zip(&record) {
                column.append_option(value.as_deref());
                bytes += 5 + value.as_ref().map_or(0, String::len);
            }
        }
        // Every bucket gets the records.
        Ok(bytes)
    }

    /// For each bucket `row`, `rank`, `partners` and the values.
    fn finish(mut self: Box<Self>) -> Result<Vec<PartialState>> {
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let rows: ArrayRef = Arc::new(UInt64Array::from(self.rows));
        let ranks: ArrayRef = Arc::new(UInt64Array::from(self.ranks));
        let values: Vec<ArrayRef> = self
            .values
            .iter_mut()
            .map(|values| Arc::new(values.finish()) as ArrayRef)
            .collect();
        let mut entries = Vec::with_capacity(self.partners.len());
        for (bucket, partners) in self.partners.iter_mut().enumerate() {
            let mut columns: Vec<(String, ArrayRef, bool)> = vec![
                ("row".into(), Arc::clone(&rows), false),
                ("rank".into(), Arc::clone(&ranks), false),
                ("partners".into(), Arc::new(partners.finish()), true),
            ];
            for (place, values) in values.iter().enumerate() {
                columns.push((format!("value-{place}"), Arc::clone(values), true));
            }
            entries.push(PartialState {
                bucket: bucket as u16,
                batch: RecordBatch::try_from_iter_with_nullable(columns)?,
            });
        }
        Ok(entries)
    }
}

/// What decides which row of a cluster stays.
enum Ranks {
    First,
    Last,
    Complete,
    /// The values of a column, turned so that the greatest is the smallest.
    Recent(Vec<u64>),
}

impl Ranks {
    fn new(frame: &CleaningBatch, keep: KeepMatch) -> Result<Self> {
        Ok(match keep {
            KeepMatch::First => Self::First,
            KeepMatch::Last => Self::Last,
            KeepMatch::MostComplete => Self::Complete,
            KeepMatch::MostRecent(column) => {
                let mut ranks = vec![u64::MAX; frame.rows()];
                for (row, value) in quantities(&frame.columns[column], |_| true)? {
                    ranks[row] = !in_order(value);
                }
                Self::Recent(ranks)
            }
        })
    }

    fn of(&self, frame: &CleaningBatch, row: usize) -> u64 {
        match self {
            Self::First => 0,
            Self::Last => u64::MAX - (frame.first_row + row as u64),
            Self::Complete => frame
                .columns
                .iter()
                .filter(|column| column.is_null(row))
                .count() as u64,
            Self::Recent(ranks) => ranks[row],
        }
    }
}

/// A number whose order is that of the values.
fn in_order(value: Quantity) -> u64 {
    const SIGN: u64 = 1 << 63;
    match value {
        Quantity::Whole(whole) => {
            let whole = whole.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
            whole as u64 ^ SIGN
        }
        Quantity::Float(float) => {
            let bits = float.to_bits();
            if bits & SIGN == 0 { bits | SIGN } else { !bits }
        }
    }
}

/// The records in the logs of one bucket, whatever their order.
pub(super) struct Records<'a> {
    /// Row, log and place, by row.
    places: Vec<(u64, u32, u32)>,
    logs: Vec<Log<'a>>,
}

struct Log<'a> {
    ranks: &'a UInt64Array,
    partners: &'a ListArray,
    values: Vec<&'a StringArray>,
}

impl<'a> Records<'a> {
    pub(super) fn new(batches: &'a [RecordBatch]) -> Result<Self> {
        let mut places = Vec::new();
        let mut logs = Vec::with_capacity(batches.len());
        for (log, batch) in batches.iter().enumerate() {
            let rows = batch.column(0).as_primitive_opt::<UInt64Type>();
            let ranks = batch.column(1).as_primitive_opt::<UInt64Type>();
            let partners = batch.column(2).as_list_opt::<i32>();
            let (Some(rows), Some(ranks), Some(partners)) = (rows, ranks, partners) else {
                return Err(Error::Bug("a log of records without rows"));
            };
            let numbered = rows.values().iter().enumerate();
            places.extend(numbered.map(|(place, row)| (*row, log as u32, place as u32)));
            let values = batch.columns()[LEAD..].iter();
            let values = values.map(|column| column.as_string_opt::<i32>());
            logs.push(Log {
                ranks,
                partners,
                values: values
                    .collect::<Option<_>>()
                    .ok_or(Error::Bug("records that are no texts"))?,
            });
        }
        places.sort_unstable();
        Ok(Self { places, logs })
    }

    /// The pairs that are to be compared, ascending: each row with its partners. A row that has left
    /// since its pairs were found has no record, and no pairs.
    pub(super) fn pairs(&self) -> Vec<(Place, Place)> {
        let mut pairs = Vec::new();
        for (row, log, place) in &self.places {
            let left = Place {
                row: *row,
                log: *log as usize,
                place: *place as usize,
            };
            let partners = self.logs[left.log].partners.value(left.place);
            let Some(partners) = partners.as_primitive_opt::<UInt64Type>() else {
                continue;
            };
            for partner in partners.values() {
                if let Some(right) = self.find(*partner) {
                    pairs.push((left, right));
                }
            }
        }
        pairs
    }

    fn find(&self, row: u64) -> Option<Place> {
        let at = self
            .places
            .binary_search_by_key(&row, |place| place.0)
            .ok()?;
        let (row, log, place) = self.places[at];
        Some(Place {
            row,
            log: log as usize,
            place: place as usize,
        })
    }

    pub(super) fn rank(&self, place: Place) -> u64 {
        self.logs[place.log].ranks.value(place.place)
    }

    /// A value of a record.
    pub(super) fn value(&self, place: Place, column: usize) -> Option<&'a str> {
        let values = self.logs[place.log].values.get(column)?;
        values
            .is_valid(place.place)
            .then(|| values.value(place.place))
    }

    /// Whether two records are the same, value by value.
    pub(super) fn are_same(&self, left: Place, right: Place) -> bool {
        let width = self.logs[left.log].values.len();
        (0..width).all(|column| self.value(left, column) == self.value(right, column))
    }
}

/// What is compared of a row, from the logs of a bucket that has it.
pub(super) fn record_of(logs: &[RecordBatch], row: u64) -> Result<Option<Vec<Option<String>>>> {
    let records = Records::new(logs)?;
    Ok(records.find(row).map(|place| {
        let width = records.logs[place.log].values.len();
        let values = (0..width).map(|column| records.value(place, column));
        values.map(|value| value.map(str::to_owned)).collect()
    }))
}

/// Where a record lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) row: u64,
    log: usize,
    place: usize,
}
