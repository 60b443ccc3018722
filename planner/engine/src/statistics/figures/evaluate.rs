//! Figures from the values of all splits.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float64Type, Int64Type,
    TimestampMicrosecondType, UInt64Type,
};
use datafusion::execution::memory_pool::MemoryReservation;
use hashbrown::HashMap;
use planner_base::in_threads;

use super::super::quantity::{Measure, Quantity, TotalFloat, mean, median, quantity_array};
use super::{ColumnFigures, Figure, Figures, GroupFigures};
use crate::error::{Error, Result};
use crate::operation::RemovedRows;

/// The figures that the partial states of all splits, in order, give; rows that are `gone` left before.
/// `sampled` is the share of the rows that they hold. The memory of the groups is asked of `memory`, and stays with it.
pub(super) fn figures_of(
    need: &Figures,
    logs: &[RecordBatch],
    sampled: f64,
    threads: usize,
    gone: &RemovedRows,
    memory: &MemoryReservation,
) -> Result<Vec<ColumnFigures>> {
    let logs: Vec<&RecordBatch> = logs.iter().filter(|log| log.num_rows() > 0).collect();
    let first = if need.by.is_empty() { 1 } else { 2 };
    let wanted: Vec<(usize, Figure)> = need
        .figures
        .iter()
        .enumerate()
        .map(|(place, (_, figure))| (first + place, *figure))
        .collect();
    in_threads(threads, wanted, |(column, figure)| -> Result<_> {
        let Some(log) = logs.first() else {
            return Ok(ColumnFigures {
                groups: Vec::new(),
                figures: vec![GroupFigures::none()],
                sampled,
            });
        };
        let column = LoggedColumn {
            logs: &logs,
            column,
            grouped: !need.by.is_empty(),
            gone,
            memory,
        };
        let data_type = log.column(column.column).data_type().clone();
        let (groups, figures) = match &data_type {
            DataType::Utf8View => column.sum_texts()?,
            DataType::Int64 => column.sum::<Int64Type, _>(figure, &data_type, |value| value)?,
            DataType::Timestamp(..) => {
                column.sum::<TimestampMicrosecondType, _>(figure, &data_type, |value| value)?
            }
            DataType::Date32 => column.sum::<Date32Type, _>(figure, &data_type, i64::from)?,
            DataType::Float64 => column.sum::<Float64Type, _>(figure, &data_type, TotalFloat)?,
            DataType::Decimal128(..) => {
                column.sum::<Decimal128Type, _>(figure, &data_type, |value| value)?
            }
            _ => return Err(Error::Bug("a figure of a column that has none")),
        };
        Ok(ColumnFigures {
            groups,
            figures,
            sampled,
        })
    })
}

/// One column of the partial states of all splits.
struct LoggedColumn<'a> {
    logs: &'a [&'a RecordBatch],
    column: usize,
    grouped: bool,
    gone: &'a RemovedRows,
    memory: &'a MemoryReservation,
}

/// About what a group takes: its key, its figures, an array of one value, its place in the map.
const GROUP_BYTES: usize = 320;

/// About what a counted text takes beside itself.
const TEXT_BYTES: usize = 64;

/// The keys of the groups, and the figures of each; last those of all rows.
type Summed = (Vec<u128>, Vec<GroupFigures>);

