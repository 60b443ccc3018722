//! Medians, means, modes and spreads, of all rows or by group, from the values themselves.
//!
//! The values of the columns are taken down with their rows, so that rows that leave in the same
//! pass can be taken out before the sum. Where all rows would not fit, the values of a sample of
//! rows are kept, chosen by a hash of the row id; the answer then has a known rank error.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Float32Array, Float64Array, RecordBatch,
    StringViewArray, UInt32Array, UInt64Array, new_null_array,
};
use arrow::buffer::Buffer;
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type,
    Int64Type, Schema, TimestampMicrosecondType, UInt64Type,
};
use datafusion::execution::memory_pool::MemoryReservation;
use hashbrown::HashMap;
use planner_base::in_threads;
use serde_json::{Map, Value, json};
use udfs::kernels::row_hash::hash_rows;

use super::quantity::{Measure, Quantity, TotalFloat, mean, median, quantity_array};
use crate::error::{Error, Result};
use crate::operation::{
    Accumulator, CleaningBatch, DriverContext, PartialState, PartialStates, RemovedRows,
    ReportContext, SplitContext, Statistic, StatisticFiles, StatisticReport, StatisticValue,
    Stored, Traffic, known,
};
use crate::profile::RowSample;

/// Figures of columns, over all rows or by group. Its value is a `Vec` of [`ColumnFigures`], in the order of `figures`.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
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

impl Figure {
    /// The name in plans.
    fn name(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Mean => "mean",
            Self::Mode => "most frequent value",
            Self::Quartiles => "quartiles",
            Self::MedianDeviation => "median and median deviation",
            Self::MeanDeviation => "mean and standard deviation",
        }
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

impl Statistic for Figures {
    fn describe(&self, names: &dyn Fn(&[usize]) -> String) -> String {
        let columns = self.figures.iter();
        let columns =
            columns.map(|(column, figure)| format!("{} of {}", figure.name(), names(&[*column])));
        let by = match self.by.as_slice() {
            [] => String::new(),
            by => format!(" by {}", names(by)),
        };
        format!("{}{by}", columns.collect::<Vec<_>>().join(", "))
    }

    fn traffic(&self) -> Traffic {
        let group = if self.by.is_empty() { 0 } else { 16 };
        Traffic {
            what: "values",
            row_bytes: Some(8 + group + 8 * self.figures.len() as u64),
        }
    }

    // The values travel with their rows.
    fn outlives_drops(&self) -> bool {
        true
    }

    fn sampled_row_bytes(&self) -> usize {
        self.figures.len() * 24 + if self.by.is_empty() { 8 } else { 24 }
    }

    fn accumulator(&self, split: &SplitContext) -> Box<dyn Accumulator> {
        Box::new(Values::new(self.clone(), split.sample))
    }

    fn evaluate(
        &self,
        partial: PartialStates,
        driver: &mut DriverContext<'_>,
    ) -> Result<StatisticValue> {
        let figures = figures_of(
            self,
            &partial.by_split(),
            driver.sampled,
            driver.threads,
            driver.removed,
            driver.memory,
        )?;
        Ok(StatisticValue::new(figures))
    }

    fn store(&self, value: &StatisticValue, files: &StatisticFiles) -> Result<Stored> {
        let columns = known::<Vec<ColumnFigures>>(Some(value))?.iter();
        files.write_streams(
            &columns
                .map(ColumnFigures::batch)
                .collect::<Result<Vec<_>>>()?,
        )
    }

    fn load(&self, stored: &Stored, _: u64) -> Result<StatisticValue> {
        let columns = stored.read_streams()?;
        let columns = columns.iter().map(ColumnFigures::read);
        Ok(StatisticValue::new(columns.collect::<Result<Vec<_>>>()?))
    }

