//! The golden record: what the row that stays of a cluster lacks, from the rows that leave for it.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{cast, concat, interleave, take};
use arrow::datatypes::{DataType, Float64Type, UInt64Type};
use datafusion::execution::memory_pool::MemoryReservation;

use crate::error::{Error, Result};
use crate::operation::{
    Accumulator, ChangeSource, CleaningBatch, Confidence, DriverContext, PartialState,
    PartialStates, ReportContext, SplitContext, Statistic, StatisticFiles, StatisticReport,
    StatisticValue, Stored, Traffic, known,
};

/// What the rows that stay take over from others: of each column, what fills missing values. Its value is a `Vec` of
/// [`MergedColumn`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedValues {
    /// The transformation that has found the clusters.
    pub transformation: u16,
    /// Columns of which missing values are filled.
    pub columns: Vec<usize>,
}

impl Statistic for MergedValues {
    fn describe(&self, names: &dyn Fn(&[usize]) -> String) -> String {
        let columns = names(&self.columns);
        format!("{columns} of rows that leave, for those that stay")
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            what: "values of rows that leave",
            row_bytes: None,
        }
    }

    fn accumulator(&self, _: &SplitContext) -> Box<dyn Accumulator> {
        Box::new(LeavingRows::new(self.clone()))
    }

    fn evaluate(
        &self,
        partial: PartialStates,
        driver: &mut DriverContext<'_>,
    ) -> Result<StatisticValue> {
        let merged = merge(self.columns.len(), &partial.by_split(), driver.memory)?;
        Ok(StatisticValue::new(merged))
    }

    fn store(&self, value: &StatisticValue, files: &StatisticFiles) -> Result<Stored> {
        let columns = known::<Vec<MergedColumn>>(Some(value))?.iter();
        files.write_streams(
            &columns
                .map(MergedColumn::batch)
                .collect::<Result<Vec<_>>>()?,
        )
    }

    fn load(&self, stored: &Stored, _: u64) -> Result<StatisticValue> {
        let columns = stored.read_streams()?;
        let columns = columns.iter().map(MergedColumn::read);
        Ok(StatisticValue::new(columns.collect::<Result<Vec<_>>>()?))
    }

    fn report(&self, _: Option<&StatisticValue>, _: &ReportContext<'_>) -> Option<StatisticReport> {
        None
    }
}

/// Columns of a log before the values.
const LEAD: usize = 3;

/// The values of a split's rows that leave for another row.
#[derive(Debug)]
struct LeavingRows {
    statistic: MergedValues,
    survivors: Vec<u64>,
    rows: Vec<u64>,
    scores: Vec<f64>,
    /// By column, frame by frame.
    values: Vec<Vec<ArrayRef>>,
}

impl LeavingRows {
    fn new(statistic: MergedValues) -> Self {
        Self {
            survivors: Vec::new(),
            rows: Vec::new(),
            scores: Vec::new(),
            values: vec![Vec::new(); statistic.columns.len()],
            statistic,
        }
    }
}

impl Accumulator for LeavingRows {
    fn update(&mut self, frame: &CleaningBatch) -> Result<usize> {
        let own =
            |(transformation, _): &&(u16, _)| *transformation == self.statistic.transformation;
        let clustered = frame.clustered.iter().filter(own);
        let leaving = clustered
            .map(|(_, matched)| matched)
            .filter(|matched| matched.row != matched.survivor);
        let mut places: Vec<u32> = Vec::new();
        for matched in leaving {
            places.push((matched.row - frame.first_row) as u32);
            self.survivors.push(matched.survivor);
            self.rows.push(matched.row);
            self.scores.push(matched.score);
        }
        if places.is_empty() {
            return Ok(0);
        }
        let mut bytes = places.len() * 24;
        let places = UInt32Array::from(places);
        for (column, values) in self.statistic.columns.iter().zip(&mut self.values) {
            let taken = plain(&take(&frame.columns[*column], &places, None)?)?;
            bytes += taken.get_array_memory_size();
            values.push(taken);
        }
        Ok(bytes)
    }

    /// One batch: `survivor`, `row`, `score` and the values.
    fn finish(self: Box<Self>) -> Result<Vec<PartialState>> {
        let mut columns: Vec<(String, ArrayRef, bool)> = vec![
            (
                "survivor".into(),
                Arc::new(UInt64Array::from(self.survivors)),
                false,
            ),
            ("row".into(), Arc::new(UInt64Array::from(self.rows)), false),
            (
                "score".into(),
                Arc::new(Float64Array::from(self.scores)),
                false,
            ),
        ];
        for (place, parts) in self
            .values
            .iter()
            .enumerate()
            .filter(|(_, parts)| !parts.is_empty())
        {
            let parts: Vec<&dyn Array> = parts.iter().map(|part| part as &dyn Array).collect();
            columns.push((format!("value-{place}"), concat(&parts)?, true));
        }
        let leaving = RecordBatch::try_from_iter_with_nullable(columns)?;
        Ok(PartialState::whole(leaving))
    }
}

/// An array that does not hold on to more than its own values, as a view of texts does.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Utf8View => cast(array, &DataType::Utf8)?,
        DataType::BinaryView => cast(array, &DataType::Binary)?,
        _ => Arc::clone(array),
    })
}

