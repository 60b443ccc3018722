//! Rows that were found to be of one thing.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, UInt64Type};
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use udfs::kernels::matching::KeyPlan;

use super::index::FieldAgreement;
use super::report::{MatchReport, PairExplanation};
use crate::error::{Error, Result};
use crate::operation::Splits;
use crate::storage::Place;

/// A row of a cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatchedRow {
    /// The row.
    pub row: u64,
    /// The cluster: its smallest row.
    pub cluster: u64,
    /// The row of the cluster that stays.
    pub survivor: u64,
    /// How sure it is that the row belongs there, 0 to 1: by the pair with the row that stays, or by
    /// its best pair in the cluster; 1 of the row that stays.
    pub score: f64,
}

/// The rows of all clusters of two and more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matches {
    /// By row.
    pub rows: Vec<MatchedRow>,
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
    pub fn of_row(&self, row: u64) -> Option<&MatchedRow> {
        let place = self.rows.binary_search_by_key(&row, |matched| matched.row);
        place.ok().map(|place| &self.rows[place])
    }

    /// Those among `rows` rows from `first_row`.
    pub fn among(&self, first_row: u64, rows: usize) -> &[MatchedRow] {
        let place = |row: u64| self.rows.partition_point(|matched| matched.row < row);
        &self.rows[place(first_row)..place(first_row + rows as u64)]
    }

    /// Writes them to a new file, split by split.
    pub fn write(&self, place: &Place, splits: Splits) -> Result<()> {
        let io = |error| Error::io(place, error);
        let mut file = place.create().map_err(io)?;
        let schema = schema();
        let mut writer = FileWriter::try_new(&mut file, &schema)?;
        let rows = usize::try_from(splits.rows).unwrap_or(usize::MAX);
        for split in 0..splits.count as u64 {
            let matched = self.among(split * splits.rows, rows);
            let number = |of: fn(&MatchedRow) -> u64| -> ArrayRef {
                Arc::new(UInt64Array::from_iter_values(matched.iter().map(of)))
            };
            let scores = Float64Array::from_iter_values(matched.iter().map(|row| row.score));
            let columns = vec![
                number(|matched| matched.row),
                number(|matched| matched.cluster),
                number(|matched| matched.survivor),
                Arc::new(scores) as ArrayRef,
            ];
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
        }
        writer.finish()?;
        drop(writer);
        file.finish().map_err(io)
    }

    /// Reads those of one split.
    pub fn read(place: &Place, split: u64) -> Result<Self> {
        let file = place.open().map_err(|error| Error::io(place, error))?;
        let mut reader = FileReader::try_new(file, None)?;
        let at = usize::try_from(split).unwrap_or(usize::MAX);
        if at >= reader.num_batches() {
            return Err(Error::Bug("no matches are kept of such a split"));
        }
        reader.set_index(at)?;
        let batch = reader
            .next()
            .ok_or(Error::Bug("matches of a split that are not there"))??;
        let number = |place: usize| batch.column(place).as_primitive::<UInt64Type>();
        let scores = batch.column(3).as_primitive::<Float64Type>();
        let rows = (0..batch.num_rows()).map(|row| MatchedRow {
            row: number(0).value(row),
            cluster: number(1).value(row),
            survivor: number(2).value(row),
            score: scores.value(row),
        });
        Ok(Self {
            rows: rows.collect(),
            report: None,
            explained: None,
            agreement: Vec::new(),
            plan: Arc::default(),
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