impl LoggedColumn<'_> {
    /// Calls `take` with each present value that counts: its group, the log's column, its place.
    fn each(&self, mut take: impl FnMut(u128, &ArrayRef, usize) -> Result<()>) -> Result<()> {
        let mut gone = self.gone.cursor();
        for log in self.logs {
            let rows = log
                .column(0)
                .as_primitive_opt::<UInt64Type>()
                .ok_or(Error::Bug("a log without rows"))?;
            let groups = if self.grouped {
                log.column(1).as_fixed_size_binary_opt()
            } else {
                None
            };
            let array = log.column(self.column);
            for place in 0..array.len() {
                if array.is_null(place) || gone.contains(rows.value(place)) {
                    continue;
                }
                let key = groups.and_then(|groups| groups.value(place).try_into().ok());
                take(key.map_or(0, u128::from_ne_bytes), array, place)?;
            }
        }
        Ok(())
    }

    /// Present values in the logs.
    fn logged(&self) -> usize {
        let columns = self.logs.iter().map(|log| log.column(self.column));
        columns.map(|array| array.len() - array.null_count()).sum()
    }

    fn sum<T: ArrowPrimitiveType, M: Measure>(
        &self,
        figure: Figure,
        data_type: &DataType,
        measure: impl Fn(T::Native) -> M,
    ) -> Result<Summed> {
        let logged = self.logged();
        let held = self.memory.new_empty();
        // The values, and the values by group in vectors that grow by doubling.
        let copies = if self.grouped { 3 } else { 1 };
        held.try_grow(logged * copies * size_of::<M>())?;
        let mut all: Vec<M> = Vec::with_capacity(logged);
        let mut groups: BTreeMap<u128, Vec<M>> = BTreeMap::new();
        self.each(|group, array, place| {
            let value = measure(array.as_primitive::<T>().value(place));
            all.push(value);
            if !self.grouped {
                return Ok(());
            }
            if let Some(values) = groups.get_mut(&group) {
                values.push(value);
            } else {
                self.memory.try_grow(GROUP_BYTES)?;
                groups.insert(group, vec![value]);
            }
            Ok(())
        })?;
        let mut keys = Vec::with_capacity(groups.len());
        let mut figures = Vec::with_capacity(groups.len() + 1);
        for (group, mut values) in groups {
            keys.push(group);
            figures.push(group_figures(figure, &mut values, data_type)?);
        }
        figures.push(group_figures(figure, &mut all, data_type)?);
        Ok((keys, figures))
    }

    /// The modes of a text column.
    fn sum_texts(&self) -> Result<Summed> {
        let held = self.memory.new_empty();
        let mut all: HashMap<Arc<str>, u64> = HashMap::new();
        let mut groups: BTreeMap<u128, HashMap<Arc<str>, u64>> = BTreeMap::new();
        self.each(|group, array, place| {
            let text = array.as_string_view().value(place);
            count(&mut all, text, &held)?;
            if !self.grouped {
                return Ok(());
            }
            if !groups.contains_key(&group) {
                self.memory.try_grow(GROUP_BYTES)?;
            }
            count(groups.entry(group).or_default(), text, &held)
        })?;
        let mut figures: Vec<GroupFigures> = groups.values().map(text_mode).collect();
        figures.push(text_mode(&all));
        Ok((groups.into_keys().collect(), figures))
    }
}

