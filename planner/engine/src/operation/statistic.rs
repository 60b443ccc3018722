//! Statistics: what an operation must know of all rows before it can be applied to one.
//!
//! ```text
//!  worker   rows of a split ──► accumulator ──► partial states
//!  worker   partial states of a bucket, shuffled by key ──► what is found in it   (keyed statistics)
//!  driver   partial states, or what workers tell of the buckets ──► value
//!  worker   value, or the files that it is stored in ──► what applies to one split
//! ```
//!
//! A statistic is one type that implements [`Statistic`], and lies beside what computes it. Neither the operators nor
//! the driver know which statistics there are.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;
use serde_json::{Map, Value};

use super::{CleaningBatch, Extensions, PartialState, RemovedRows, StatisticFiles, Stored};
use crate::contract::Contract;
use crate::error::Result;
use crate::profile::RowSample;

/// A statistic of all rows, which an operation asks for.
pub trait Statistic: Any + Debug + Send + Sync {
    /// Describes what is gathered of the rows, for plans. `names` names columns.
    fn describe(&self, names: &dyn Fn(&[usize]) -> String) -> String;

    /// What its partial states are, as they travel from the splits.
    fn traffic(&self) -> Traffic;

    /// Whether rows that leave in the same pass can be taken out of the partial states before they are evaluated, or
    /// do not matter.
    fn outlives_drops(&self) -> bool {
        false
    }

    /// Bytes of memory that a row takes while the value is computed, of a statistic that rests on a sample of the
    /// rows where there are too many; 0 of any other.
    fn sampled_row_bytes(&self) -> usize {
        0
    }

    /// Returns an empty accumulator for a split.
    fn accumulator(&self, split: &SplitContext) -> Box<dyn Accumulator>;

    /// Computes the value from the partial states of all splits, in this process.
    ///
    /// # Errors
    /// The memory does not suffice, or a partial state is not of this statistic.
    fn evaluate(
        &self,
        partial: PartialStates,
        driver: &mut DriverContext<'_>,
    ) -> Result<StatisticValue>;

    /// How workers compute it together, where its partial states are shuffled by key.
    fn keyed(&self) -> Option<&dyn KeyedStatistic> {
        None
    }

    /// Whether each split gets a part of the value; else all of them get the same.
    fn is_by_split(&self) -> bool {
        self.keyed().is_some()
    }

    /// Stores the value for other processes.
    ///
    /// # Errors
    /// The files cannot be written.
    fn store(&self, value: &StatisticValue, files: &StatisticFiles) -> Result<Stored>;

    /// Loads what one split needs of a stored value.
    ///
    /// # Errors
    /// The files cannot be read.
    fn load(&self, stored: &Stored, split: u64) -> Result<StatisticValue>;

    /// What a report tells of the value, which may never have been in this process; none where it tells nothing.
    fn report(
        &self,
        value: Option<&StatisticValue>,
        context: &ReportContext<'_>,
    ) -> Option<StatisticReport>;
}

/// A statistic whose partial states are shuffled by key: each bucket of keys is evaluated by itself, by any worker.
pub trait KeyedStatistic {
    /// Bytes of keys that a row has, about.
    fn row_bytes(&self) -> u64;

    /// Whether the rows whose keys repeat are all that is found.
    fn finds_repeats(&self) -> bool {
        false
    }

    /// What workers must know to evaluate buckets, beside the statistic.
    ///
    /// # Errors
    /// What they need cannot be stored.
    fn order(&self, files: &StatisticFiles, shared: &Extensions) -> Result<Value>;

    /// Returns what evaluates buckets on one worker. `told` are the removed rows that other statistics must know of.
    ///
    /// # Errors
    /// The order is of another statistic, or what it names cannot be read.
    fn evaluator(
        &self,
        order: &Value,
        files: StatisticFiles,
        told: Option<RowSample>,
    ) -> Result<Box<dyn BucketEvaluator>>;

    /// Puts together what workers tell of the buckets.
    ///
    /// # Errors
    /// What they have stored cannot be read.
    fn collect(
        &self,
        told: BTreeMap<u16, Vec<RecordBatch>>,
        driver: &mut DriverContext<'_>,
    ) -> Result<Collected>;
}

/// Evaluates the buckets of a keyed statistic that one worker has.
pub trait BucketEvaluator: Send {
    /// Adds what belongs to the buckets beside the rows of the job, before the first of them is evaluated.
    ///
    /// # Errors
    /// It cannot be read, or the memory does not suffice.
    fn complete(
        &self,
        _buckets: &mut BTreeMap<u16, Vec<RecordBatch>>,
        _memory: &MemoryReservation,
    ) -> Result<()> {
        Ok(())
    }

