//! Rows that were found to be of one thing.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, UInt64Type};
use udfs::kernels::matching::KeyPlan;

use super::index::FieldAgreement;
use super::report::{MatchReport, PairExplanation};
use crate::error::Result;
use crate::operation::{ClusteredRow, StatisticFiles, Stored};

/// The rows of all clusters of two and more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matches {
    /// By row.
    pub rows: Vec<ClusteredRow>,
    /// How they were found; only where all are known.
    pub report: Option<Arc<MatchReport>>,
    /// Why two rows are in one cluster or not, where somebody has asked.
    pub explained: Option<Arc<PairExplanation>>,
    /// What was learned of the fields, for a job that adds rows; only where all are known.
    pub agreement: Vec<FieldAgreement>,
    /// By which keys rows met, for the same.
    pub plan: Arc<KeyPlan>,
}

impl Matches {
    /// The cluster of a row; none where it stands alone.
    pub fn of_row(&self, row: u64) -> Option<&ClusteredRow> {
        let place = self.rows.binary_search_by_key(&row, |matched| matched.row);
        place.ok().map(|place| &self.rows[place])
    }

    /// Those among `rows` rows from `first_row`.
    pub fn among(&self, first_row: u64, rows: usize) -> &[ClusteredRow] {
        let place = |row: u64| self.rows.partition_point(|matched| matched.row < row);
        &self.rows[place(first_row)..place(first_row + rows as u64)]
    }

    /// Stores them, split by split.
    pub(super) fn store(&self, files: &StatisticFiles) -> Result<Stored> {
        let schema = schema();
        files.write_splits(&schema, |first_row, rows| {
            let matched = self.among(first_row, rows);
            let number = |of: fn(&ClusteredRow) -> u64| -> ArrayRef {
                Arc::new(UInt64Array::from_iter_values(matched.iter().map(of)))
            };
            let scores = Float64Array::from_iter_values(matched.iter().map(|row| row.score));
            let columns = vec![
                number(|matched| matched.row),
                number(|matched| matched.cluster),
                number(|matched| matched.survivor),
                Arc::new(scores) as ArrayRef,
            ];
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        })
    }

    /// Loads those of one split.
    pub(super) fn load(stored: &Stored, split: u64) -> Result<Self> {
        let batch = stored.read_split(split)?;
        let number = |place: usize| batch.column(place).as_primitive::<UInt64Type>();
        let scores = batch.column(3).as_primitive::<Float64Type>();
        let rows = (0..batch.num_rows()).map(|row| ClusteredRow {
            row: number(0).value(row),
            cluster: number(1).value(row),
            survivor: number(2).value(row),
            score: scores.value(row),
        });
        Ok(Self {
            rows: rows.collect(),
            ..Self::default()
        })
    }
}

fn schema() -> SchemaRef {
    let number = |name: &str| Field::new(name, DataType::UInt64, false);
    Arc::new(Schema::new(vec![
        number("row"),
        number("cluster"),
        number("survivor"),
        Field::new("score", DataType::Float64, false),
    ]))
}
