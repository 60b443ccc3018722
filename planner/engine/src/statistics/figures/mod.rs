//! Medians, means, modes and spreads, of all rows or by group, from the values themselves.
//!
//! The values of the columns are taken down with their rows, so that rows that leave in the same
//! pass can be taken out before the sum. Where all rows would not fit, the values of a sample of
//! rows are kept, chosen by a hash of the row id; the answer then has a known rank error.

mod evaluate;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Float32Array, Float64Array, RecordBatch,
    UInt32Array, UInt64Array, new_null_array,
};
use arrow::buffer::Buffer;
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema, UInt64Type};
use serde_json::{Map, Value, json};
use udfs::kernels::row_hash::hash_rows;

use self::evaluate::figures_of;
use crate::error::{Error, Result};
use crate::operation::{
    Accumulator, CleaningBatch, DriverContext, PartialState, PartialStates, ReportContext,
    SplitContext, Statistic, StatisticFiles, StatisticReport, StatisticValue, Stored, Traffic,
    known,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::StringViewArray;

    use super::*;

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
