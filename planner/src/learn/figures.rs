//! Medians, means, modes and spreads, of all rows or by group, from the values themselves.
//!
//! The values of the columns are taken down with their rows, so that rows that leave in the same
//! pass can be taken out before the sum. Where all rows would not fit, the values of a sample of
//! rows are kept, chosen by a hash of the row id; the answer then has a known rank error.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, StringViewArray, UInt32Array,
    UInt64Array,
};
use arrow::buffer::Buffer;
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Schema, UInt64Type};
use hashbrown::HashMap;
use udfs::kernels::row_hash::hash_rows;

use super::quantity::{Quantity, quantities, quantity_array};
use crate::error::Result;
use crate::profile::RowSample;
use crate::program::{ColumnFigures, Figure, FigureNeed, Frame, GroupFigures};

/// The values of the wanted columns, with their rows.
#[derive(Debug)]
pub struct FigureLog {
    need: FigureNeed,
    sample: Option<RowSample>,
    rows: Vec<u64>,
    groups: Vec<u128>,
    columns: Vec<Vec<ArrayRef>>,
}

impl FigureLog {
    /// An empty log; with a `sample`, of its rows only.
    pub fn new(need: FigureNeed, sample: Option<RowSample>) -> Self {
        let columns = need.figures.iter().map(|_| Vec::new()).collect();
        Self {
            need,
            sample,
            rows: Vec::new(),
            groups: Vec::new(),
            columns,
        }
    }

    /// Takes down a frame's live rows; gives the bytes that this took.
    pub fn observe(&mut self, frame: &Frame) -> Result<usize> {
        let wanted: UInt32Array = (0..frame.rows())
            .filter(|row| {
                let id = frame.first_row + *row as u64;
                frame.is_live(*row)
                    && self
                        .sample
                        .as_ref()
                        .is_none_or(|sample| sample.contains(id))
            })
            .map(|row| row as u32)
            .collect();
        self.rows.extend(
            wanted
                .values()
                .iter()
                .map(|row| frame.first_row + u64::from(*row)),
        );
        let mut bytes = 8 * wanted.len();
        if !self.need.by.is_empty() {
            let keys: Vec<ArrayRef> = self
                .need
                .by
                .iter()
                .map(|column| Arc::clone(&frame.columns[*column]))
                .collect();
            let hashes = hash_rows(&keys);
            self.groups
                .extend(wanted.values().iter().map(|row| hashes[*row as usize]));
            bytes += 16 * wanted.len();
        }
        for ((column, _), parts) in self.need.figures.iter().zip(&mut self.columns) {
            let array = &frame.columns[*column];
            let all = wanted.len() == array.len() && array.data_type() != &DataType::Utf8View;
            let part = if all {
                Arc::clone(array)
            } else {
                take(array, &wanted, None)?
            };
            // A view would keep the whole text of the source alive.
            let part = match part.as_string_view_opt() {
                Some(text) => Arc::new(text.gc()) as ArrayRef,
                None => part,
            };
            bytes += part.get_array_memory_size();
            parts.push(part);
        }
        Ok(bytes)
    }

    /// The log as one batch: `row`, `group` if there are groups, and the columns.
    pub fn finish(self) -> Result<RecordBatch> {
        let mut fields = vec![Field::new("row", DataType::UInt64, false)];
        let rows = self.rows.len();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(self.rows))];
        if !self.need.by.is_empty() {
            fields.push(Field::new("group", DataType::FixedSizeBinary(16), false));
            let groups = FixedSizeBinaryArray::try_new(16, Buffer::from_vec(self.groups), None)?;
            columns.push(Arc::new(groups));
        }
        for (place, parts) in self.columns.iter().enumerate() {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            if parts.is_empty() {
                debug_assert_eq!(rows, 0, "a log with rows has columns");
                continue;
            }
            let column = concat(&parts)?;
            fields.push(Field::new(
                format!("c{place}"),
                column.data_type().clone(),
                true,
            ));
            columns.push(column);
        }
        Ok(RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            columns,
        )?)
    }
}

/// The figures that the logs of all splits, in order, give; rows that `gone` names left before.
/// `sampled` is the share of the rows that the logs hold.
pub fn sum_figures(
    need: &FigureNeed,
    logs: &[RecordBatch],
    sampled: f64,
    gone: &dyn Fn(u64) -> bool,
) -> Result<Vec<ColumnFigures>> {
    let logs: Vec<&RecordBatch> = logs.iter().filter(|log| log.num_rows() > 0).collect();
    let first = if need.by.is_empty() { 1 } else { 2 };
    let mut answers = Vec::with_capacity(need.figures.len());
    for (place, (_, figure)) in need.figures.iter().enumerate() {
        let mut values = GroupValues::new(*figure == Figure::Mode);
        for log in &logs {
            values.add(log, first + place, !need.by.is_empty(), gone)?;
        }
        let data_type = logs
            .first()
            .map(|log| log.column(first + place).data_type().clone());
        answers.push(values.sum(*figure, data_type, sampled)?);
    }
    Ok(answers)
}

