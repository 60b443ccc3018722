//! A sample of the rows that are compared, from which the fields are learned.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder, UInt64Array,
};
use arrow::datatypes::UInt64Type;
use serde::{Deserialize, Serialize};
use udfs::kernels::matching::{KeyPlan, Record};

use super::earlier::EarlierIndex;
use super::found::Found;
use super::index::FieldAgreement;
use super::options::{MatchingNeed, Method};
use super::rows::{RowRecords, Values, sides};
use crate::error::{Error, Result};
use crate::operation::{
    Accumulator, CleaningBatch, DriverContext, PartialState, PartialStates, ReportContext,
    SplitContext, Statistic, StatisticFiles, StatisticReport, StatisticValue, Stored, Traffic,
    known,
};
use crate::profile::RowSample;

/// Rows of a sample: enough for the frequencies that matter.
const SAMPLE_ROWS: u64 = 50_000;

/// In the place of a bucket of keys: how many rows there are.
pub(super) const COUNT_BUCKET: u16 = 64;

/// Rows of a table, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Rows of each side that may match, by the hash of the side; one side where any may match any.
    pub counts: BTreeMap<u64, u64>,
    /// The side of each row of the sample.
    pub sides: Vec<u64>,
    /// The comparable values of each.
    pub records: Vec<Record>,
    /// What texts are cut into; none of records, or where the step says so.
    pub shingle: Option<String>,
    /// Rows of an earlier output that may match too, but not one another.
    pub earlier: u64,
    /// What was learned of them.
    pub agreement: Vec<FieldAgreement>,
}