fn count(counts: &mut HashMap<Arc<str>, u64>, text: &str, held: &MemoryReservation) -> Result<()> {
    if let Some(count) = counts.get_mut(text) {
        *count += 1;
    } else {
        held.try_grow(text.len() + TEXT_BYTES)?;
        counts.insert(Arc::from(text), 1);
    }
    Ok(())
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

/// The figures of values in row order, which are brought into another order.
fn group_figures<M: Measure>(
    figure: Figure,
    values: &mut [M],
    data_type: &DataType,
) -> Result<GroupFigures> {
    if values.is_empty() {
        return Ok(GroupFigures::none());
    }
    let (value, pair, confidence) = match figure {
        Figure::Median => {
            let range = range(values);
            let median = median(values);
            let centre = median.map_or(0.0, Quantity::number);
            (
                median,
                None,
                certainty(median_deviation(values, centre), range),
            )
        }
        Figure::Mean => {
            let (_, deviation) = mean_deviation(values);
            (mean(values), None, certainty(deviation, range(values)))
        }
        Figure::Mode => {
            values.sort_unstable();
            let (mode, count) = mode(values);
            (Some(mode), None, share(count, values.len() as u64))
        }
        Figure::Quartiles => {
            values.sort_unstable();
            (
                None,
                Some((quantile(values, 0.25), quantile(values, 0.75))),
                1.0,
            )
        }
        Figure::MedianDeviation => {
            values.sort_unstable();
            let median = quantile(values, 0.5);
            (None, Some((median, median_deviation(values, median))), 1.0)
        }
        Figure::MeanDeviation => (None, Some(mean_deviation(values)), 1.0),
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

/// Largest less smallest value.
fn range<M: Measure>(values: &[M]) -> f64 {
    match (values.iter().min(), values.iter().max()) {
        (Some(smallest), Some(largest)) => largest.number() - smallest.number(),
        _ => 0.0,
    }
}

/// How near the values are to the one that stands for them: one less the deviation as a share of
/// half their range, between 0.05 and 0.95.
fn certainty(deviation: f64, range: f64) -> f32 {
    let doubt = if range > 0.0 {
        deviation / (range / 2.0)
    } else {
        0.0
    };
    (1.0 - doubt).clamp(0.05, 0.95) as f32
}

/// Mean and sample standard deviation, by Welford's recurrence in row order.
fn mean_deviation<M: Measure>(values: &[M]) -> (f64, f64) {
    let (mut mean, mut squares) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let difference = value.number() - mean;
        mean += difference / (index + 1) as f64;
        squares += difference * (value.number() - mean);
    }
    (mean, (squares / (values.len().max(2) - 1) as f64).sqrt())
}

/// Median of the absolute deviations from `centre`; brings the values into another order.
fn median_deviation<M: Measure>(values: &mut [M], centre: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let distance = |value: &M| TotalFloat((value.number() - centre).abs());
    let (half, even) = (values.len() / 2, values.len().is_multiple_of(2));
    let (below, middle, _) = values.select_nth_unstable_by_key(half, distance);
    let middle = distance(middle).0;
    let lower = below.iter().map(distance).max().filter(|_| even);
    lower.map_or(middle, |lower| lower.0 / 2.0 + middle / 2.0)
}

/// A quantile of sorted values by linear interpolation (type 7 of Hyndman and Fan 1996).
fn quantile<M: Measure>(values: &[M], share: f64) -> f64 {
    let place = share * (values.len() - 1) as f64;
    let below = values[place.floor() as usize].number();
    let above = values[place.ceil() as usize].number();
    below + (above - below) * place.fract()
}

/// The most frequent of sorted values and its count; the smallest of equally frequent ones.
fn mode<M: Measure>(values: &[M]) -> (Quantity, u64) {
    let mut best = (values[0], 0);
    for run in values.chunk_by(|left, right| left == right) {
        if run.len() as u64 > best.1 {
            best = (run[0], run.len() as u64);
        }
    }
    (best.0.quantity(), best.1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{Int64Array, UInt64Array};
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};

    use super::*;

    /// Figures of numbers and of texts ask for the memory of their sums, and fail without it.
    #[test]
    fn the_memory_of_a_sum() {
        let rows = 1_000i64;
        let texts = (0..rows).map(|row| Some(format!("a text of its own, number {row}")));
        let columns: Vec<(ArrayRef, Figure)> = vec![
            (
                Arc::new(Int64Array::from_iter_values(0..rows)),
                Figure::Median,
            ),
            (Arc::new(texts.collect::<StringViewArray>()), Figure::Mode),
        ];
        for (column, figure) in columns {
            let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..rows as u64));
            let log = RecordBatch::try_from_iter_with_nullable([
                ("row", ids, false),
                ("c0", column, true),
            ]);
            let logs = [log.unwrap()];
            let need = Figures {
                figures: vec![(0, figure)],
                by: Vec::new(),
            };
            let sum = |limit: usize| {
                let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limit));
                let memory = MemoryConsumer::new("test").register(&pool);
                let figures = figures_of(&need, &logs, 1.0, 1, &RemovedRows::default(), &memory)?;
                Ok::<_, Error>((figures, pool.reserved()))
            };
            let (figures, kept) = sum(1 << 20).unwrap();
            assert_eq!(figures[0].figures[0].count, 1_000);
            assert_eq!(kept, 0);
            let refused = sum(7_000).unwrap_err();
            assert!(refused.is_out_of_memory(), "{figure:?}: {refused}");
        }
    }
}
