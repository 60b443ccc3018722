//! Statistics of the values of a column, from which its type is inferred.
//!
//! Everything here is a sum, a set or a bound over the values (or, for the order of values, over neighbours), so that
//! it is the same for any division of the rows among batches and threads.

use std::sync::LazyLock;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::DataType;
use hashbrown::HashMap;
use udfs::kernels::pii::column::ColumnEvidence as PersonalEvidence;
use udfs::kernels::pii::detect::Detector;

use super::MissingValues;
use super::disguised::DISGUISED;
use super::missing::trim;
use super::shape::Shape;
use super::tally::Tally;
use super::unique::{Mixed, Uniqueness};
use planner_profile::{Distinct, hash_text, hash_values, mix};

/// Maximum number of different values that are counted one by one.
const COUNTED_VALUES: usize = 1_000;

/// Longest value that is counted, in bytes.
const COUNTED_BYTES: usize = 100;

/// Rows at the start of the source that are searched for personal data.
const PII_FIRST_ROWS: u64 = 20_000;

/// Of the other rows, one in this many is searched too.
const PII_ONE_IN: u64 = 1_024;

/// Bytes of a cell that are searched for personal data.
const PII_BYTES: usize = 4_096;

static DETECTOR: LazyLock<Detector> = LazyLock::new(Detector::new);

/// Statistics of all values of a column, sufficient to infer its type.
#[derive(Debug, Clone)]
pub struct ColumnEvidence {
    missing_values: MissingValues,
    /// Type of a column that is not text.
    pub(super) native: Option<DataType>,
    pub(super) rows: u64,
    pub(super) missing: u64,
    /// Counts of the spellings of `missing_values`.
    pub(super) spellings: Vec<u64>,
    /// Counts of the texts of `DISGUISED`, without those of `values`.
    disguised: Vec<u64>,
    /// Shapes of the cells, without those of `values`.
    tally: Tally,
    /// The values, while there are few; then they have been added to the other fields.
    pub(super) values: Option<HashMap<u64, CountedValue, Mixed>>,
    distinct: Distinct,
    unique: Uniqueness,
    pub(super) personal: PersonalEvidence,
}

/// A value of a column of few.
#[derive(Debug, Clone)]
pub(super) struct CountedValue {
    pub(super) text: Box<str>,
    pub(super) count: u64,
    shape: Shape,
}

impl ColumnEvidence {
    /// Creates empty statistics. Cells that spell one of `missing` count as missing.
    pub fn new(missing: &MissingValues) -> Self {
        Self {
            missing_values: missing.clone(),
            native: None,
            rows: 0,
            missing: 0,
            spellings: vec![0; missing.values().count()],
            disguised: vec![0; DISGUISED.values().count()],
            tally: Tally::default(),
            values: Some(HashMap::default()),
            distinct: Distinct::default(),
            unique: Uniqueness::default(),
            personal: PersonalEvidence::default(),
        }
    }

    /// Observes the values of consecutive rows, the first of which has this number in the source.
    pub fn observe(&mut self, array: &ArrayRef, first_row: u64) {
        self.rows += array.len() as u64;
        match array.as_string_view_opt() {
            Some(texts) => self.observe_texts(texts, first_row),
            None => self.observe_native(array),
        }
    }

    fn observe_native(&mut self, array: &ArrayRef) {
        self.missing += array.logical_null_count() as u64;
        if self.native.is_none() {
            self.native = Some(array.data_type().clone());
        }
        self.unique.lose_order();
        self.spill();
        hash_values(array, |hash| {
            self.distinct.insert(hash);
            self.unique.insert(hash);
        });
    }

    fn observe_texts(&mut self, texts: &StringViewArray, first_row: u64) {
        for row in 0..texts.len() {
            if texts.is_null(row) {
                self.missing += 1;
                continue;
            }
            let text = trim(texts.value(row));
            if let Some(spelling) = self.missing_values.position(text) {
                self.missing += 1;
                self.spellings[spelling] += 1;
                continue;
            }
            self.observe_present(text);
            let row_id = first_row + row as u64;
            if row_id < PII_FIRST_ROWS || mix(row_id) < u64::MAX / PII_ONE_IN {
                let end = text.floor_char_boundary(PII_BYTES);
                self.personal.observe(&DETECTOR, &text[..end]);
            }
        }
    }