impl Sample {
    /// Rows that may match.
    pub fn rows(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Pairs of them: all, or those of different sides.
    pub fn pairs(&self, linked: bool) -> f64 {
        let all = |rows: u64| rows as f64 * rows.saturating_sub(1) as f64 / 2.0;
        let within: f64 = self.counts.values().map(|rows| all(*rows)).sum();
        let across = self.rows() as f64 * self.earlier as f64;
        if linked {
            all(self.rows()) - within
        } else {
            all(self.rows()) + across
        }
    }

    /// Puts sketches in the place of values that are not to be read, and adds rows of an earlier output.
    pub fn prepare(&mut self, need: &MatchingNeed, earlier: Option<&EarlierIndex>) -> Result<()> {
        if let Method::Records { .. } = need.method {
            let records = RowRecords::new(need, None)?;
            self.records
                .iter_mut()
                .for_each(|record| records.hide(record));
        }
        let Some(index) = earlier else {
            return Ok(());
        };
        self.earlier = index.rows();
        self.agreement.clone_from(&index.head.agreement);
        match need.method {
            Method::Texts { .. } => self.shingle.clone_from(&index.head.plan.shingle),
            Method::Records { .. } => {
                let sample = index.sample(SAMPLE_ROWS, SAMPLE_SEED)?;
                self.sides.resize(self.records.len() + sample.len(), 0);
                self.records.extend(sample);
            }
        }
        Ok(())
    }

    /// Adds what was counted in all splits.
    pub fn count(&mut self, counts: &[RecordBatch]) -> Result<()> {
        for part in counts {
            let numbers = |place: usize| {
                let column = part.columns().get(place)?;
                Some(column.as_primitive_opt::<UInt64Type>()?.values())
            };
            let (Some(rows), Some(sides)) = (numbers(0), numbers(1)) else {
                return Err(Error::Bug("counts without rows"));
            };
            for (side, rows) in sides.iter().zip(rows) {
                *self.counts.entry(*side).or_default() += rows;
            }
        }
        Ok(())
    }

    /// Of texts, by how many words they have: what is changed in a short one is a letter, in a document a
    /// word.
    pub fn of_texts(parts: &[RecordBatch]) -> Result<Self> {
        let (mut texts, mut words) = (0, 0);
        for part in parts {
            let sum = |place: usize| {
                let column = part.columns().get(place)?;
                let numbers = column.as_primitive_opt::<UInt64Type>()?;
                Some(numbers.values().iter().sum::<u64>())
            };
            let (Some(more), Some(their_words)) = (sum(0), sum(1)) else {
                return Err(Error::Bug("a sample of texts without words"));
            };
            texts += more;
            words += their_words;
        }
        let shingle = match words / texts.max(1) {
            0..8 => "3 characters",
            8..200 => "5 characters",
            _ => "5 words",
        };
        Ok(Self {
            shingle: Some(shingle.to_owned()),
            ..Self::default()
        })
    }

    /// Puts the parts of all splits together; rows in the order of their numbers, of copies the first.
    pub fn merge(parts: &[RecordBatch]) -> Result<Self> {
        let mut sample = Self::default();
        let mut rows: Vec<(u64, u64, Record)> = Vec::new();
        for part in parts {
            let numbers = part
                .column(0)
                .as_primitive_opt::<UInt64Type>()
                .ok_or(Error::Bug("a sample without rows"))?;
            let sides = part
                .column(1)
                .as_primitive_opt::<UInt64Type>()
                .ok_or(Error::Bug("a sample without sides"))?;
            let columns: Vec<&StringArray> = part.columns()[2..]
                .iter()
                .map(|column| column.as_string_opt::<i32>())
                .collect::<Option<_>>()
                .ok_or(Error::Bug("a sample of no texts"))?;
            for row in 0..part.num_rows() {
                let value = |column: &&StringArray| {
                    column.is_valid(row).then(|| column.value(row).to_owned())
                };
                let record = columns.iter().map(value).collect();
                rows.push((numbers.value(row), sides.value(row), record));
            }
        }
        rows.sort_unstable();
        let mut copies = copies(&rows).into_iter();
        rows.retain(|_| !copies.next().unwrap_or_default());
        for (_, side, record) in rows {
            sample.sides.push(side);
            sample.records.push(record);
        }
        Ok(sample)
    }

    /// About the memory that it takes.
    pub fn bytes(&self) -> usize {
        let values = self.records.iter().flatten();
        values
            .map(|value| 24 + value.as_ref().map_or(0, String::len))
            .sum()
    }
}

/// Pairs of rows that chance may be expected to make the same, from which rows that are the same are
/// no copies.
const CHANCE: f64 = 0.01;

/// Which rows repeat an earlier one of their side so exactly that it cannot be by chance. How frequent
/// values are does not depend on copies; but that records of little are the same is no wonder.
fn copies(rows: &[(u64, u64, Record)]) -> Vec<bool> {
    let mut seen: HashSet<(u64, &Record)> = HashSet::new();
    let repeats: Vec<bool> = rows
        .iter()
        .map(|(_, side, record)| !seen.insert((*side, record)))
        .collect();
    let columns = rows.first().map_or(0, |(.., record)| record.len());
    // Of each column, how often each value stands in the rows that repeat none.
    let mut counts: Vec<HashMap<&str, f64>> = vec![HashMap::new(); columns];
    let mut firsts = 0.0;
    for ((.., record), _) in rows.iter().zip(&repeats).filter(|(_, repeats)| !**repeats) {
        firsts += 1.0;
        for (counts, value) in counts.iter_mut().zip(record) {
            if let Some(value) = value {
                *counts.entry(value).or_default() += 1.0;
            }
        }
    }
    let by_chance = |record: &Record| {
        let values = counts.iter().zip(record);
        let shares = values.filter_map(|(counts, value)| {
            let count = counts.get(value.as_deref()?)?;
            Some(count / firsts)
        });
        shares.product::<f64>() * firsts * firsts / 2.0
    };
    let rows = rows.iter().zip(repeats);
    rows.map(|((.., record), repeats)| repeats && by_chance(record) < CHANCE)
        .collect()
}

/// Tells the sample of one table from others.
const SAMPLE_SEED: u64 = 0x6d61_7463_6869_6e67;

/// A sample of the rows, which tells by which keys near duplicates may meet. Its value is an `Arc` of [`KeyPlan`].
#[derive(Debug, Clone)]
pub struct KeySample(pub MatchingNeed);

impl Statistic for KeySample {
    fn describe(&self, names: &dyn Fn(&[usize]) -> String) -> String {
        format!("a sample of {}", names(&self.0.columns))
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            what: "a sample of rows",
            row_bytes: None,
        }
    }

    // A sample is as good with a few copies in it.
    fn outlives_drops(&self) -> bool {
        true
    }