/// Values of one column by group.
struct GroupValues {
    counted: bool,
    quantities: BTreeMap<u128, Vec<Quantity>>,
    texts: BTreeMap<u128, HashMap<Arc<str>, u64>>,
}

impl GroupValues {
    fn new(counted: bool) -> Self {
        Self {
            counted,
            quantities: BTreeMap::new(),
            texts: BTreeMap::new(),
        }
    }

    fn add(
        &mut self,
        log: &RecordBatch,
        column: usize,
        grouped: bool,
        gone: &dyn Fn(u64) -> bool,
    ) -> Result<()> {
        let rows = log.column(0).as_primitive::<UInt64Type>();
        let groups = grouped.then(|| log.column(1).as_fixed_size_binary());
        let group_of = |row: usize| -> u128 {
            let key = groups.and_then(|groups| groups.value(row).try_into().ok());
            key.map_or(0, u128::from_ne_bytes)
        };
        let array = log.column(column);
        match array.as_string_view_opt() {
            Some(texts) if self.counted => {
                self.add_texts(texts, |row| gone(rows.value(row)), group_of);
            }
            _ => {
                let present = quantities(array)?;
                let mut last: Option<(u128, Vec<Quantity>)> = None;
                for (row, value) in present {
                    if gone(rows.value(row)) {
                        continue;
                    }
                    // Without groups, and in runs of one group, the map is looked up once.
                    let group = group_of(row);
                    match &mut last {
                        Some((current, list)) if *current == group => list.push(value),
                        _ => {
                            if let Some((group, list)) = last.take() {
                                self.quantities.insert(group, list);
                            }
                            let mut list = self.quantities.remove(&group).unwrap_or_default();
                            list.push(value);
                            last = Some((group, list));
                        }
                    }
                }
                if let Some((group, list)) = last {
                    self.quantities.insert(group, list);
                }
            }
        }
        Ok(())
    }

    fn add_texts(
        &mut self,
        texts: &StringViewArray,
        gone: impl Fn(usize) -> bool,
        group_of: impl Fn(usize) -> u128,
    ) {
        for row in 0..texts.len() {
            if texts.is_null(row) || gone(row) {
                continue;
            }
            let counts = self.texts.entry(group_of(row)).or_default();
            let text = texts.value(row);
            match counts.get_mut(text) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(Arc::from(text), 1);
                }
            }
        }
    }

    fn sum(
        self,
        figure: Figure,
        data_type: Option<DataType>,
        sampled: f64,
    ) -> Result<ColumnFigures> {
        let mut answer = ColumnFigures {
            groups: Vec::new(),
            figures: Vec::new(),
            sampled,
        };
        let Some(data_type) = data_type else {
            answer.figures.push(GroupFigures::none());
            return Ok(answer);
        };
        if data_type == DataType::Utf8View {
            let mut all: HashMap<Arc<str>, u64> = HashMap::new();
            for (group, counts) in self.texts {
                answer.groups.push(group);
                answer.figures.push(text_mode(&counts));
                for (text, count) in counts {
                    *all.entry(text).or_default() += count;
                }
            }
            answer.figures.push(text_mode(&all));
            return Ok(answer);
        }
        let mut all: Vec<Quantity> = Vec::new();
        let single = self.quantities.len() <= 1;
        for (group, mut values) in self.quantities {
            if single {
                all = values;
                // One group is all rows, but its key must still be found by its own rows only.
                break;
            }
            all.extend_from_slice(&values);
            answer.groups.push(group);
            answer
                .figures
                .push(group_figures(figure, &mut values, &data_type)?);
        }
        answer
            .figures
            .push(group_figures(figure, &mut all, &data_type)?);
        Ok(answer)
    }
}

impl GroupFigures {
    /// The figures of no values.
    pub fn none() -> Self {
        Self {
            value: None,
            pair: None,
            confidence: 0.0,
            count: 0,
        }
    }
}