    #[inline]
    fn observe_present(&mut self, text: &str) {
        self.unique.follow(text);
        let hash = hash_text(text);
        if let Some(values) = &mut self.values {
            let counted = values.len();
            match values.get_mut(&hash) {
                Some(value) if *value.text == *text => {
                    value.count += 1;
                    return;
                }
                // Two values with one hash: none in practice, but neither may hide the other.
                Some(_) => {}
                None if counted < COUNTED_VALUES && text.len() <= COUNTED_BYTES => {
                    let value = CountedValue {
                        text: text.into(),
                        count: 1,
                        shape: Shape::of(text),
                    };
                    values.insert(hash, value);
                    return;
                }
                None => {}
            }
            self.spill();
        }
        self.tally.add(&Shape::of(text), 1);
        if let Some(position) = DISGUISED.position(text) {
            self.disguised[position] += 1;
        }
        self.distinct.insert(hash);
        self.unique.insert(hash);
    }

    /// Stops counting individual values.
    fn spill(&mut self) {
        for (hash, value) in self.values.take().into_iter().flatten() {
            self.tally.add(&value.shape, value.count);
            if let Some(position) = DISGUISED.position(&value.text) {
                self.disguised[position] += value.count;
            }
            self.distinct.insert(hash);
            self.unique.insert(hash);
            if value.count > 1 {
                self.unique.give_up();
            }
        }
    }

    /// Merges the statistics of rows that come later in the source.
    pub fn merge(&mut self, mut later: Self) {
        self.rows += later.rows;
        self.missing += later.missing;
        self.native = self.native.take().or(later.native.take());
        for (count, more) in self.spellings.iter_mut().zip(&later.spellings) {
            *count += more;
        }
        if !self.merge_values(&mut later) {
            self.spill();
            later.spill();
        }
        for (count, more) in self.disguised.iter_mut().zip(&later.disguised) {
            *count += more;
        }
        self.tally.merge(later.tally);
        self.distinct.merge(&later.distinct);
        self.unique.merge(later.unique);
        self.personal.merge(&later.personal);
    }

    /// Merges the counts of individual values; returns `false` when there are too many together.
    fn merge_values(&mut self, later: &mut Self) -> bool {
        let (Some(values), Some(others)) = (&mut self.values, &mut later.values) else {
            return false;
        };
        let new = others
            .iter()
            .filter(|(hash, _)| !values.contains_key(*hash))
            .count();
        let same = |hash: &u64, other: &CountedValue| {
            values
                .get(hash)
                .is_none_or(|value| value.text == other.text)
        };
        if values.len() + new > COUNTED_VALUES
            || !others.iter().all(|(hash, other)| same(hash, other))
        {
            return false;
        }
        for (hash, other) in others.drain() {
            values
                .entry(hash)
                .and_modify(|value| value.count += other.count)
                .or_insert(other);
        }
        true
    }

    /// Returns the number of cells with a value.
    pub(super) fn present(&self) -> u64 {
        self.rows - self.missing
    }

    /// Returns the shapes of all cells with a value.
    pub(super) fn shapes(&self) -> Tally {
        let mut tally = self.tally.clone();
        for value in self.values.iter().flat_map(HashMap::values) {
            tally.add(&value.shape, value.count);
        }
        tally
    }

    /// Returns the texts of `DISGUISED` that occur, with their counts.
    pub(super) fn disguised(&self) -> Vec<(&'static str, u64)> {
        let mut counts = self.disguised.clone();
        for value in self.values.iter().flat_map(HashMap::values) {
            if let Some(position) = DISGUISED.position(&value.text) {
                counts[position] += value.count;
            }
        }
        DISGUISED
            .values()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// Returns the spellings of missing values that occur, most frequent first.
    pub(super) fn spelt_missing(&self) -> Vec<(String, u64)> {
        let spellings = self.missing_values.values().zip(&self.spellings);
        let mut seen: Vec<(String, u64)> = spellings
            .filter(|(_, count)| **count > 0)
            .map(|(text, count)| (text.to_owned(), *count))
            .collect();
        seen.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
        seen
    }

    /// Returns whether every value is known to occur once.
    pub(super) fn is_unique(&self) -> bool {
        match &self.values {
            Some(values) => !values.is_empty() && values.values().all(|value| value.count == 1),
            None => self.unique.proven(),
        }
    }

    /// Returns the number of different values; exact where there are few or all differ.
    pub(super) fn distinct(&self) -> u64 {
        match &self.values {
            Some(values) => values.len() as u64,
            None if self.unique.proven() => self.present(),
            None => self.distinct.count().0.min(self.present()),
        }
    }
}