    /// Evaluates the partial states of a bucket, in any order, and stores what it finds; returns what the driver is
    /// told. Attempts of a task store the same.
    ///
    /// # Errors
    /// The memory does not suffice, or the files cannot be written.
    fn evaluate(
        &self,
        bucket: u16,
        partial: Vec<RecordBatch>,
        memory: &MemoryReservation,
    ) -> Result<RecordBatch>;
}

/// What the driver has of a value that workers have computed.
#[derive(Debug)]
pub enum Collected {
    /// The files that hold it.
    Stored(Stored),
    /// The value.
    Value(StatisticValue),
}

/// Gathers what a statistic needs of the rows of one split.
pub trait Accumulator: Send {
    /// Adds the live rows of a batch; returns the bytes that this took.
    ///
    /// # Errors
    /// The batch lacks what an operation before must have added to it.
    fn update(&mut self, batch: &CleaningBatch) -> Result<usize>;

    /// Returns the partial states of the split.
    ///
    /// # Errors
    /// They do not fit into an Arrow array.
    fn finish(self: Box<Self>) -> Result<Vec<PartialState>>;
}

/// What an accumulator must know of its split and of the table.
#[derive(Debug, Clone, Copy)]
pub struct SplitContext {
    /// First row of the split.
    pub first_row: u64,
    /// Rows of the split.
    pub rows: usize,
    /// Rows of the table.
    pub total_rows: u64,
    /// Rows that sampled statistics rest on; all when none.
    pub sample: Option<RowSample>,
    /// Seed of samples.
    pub seed: u64,
    /// Whether one process evaluates the partial states of all splits.
    pub alone: bool,
}

/// What partial states are, as they travel from the splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// What travels: `counts of values`.
    pub what: &'static str,
    /// Bytes of a row, at most, where they do not depend on how often values repeat.
    pub row_bytes: Option<u64>,
}

/// What the driver evaluates a statistic with.
pub struct DriverContext<'a> {
    /// Number of the operation.
    pub op: usize,
    /// Whether the operation takes rows out.
    pub drops_rows: bool,
    /// The contract.
    pub contract: &'a Contract,
    /// Rows of the source.
    pub rows: u64,
    /// Share of the rows that sampled statistics rest on.
    pub sampled: f64,
    /// Two rows, the smaller first, whose near duplicates are to be explained.
    pub watched: Option<(u64, u64)>,
    /// Threads.
    pub threads: usize,
    /// The memory of values; what an evaluation needs for a while is of the same pool.
    pub memory: &'a MemoryReservation,
    /// Rows that left by an operation before; those that leave by this one join them.
    pub removed: &'a mut RemovedRows,
    /// What the statistics of a step tell one another.
    pub shared: &'a mut Extensions,
    /// Where values are stored.
    pub files: StatisticFiles,
}

/// The partial states of all splits, by bucket and split.
#[derive(Debug, Default)]
pub struct PartialStates(pub BTreeMap<(u16, u64), RecordBatch>);

impl PartialStates {
    /// The partial states, in the order of the splits.
    pub fn by_split(self) -> Vec<RecordBatch> {
        let mut states: Vec<_> = self.0.into_iter().collect();
        states.sort_by_key(|((_, split), _)| *split);
        states.into_iter().map(|(_, state)| state).collect()
    }

    /// The partial states of each bucket, in the order of the splits.
    pub fn by_bucket(self) -> BTreeMap<u16, Vec<RecordBatch>> {
        let mut buckets: BTreeMap<u16, Vec<RecordBatch>> = BTreeMap::new();
        for ((bucket, _), state) in self.0 {
            buckets.entry(bucket).or_default().push(state);
        }
        buckets
    }
}

/// The value of a statistic, of whichever type that has.
#[derive(Debug, Clone)]
pub struct StatisticValue(Arc<dyn AnyValue>);

/// What a value may be.
trait AnyValue: Any + Debug + Send + Sync {}

impl<T: Any + Debug + Send + Sync> AnyValue for T {}

impl StatisticValue {
    /// Wraps a value.
    pub fn new<T: Any + Debug + Send + Sync>(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// The value, if it is of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        let any: &dyn Any = self.0.as_ref();
        any.downcast_ref()
    }
}

/// What a report tells of a statistic.
#[derive(Debug, Clone, PartialEq)]
pub struct StatisticReport {
    /// How exact it is: `exact`, or how it was estimated.
    pub method: String,
    /// What was found, by name.
    pub found: Map<String, Value>,
}

impl StatisticReport {
    /// An exact statistic of which there is nothing more to tell.
    pub fn exact() -> Self {
        Self {
            method: "exact".to_owned(),
            found: Map::new(),
        }
    }
}

/// What a report of a statistic is made with.
#[derive(Debug, Clone, Copy)]
pub struct ReportContext<'a> {
    /// The contract, with the columns that hold personal data.
    pub contract: &'a Contract,
    /// Rows of the source.
    pub rows: u64,
    /// Share of the rows that sampled statistics rest on.
    pub sampled: f64,
}