/// What of one column there is to fill missing values with.
#[derive(Debug, Clone)]
pub struct MergedColumn {
    /// Rows that stay, ascending.
    pub survivors: Vec<u64>,
    /// The row from which each has its value.
    pub rows: Vec<u64>,
    /// How sure it is that the two are of one thing.
    pub scores: Vec<f64>,
    /// The values; none is missing.
    pub values: ArrayRef,
}

/// For each of `columns` columns and each row that stays, the value of the row that leaves for it with
/// the best score, the first of these, among those that have one. `logs` are those of all splits.
fn merge(
    columns: usize,
    logs: &[RecordBatch],
    memory: &MemoryReservation,
) -> Result<Vec<MergedColumn>> {
    let held = memory.new_empty();
    let mut leaving = Vec::new();
    for (log, batch) in logs.iter().enumerate() {
        held.try_grow(batch.num_rows() * size_of::<(u64, Reverse<u64>, u64, (usize, usize))>())?;
        let number = |place: usize| batch.column(place).as_primitive_opt::<UInt64Type>();
        let scores = batch.column(2).as_primitive_opt::<Float64Type>();
        let (Some(survivors), Some(rows), Some(scores)) = (number(0), number(1), scores) else {
            return Err(Error::Bug("a log of leaving rows without rows"));
        };
        for place in 0..batch.num_rows() {
            // Scores are not negative, so their bits are in their order.
            let score = Reverse(scores.value(place).to_bits());
            let row = rows.value(place);
            leaving.push((survivors.value(place), score, row, (log, place)));
        }
    }
    leaving.sort_unstable();
    let mut merged = Vec::with_capacity(columns);
    for column in 0..columns {
        let values: Vec<&dyn Array> = logs
            .iter()
            .filter_map(|log| log.columns().get(LEAD + column))
            .map(|values| values as &dyn Array)
            .collect();
        if values.len() != logs.len() {
            return Err(Error::Bug("a log of leaving rows without values"));
        }
        let present = |(log, place): &(usize, usize)| values[*log].is_valid(*place);
        let mut best = leaving
            .iter()
            .filter(|(.., at)| present(at))
            .collect::<Vec<_>>();
        best.dedup_by_key(|(survivor, ..)| *survivor);
        let places: Vec<(usize, usize)> = best.iter().map(|(.., at)| *at).collect();
        let values = if logs.is_empty() {
            arrow::array::new_empty_array(&DataType::Null)
        } else {
            interleave(&values, &places)?
        };
        memory.try_grow(values.get_array_memory_size() + places.len() * 24)?;
        merged.push(MergedColumn {
            survivors: best.iter().map(|(survivor, ..)| *survivor).collect(),
            rows: best.iter().map(|(_, _, row, _)| *row).collect(),
            scores: best
                .iter()
                .map(|(_, score, ..)| f64::from_bits(score.0))
                .collect(),
            values,
        });
    }
    Ok(merged)
}

impl MergedColumn {
    /// Fills missing values of a column of the frame.
    pub fn fill(
        &self,
        frame: &mut CleaningBatch,
        transformation: u16,
        column: usize,
    ) -> Result<()> {
        let end = frame.first_row + frame.rows() as u64;
        let place = |row: u64| self.survivors.partition_point(|survivor| *survivor < row);
        let array = Arc::clone(&frame.columns[column]);
        let mut filled: Vec<(usize, usize)> = (0..frame.rows()).map(|row| (0, row)).collect();
        let (mut rows, mut from, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        for at in place(frame.first_row)..place(end) {
            let row = (self.survivors[at] - frame.first_row) as usize;
            if frame.is_live(row) && array.is_null(row) {
                filled[row] = (1, at);
                rows.push(row as u32);
                from.push(self.rows[at]);
                scores.push(self.scores[at] as f32);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let values = cast(&self.values, array.data_type())?;
        let array = interleave(&[&array as &dyn Array, &values], &filled)?;
        let (scores, source) = (Confidence::Each(scores), ChangeSource::LshSuggest);
        frame.change(transformation, column, array, rows, scores, source);
        if let Some(change) = frame.changes.last_mut() {
            change.from = from;
        }
        Ok(())
    }

    /// As a batch, for a file.
    fn batch(&self) -> Result<RecordBatch> {
        let number = |of: &[u64]| Arc::new(UInt64Array::from(of.to_vec())) as ArrayRef;
        let scores = Float64Array::from(self.scores.clone());
        Ok(RecordBatch::try_from_iter([
            ("survivor", number(&self.survivors)),
            ("row", number(&self.rows)),
            ("score", Arc::new(scores) as ArrayRef),
            ("value", Arc::clone(&self.values)),
        ])?)
    }

    /// What [`MergedColumn::batch`] holds.
    fn read(batch: &RecordBatch) -> Result<Self> {
        let number = |place: usize| batch.column(place).as_primitive_opt::<UInt64Type>();
        let scores = batch.column(2).as_primitive_opt::<Float64Type>();
        let (Some(survivors), Some(rows), Some(scores)) = (number(0), number(1), scores) else {
            return Err(Error::Bug("merged values without rows"));
        };
        Ok(Self {
            survivors: survivors.values().to_vec(),
            rows: rows.values().to_vec(),
            scores: scores.values().to_vec(),
            values: Arc::clone(batch.column(3)),
        })
    }
}
