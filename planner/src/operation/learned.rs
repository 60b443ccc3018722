//! What an operation must know of all rows, and the answer.

use std::sync::{Arc, OnceLock};

use arrow::array::ArrayRef;
use udfs::kernels::canonical::Canonicalizer;
use udfs::kernels::cell::CellKernel;
use udfs::kernels::matching::KeyPlan;

use crate::matching::{Candidates, Matches, MatchingNeed, MergeNeed, MergedColumn};

/// What an operation needs to learn from all rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Need {
    /// Which rows repeat the key of another row.
    Repeats(KeyNeed),
    /// Figures of columns, over all rows or by group.
    Figures(FigureNeed),
    /// Which values each of the columns repeats, for the canonical ones among them.
    Values(Vec<usize>),
    /// By which keys near duplicates may meet.
    Sample(MatchingNeed),
    /// Which pairs of rows may be near duplicates.
    Candidates(MatchingNeed),
    /// Which of these are.
    Matches(MatchingNeed),
    /// What those that stay lack and others have.
    Merge(MergeNeed),
}

/// Which rows repeat the key of another row.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyNeed {
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

/// Figures of columns, over all rows or by group.
#[derive(Debug, Clone, PartialEq)]
pub struct FigureNeed {
    /// What is wanted of which column.
    pub figures: Vec<(usize, Figure)>,
    /// Columns whose values make the groups; empty for one group of all rows.
    pub by: Vec<usize>,
}

/// A figure of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// The middle value.
    Median,
    /// The arithmetic mean.
    Mean,
    /// The most frequent value; the smallest of equally frequent ones.
    Mode,
    /// First and third quartile.
    Quartiles,
    /// Median, and median of the absolute deviations from it.
    MedianDeviation,
    /// Mean, and standard deviation of a sample.
    MeanDeviation,
}

/// The answer to a [`Need`].
#[derive(Debug)]
pub enum Learned {
    /// Rows that repeat an earlier key.
    Repeats(Repeats),
    /// Figures of each column wanted, in the order of the need.
    Figures(Vec<ColumnFigures>),
    /// Canonical values of each column wanted, in the order of the need.
    Values(Vec<CanonicalValues>),
    /// By which keys near duplicates may meet.
    KeyPlan(Arc<KeyPlan>),
    /// Pairs of rows that may be near duplicates.
    Candidates(Candidates),
    /// Clusters of near duplicates.
    Matches(Matches),
    /// What fills missing values of each column wanted, in the order of the need.
    Merge(Vec<MergedColumn>),
}

/// Canonical values that were learned from a column, and the kernel made of them.
#[derive(Debug, Default)]
pub struct CanonicalValues {
    /// The values; empty where the column has none.
    pub values: Vec<String>,
    kernel: OnceLock<Canonicalizer>,
}

impl CanonicalValues {
    /// These values.
    pub fn new(values: Vec<String>) -> Self {
        Self {
            values,
            kernel: OnceLock::new(),
        }
    }

    /// The kernel that brings a value to the nearest of these; none where there are none.
    pub fn kernel(&self, min_similarity: f64) -> Option<&dyn CellKernel> {
        if self.values.is_empty() {
            return None;
        }
        let make = || Canonicalizer::new(self.values.clone(), min_similarity);
        Some(self.kernel.get_or_init(make))
    }
}

/// Rows that repeat the key of another: the row, and the one that stays; by row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repeats(pub Vec<(u64, u64)>);

impl Need {
    /// Whether rows that leave in the same pass can be taken out of what is learned before it is
    /// summed up, or do not matter. Counts carry no row ids; keys do, but many workers sum them up,
    /// none of which knows all rows that leave; a sample is as good with a few copies in it.
    pub fn outlives_drops(&self) -> bool {
        matches!(self, Self::Figures(_) | Self::Sample(_))
    }
}

impl Repeats {
    /// The repeats among `rows` rows from `first_row`.
    pub fn among(&self, first_row: u64, rows: usize) -> &[(u64, u64)] {
        let start = self.0.partition_point(|(row, _)| *row < first_row);
        let end = self
            .0
            .partition_point(|(row, _)| *row < first_row + rows as u64);
        &self.0[start..end]
    }
}

/// The figures of one column: one group, or one for each value of the group columns.
#[derive(Debug, Clone)]
pub struct ColumnFigures {
    /// 128-bit hashes of the groups' keys, ascending; empty when there is one group of all rows.
    pub groups: Vec<u128>,
    /// Figures by group, and last those of all rows, for groups without a value of their own.
    pub figures: Vec<GroupFigures>,
    /// Share of the rows that the figures rest on: 1.0 when exact.
    pub sampled: f64,
}

/// The figures of one group.
#[derive(Debug, Clone)]
pub struct GroupFigures {
    /// The middle value, the mean or the mode, in the type of the column: an array of one.
    pub value: Option<ArrayRef>,
    /// Lower and upper bound, or centre and spread, as numbers.
    pub pair: Option<(f64, f64)>,
    /// Confidence of a cell that is filled with the value.
    pub confidence: f32,
    /// Present values of the group.
    pub count: u64,
}

impl ColumnFigures {
    /// The figures of the group with this key, or those of all rows.
    pub fn group(&self, key: Option<u128>) -> Option<&GroupFigures> {
        let own = key
            .and_then(|key| self.groups.binary_search(&key).ok())
            .and_then(|place| self.figures.get(place))
            .filter(|figures| figures.count > 0);
        own.or_else(|| self.figures.last())
    }
}