/// The most frequent text; the smallest of equally frequent ones. Its confidence is its share.
fn text_mode(counts: &HashMap<Arc<str>, u64>) -> GroupFigures {
    let total: u64 = counts.values().sum();
    let best = counts
        .iter()
        .max_by(|left, right| left.1.cmp(right.1).then(right.0.cmp(left.0)));
    best.map_or_else(GroupFigures::none, |(text, count)| GroupFigures {
        value: Some(Arc::new(StringViewArray::from(vec![text.as_ref()]))),
        pair: None,
        confidence: share(*count, total),
        count: total,
    })
}

/// A share as the confidence of a filled cell: never certain.
fn share(count: u64, total: u64) -> f32 {
    (count as f64 / total.max(1) as f64).min(0.95) as f32
}

fn group_figures(
    figure: Figure,
    values: &mut [Quantity],
    data_type: &DataType,
) -> Result<GroupFigures> {
    if values.is_empty() {
        return Ok(GroupFigures::none());
    }
    // Sums are taken in row order, before the values are sorted.
    let mean = match figure {
        Figure::Mean => Quantity::mean(values),
        _ => None,
    };
    let spread =
        matches!(figure, Figure::Mean | Figure::MeanDeviation).then(|| mean_deviation(values));
    values.sort_unstable();
    let (value, pair, confidence) = match figure {
        Figure::Median => {
            let median = median(values);
            let confidence = certainty(median_deviation(values, median.number()), values);
            (Some(median), None, confidence)
        }
        Figure::Mean => {
            let deviation = spread.map_or(0.0, |(_, deviation)| deviation);
            (mean, None, certainty(deviation, values))
        }
        Figure::Mode => {
            let (mode, count) = mode(values);
            (Some(mode), None, share(count, values.len() as u64))
        }
        Figure::Quartiles => (
            None,
            Some((quantile(values, 0.25), quantile(values, 0.75))),
            1.0,
        ),
        Figure::MedianDeviation => {
            let median = quantile(values, 0.5);
            (None, Some((median, median_deviation(values, median))), 1.0)
        }
        Figure::MeanDeviation => (None, spread, 1.0),
    };
    Ok(GroupFigures {
        value: value
            .map(|value| quantity_array(value, data_type))
            .transpose()?,
        pair,
        confidence,
        count: values.len() as u64,
    })
}

/// How near the values are to the one that stands for them: one less the deviation as a share of
/// half their range, between 0.05 and 0.95. `values` are sorted.
fn certainty(deviation: f64, values: &[Quantity]) -> f32 {
    let range = match (values.first(), values.last()) {
        (Some(first), Some(last)) => last.number() - first.number(),
        _ => 0.0,
    };
    let doubt = if range > 0.0 {
        deviation / (range / 2.0)
    } else {
        0.0
    };
    (1.0 - doubt).clamp(0.05, 0.95) as f32
}

/// Mean and sample standard deviation, by Welford's recurrence in row order.
fn mean_deviation(values: &[Quantity]) -> (f64, f64) {
    let (mut mean, mut squares) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let difference = value.number() - mean;
        mean += difference / (index + 1) as f64;
        squares += difference * (value.number() - mean);
    }
    (mean, (squares / (values.len().max(2) - 1) as f64).sqrt())
}

/// The middle of sorted values.
fn median(values: &[Quantity]) -> Quantity {
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        values[half]
    } else {
        values[half - 1].middle(values[half])
    }
}

/// Median of the absolute deviations from `centre`.
fn median_deviation(values: &[Quantity], centre: f64) -> f64 {
    let mut distances: Vec<f64> = values
        .iter()
        .map(|value| (value.number() - centre).abs())
        .collect();
    let half = distances.len() / 2;
    let (below, middle, _) = distances.select_nth_unstable_by(half, f64::total_cmp);
    let middle = *middle;
    if values.len() % 2 == 1 {
        return middle;
    }
    let lower = below
        .iter()
        .copied()
        .max_by(f64::total_cmp)
        .unwrap_or(middle);
    lower / 2.0 + middle / 2.0
}

/// A quantile of sorted values by linear interpolation (type 7 of Hyndman and Fan 1996).
fn quantile(values: &[Quantity], share: f64) -> f64 {
    let place = share * (values.len() - 1) as f64;
    let below = values[place.floor() as usize].number();
    let above = values[place.ceil() as usize].number();
    below + (above - below) * place.fract()
}

/// The most frequent of sorted values and its count; the smallest of equally frequent ones.
fn mode(values: &[Quantity]) -> (Quantity, u64) {
    let mut best = (values[0], 0);
    for run in values.chunk_by(|left, right| left == right) {
        if run.len() as u64 > best.1 {
            best = (run[0], run.len() as u64);
        }
    }
    best
}