    fn report(
        &self,
        value: Option<&StatisticValue>,
        context: &ReportContext<'_>,
    ) -> Option<StatisticReport> {
        let Some(columns) = value.and_then(StatisticValue::get::<Vec<ColumnFigures>>) else {
            return Some(StatisticReport::exact());
        };
        let method = if context.sampled < 1.0 {
            let rows = context.sampled * context.rows as f64;
            // The rank of a sample's median is off by 1.96 sqrt(n)/2 of n, 95 times in 100.
            let error = 98.0 / rows.max(1.0).sqrt();
            format!("sample of {rows:.0} rows; ranks within {error:.2} percentage points (95 %)")
        } else {
            "exact".to_owned()
        };
        let mut found = Map::new();
        for ((column, _), figures) in self.figures.iter().zip(columns) {
            let column = &context.contract.columns[*column];
            if let Some(all) = figures.figures.last().filter(|_| !column.pii) {
                found.insert(column.name.clone(), told(all, figures.groups.len()));
            }
        }
        Some(StatisticReport { method, found })
    }
}

/// The figures of a column as a report tells them.
fn told(all: &GroupFigures, groups: usize) -> Value {
    let value = all.value.as_ref();
    let value = value.and_then(|value| arrow::util::display::array_value_to_string(value, 0).ok());
    match (value, all.pair) {
        (Some(value), _) if groups == 0 => json!(value),
        (Some(value), _) => json!({"all": value, "groups": groups}),
        (None, Some((first, second))) => json!([first, second]),
        (None, None) => Value::Null,
    }
}

/// Key of the schema's metadata: the share of the rows that the figures rest on.
const SAMPLED: &str = "sampled";

impl ColumnFigures {
    /// One row a group, the last for all rows: `group`, `value`, `low`, `high`, `confidence`, `count`.
    fn batch(&self) -> Result<RecordBatch> {
        let figures = &self.figures;
        let value_type = figures.iter().find_map(|figure| figure.value.as_ref());
        let value_type = value_type.map_or(DataType::Null, |value| value.data_type().clone());
        let missing = new_null_array(&value_type, 1);
        let values: Vec<&dyn Array> = figures
            .iter()
            .map(|figure| figure.value.as_ref().unwrap_or(&missing).as_ref())
            .collect();
        let keys =
            (0..figures.len()).map(|place| self.groups.get(place).map(|key| key.to_be_bytes()));
        let keys = FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys, 16)?;
        let bound = |pick: fn((f64, f64)) -> f64| {
            let bounds = figures.iter().map(|figure| figure.pair.map(pick));
            Arc::new(bounds.collect::<Float64Array>()) as ArrayRef
        };
        let confidences = figures.iter().map(|figure| figure.confidence);
        let counts = figures.iter().map(|figure| figure.count);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(keys),
            concat(&values)?,
            bound(|pair| pair.0),
            bound(|pair| pair.1),
            Arc::new(Float32Array::from_iter_values(confidences)),
            Arc::new(UInt64Array::from_iter_values(counts)),
        ];
        let names = ["group", "value", "low", "high", "confidence", "count"];
        let fields: Vec<Field> = names
            .into_iter()
            .zip(&columns)
            .map(|(name, column)| Field::new(name, column.data_type().clone(), true))
            .collect();
        let sampled = (SAMPLED.to_owned(), self.sampled.to_string());
        let schema = Schema::new(fields).with_metadata([sampled].into());
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }

    /// Reads a batch of [`ColumnFigures::batch`].
    fn read(batch: &RecordBatch) -> Result<Self> {
        let sampled = batch.schema_ref().metadata().get(SAMPLED);
        let sampled = sampled
            .and_then(|share| share.parse().ok())
            .ok_or(Error::Bug("figures that name no share of the rows"))?;
        let keys = batch.column(0).as_fixed_size_binary();
        let groups = keys
            .iter()
            .flatten()
            .filter_map(|key| Some(u128::from_be_bytes(key.try_into().ok()?)));
        let values = batch.column(1);
        let low = batch.column(2).as_primitive::<Float64Type>();
        let high = batch.column(3).as_primitive::<Float64Type>();
        let confidence = batch.column(4).as_primitive::<Float32Type>();
        let count = batch.column(5).as_primitive::<UInt64Type>();
        let figures = (0..batch.num_rows()).map(|row| GroupFigures {
            // An array of nulls has no bitmap of them.
            value: (values.data_type() != &DataType::Null && values.is_valid(row))
                .then(|| values.slice(row, 1)),
            pair: low.is_valid(row).then(|| (low.value(row), high.value(row))),
            confidence: confidence.value(row),
            count: count.value(row),
        });
        Ok(Self {
            groups: groups.collect(),
            figures: figures.collect(),
            sampled,
        })
    }
}