    fn accumulator(&self, split: &SplitContext) -> Box<dyn Accumulator> {
        Box::new(SampledRows::new(
            self.0.clone(),
            split.total_rows,
            split.seed,
        ))
    }

    fn evaluate(
        &self,
        partial: PartialStates,
        driver: &mut DriverContext<'_>,
    ) -> Result<StatisticValue> {
        let found = Found::of_sample(&self.0, &partial.by_split(), driver)?;
        let plan = Arc::clone(&found.plan);
        driver.shared.insert(found);
        Ok(StatisticValue::new(plan))
    }

    fn store(&self, value: &StatisticValue, files: &StatisticFiles) -> Result<Stored> {
        files.write_document(known::<Arc<KeyPlan>>(Some(value))?.as_ref())
    }

    fn load(&self, stored: &Stored, _: u64) -> Result<StatisticValue> {
        let plan: KeyPlan = stored.read_document()?;
        Ok(StatisticValue::new(Arc::new(plan)))
    }

    fn report(&self, _: Option<&StatisticValue>, _: &ReportContext<'_>) -> Option<StatisticReport> {
        None
    }
}

/// One split's part of a sample.
#[derive(Debug)]
struct SampledRows {
    need: MatchingNeed,
    sampled: RowSample,
    rows: Vec<u64>,
    sides: Vec<u64>,
    values: Vec<StringBuilder>,
    /// Of texts: how many there are, and their words.
    texts: u64,
    words: u64,
}

impl SampledRows {
    /// Of a table of so many rows.
    fn new(need: MatchingNeed, total_rows: u64, seed: u64) -> Self {
        Self {
            sampled: RowSample::of(total_rows, SAMPLE_ROWS, seed ^ SAMPLE_SEED),
            rows: Vec::new(),
            sides: Vec::new(),
            values: need.columns.iter().map(|_| StringBuilder::new()).collect(),
            texts: 0,
            words: 0,
            need,
        }
    }

    /// One batch: `row`, `side` and the comparable values; of texts, `texts` and `words`.
    fn into_batch(mut self) -> Result<RecordBatch> {
        if let Method::Texts { .. } = self.need.method {
            let number = |number| Arc::new(UInt64Array::from(vec![number])) as ArrayRef;
            let columns = [("texts", number(self.texts)), ("words", number(self.words))];
            return Ok(RecordBatch::try_from_iter(columns)?);
        }
        let mut columns: Vec<(String, ArrayRef, bool)> = vec![
            ("row".into(), Arc::new(UInt64Array::from(self.rows)), false),
            (
                "side".into(),
                Arc::new(UInt64Array::from(self.sides)),
                false,
            ),
        ];
        for (place, values) in self.values.iter_mut().enumerate() {
            columns.push((format!("value-{place}"), Arc::new(values.finish()), true));
        }
        Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
    }
}

impl Accumulator for SampledRows {
    fn update(&mut self, frame: &CleaningBatch) -> Result<usize> {
        let taken = |row: &usize| {
            frame.is_live(*row) && self.sampled.contains(frame.first_row + *row as u64)
        };
        let rows: Vec<usize> = (0..frame.rows()).filter(taken).collect();
        if rows.is_empty() {
            return Ok(0);
        }
        let values = Values::at(frame, &self.need.columns, &rows)?;
        if let Method::Texts { .. } = self.need.method {
            for place in 0..rows.len() {
                let words = values.text(place).split_whitespace().count();
                self.texts += u64::from(words > 0);
                self.words += words as u64;
            }
            return Ok(0);
        }
        let sides = sides(frame, self.need.link_by);
        let mut bytes = 0;
        for (place, row) in rows.into_iter().enumerate() {
            self.rows.push(frame.first_row + row as u64);
            self.sides
                .push(sides.as_ref().map_or(0, |sides| sides[row]));
            bytes += 16;
            for (column, value) in self.values.iter_mut().zip(values.record(place)) {
                bytes += 5 + value.as_ref().map_or(0, String::len);
                column.append_option(value);
            }
        }
        Ok(bytes)
    }

    fn finish(self: Box<Self>) -> Result<Vec<PartialState>> {
        Ok(PartialState::whole(self.into_batch()?))
    }
}