/// The values of the wanted columns, with their rows.
#[derive(Debug)]
struct Values {
    statistic: Figures,
    sample: Option<RowSample>,
    rows: Vec<u64>,
    groups: Vec<u128>,
    columns: Vec<Vec<ArrayRef>>,
}

impl Values {
    /// With a `sample`, of its rows only.
    fn new(statistic: Figures, sample: Option<RowSample>) -> Self {
        let columns = statistic.figures.iter().map(|_| Vec::new()).collect();
        Self {
            statistic,
            sample,
            rows: Vec::new(),
            groups: Vec::new(),
            columns,
        }
    }

    /// One batch: `row`, `group` if there are groups, and the columns.
    fn into_batch(self) -> Result<RecordBatch> {
        let mut fields = vec![Field::new("row", DataType::UInt64, false)];
        let rows = self.rows.len();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(self.rows))];
        if !self.statistic.by.is_empty() {
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

impl Accumulator for Values {
    fn update(&mut self, batch: &CleaningBatch) -> Result<usize> {
        let wanted: UInt32Array = (0..batch.rows())
            .filter(|row| {
                let id = batch.first_row + *row as u64;
                batch.is_live(*row)
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
                .map(|row| batch.first_row + u64::from(*row)),
        );
        let mut bytes = 8 * wanted.len();
        if !self.statistic.by.is_empty() {
            let keys: Vec<ArrayRef> = self
                .statistic
                .by
                .iter()
                .map(|column| Arc::clone(&batch.columns[*column]))
                .collect();
            let hashes = hash_rows(&keys);
            self.groups
                .extend(wanted.values().iter().map(|row| hashes[*row as usize]));
            bytes += 16 * wanted.len();
        }
        for ((column, _), parts) in self.statistic.figures.iter().zip(&mut self.columns) {
            let array = &batch.columns[*column];
            let all = wanted.len() == array.len() && array.data_type() != &DataType::Utf8View;
            let part = if all {
                Arc::clone(array)
            } else {
                take(array, &wanted, None)?
            };
            // Truth values have a mode only; it is found among their names.
            let part = match part.data_type() {
                DataType::Boolean => cast(&part, &DataType::Utf8View)?,
                _ => part,
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

    fn finish(self: Box<Self>) -> Result<Vec<PartialState>> {
        Ok(PartialState::whole(self.into_batch()?))
    }
}

/// The figures that the partial states of all splits, in order, give; rows that are `gone` left before.
/// `sampled` is the share of the rows that they hold. The memory of the groups is asked of `memory`, and stays with it.
fn figures_of(
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

    use arrow::array::Int64Array;
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

    /// Figures come back from files as they were: every type, with and without groups, and bounds that no decimal
    /// notation is exact for.
    #[test]
    fn stored_figures() {
        let folder = tempfile::tempdir().unwrap();
        let figure = |value: Option<ArrayRef>, pair| GroupFigures {
            value,
            pair,
            confidence: 0.7,
            count: 3,
        };
        let date = |days| Some(Arc::new(arrow::array::Date32Array::from(vec![days])) as ArrayRef);
        let text = Arc::new(StringViewArray::from(vec!["a text longer than a view"]));
        let one = |figures| ColumnFigures {
            groups: Vec::new(),
            figures: vec![figures],
            sampled: 1.0,
        };
        let columns = vec![
            ColumnFigures {
                groups: vec![1, u128::MAX],
                figures: vec![
                    figure(date(5), None),
                    figure(None, None),
                    figure(date(-7), None),
                ],
                sampled: 1.0 / 3.0,
            },
            one(figure(None, Some((0.1 + 0.2, f64::MAX)))),
            one(figure(Some(text), None)),
        ];
        let files = StatisticFiles {
            folder: crate::storage::Place::own(folder.path()),
            op: 1,
            splits: crate::operation::Splits { count: 3, rows: 9 },
        };
        let statistic = Figures {
            figures: Vec::new(),
            by: Vec::new(),
        };
        let value = StatisticValue::new(columns);
        let stored = statistic.store(&value, &files).unwrap();
        let back = statistic.load(&stored, 2).unwrap();
        assert_eq!(format!("{back:?}"), format!("{value:?}"));
        assert!(!statistic.is_by_split());
    }
}
