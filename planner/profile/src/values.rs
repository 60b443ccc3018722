//! Values of the sampled rows, and the figures computed from them.

use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use serde::{Deserialize, Serialize};

use super::hash::hash_text;
use super::render::{render_date, render_decimal, render_float, render_timestamp, shorten};
use super::{ColumnProfile, Histogram};

/// Maximum number of bins of a histogram.
const BINS: usize = 30;

/// Maximum number of values that are listed as frequent.
const TOP: usize = 10;

/// Shares of the values at which quantiles are given.
const QUANTILES: [f64; 6] = [0.01, 0.05, 0.25, 0.75, 0.95, 0.99];

/// Values of sampled rows, in a form that depends on which they are alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum SampledValues {
    /// Of a private column: nothing is kept.
    Nothing,
    Floats(#[serde(with = "super::float_bits")] Vec<f64>),
    /// Integers, days, microseconds.
    Integers(Vec<i64>),
    Decimals(Vec<i128>),
    Booleans([u64; 2]),
    Texts(SampledTexts),
}

/// Texts by their hash: shortened, with their count.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct SampledTexts {
    counts: HashMap<u64, (Box<str>, u64)>,
    lengths: Option<(u64, u64)>,
}

impl SampledTexts {
    fn add(&mut self, text: &str) {
        let characters = text.chars().count() as u64;
        self.lengths = Some(match self.lengths {
            Some((least, most)) => (least.min(characters), most.max(characters)),
            None => (characters, characters),
        });
        let entry = self.counts.entry(hash_text(text));
        entry.or_insert_with(|| (shorten(text).into(), 0)).1 += 1;
    }

    fn merge(&mut self, later: Self) {
        for (hash, (text, count)) in later.counts {
            self.counts.entry(hash).or_insert_with(|| (text, 0)).1 += count;
        }
        self.lengths = match (self.lengths, later.lengths) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
    }
}

impl SampledValues {
    /// None yet, of a column of this type.
    pub(super) fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Float64 => Self::Floats(Vec::new()),
            DataType::Int64 | DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Integers(Vec::new())
            }
            DataType::Decimal128(..) => Self::Decimals(Vec::new()),
            DataType::Boolean => Self::Booleans([0; 2]),
            DataType::Utf8View => Self::Texts(SampledTexts::default()),
            _ => Self::Nothing,
        }
    }

    /// Adds the values of these rows, none of which is missing.
    pub(super) fn add(&mut self, array: &ArrayRef, rows: &[usize]) {
        let rows = rows.iter();
        match self {
            Self::Nothing => {}
            Self::Floats(values) => {
                if let Some(array) = array.as_primitive_opt::<Float64Type>() {
                    // What is not finite has no place in a mean or a histogram; adding zero makes
                    // the two zeros one value.
                    let numbers = rows.map(|row| array.value(*row) + 0.0);
                    values.extend(numbers.filter(|value| value.is_finite()));
                }
            }
            Self::Integers(values) => {
                if let Some(array) = array.as_primitive_opt::<Int64Type>() {
                    values.extend(rows.map(|row| array.value(*row)));
                } else if let Some(array) = array.as_primitive_opt::<Date32Type>() {
                    values.extend(rows.map(|row| i64::from(array.value(*row))));
                } else if let Some(array) = array.as_primitive_opt::<TimestampMicrosecondType>() {
                    values.extend(rows.map(|row| array.value(*row)));
                }
            }
            Self::Decimals(values) => {
                if let Some(array) = array.as_primitive_opt::<Decimal128Type>() {
                    values.extend(rows.map(|row| array.value(*row)));
                }
            }
            Self::Booleans(counts) => {
                if let Some(array) = array.as_boolean_opt() {
                    rows.for_each(|row| counts[usize::from(array.value(*row))] += 1);
                }
            }
            Self::Texts(texts) => {
                if let Some(array) = array.as_string_view_opt() {
                    rows.for_each(|row| texts.add(array.value(*row)));
                }
            }
        }
    }

    /// Adds the values of later rows.
    pub(super) fn merge(&mut self, later: Self) {
        match (self, later) {
            (Self::Floats(values), Self::Floats(more)) => values.extend(more),
            (Self::Integers(values), Self::Integers(more)) => values.extend(more),
            (Self::Decimals(values), Self::Decimals(more)) => values.extend(more),
            (Self::Booleans(counts), Self::Booleans(more)) => {
                counts[0] += more[0];
                counts[1] += more[1];
            }
            (Self::Texts(texts), Self::Texts(more)) => texts.merge(more),
            _ => {}
        }
    }

    /// Writes the figures into a profile.
    pub(super) fn describe(&self, data_type: &DataType, profile: &mut ColumnProfile) {
        match self {
            Self::Nothing => {}
            Self::Floats(values) => {
                let mut sorted = values.clone();
                sorted.sort_unstable_by(f64::total_cmp);
                let repeats = runs(&sorted, |one, other| one == other);
                profile.top = top(repeats
                    .into_iter()
                    .map(|(value, count)| (render_float(value), count)));
                profile.median = quantile(&sorted, 0.5).map(render_float);
                describe_numbers(&sorted, profile);
            }
            Self::Integers(values) => describe_integers(values, data_type, profile),
            Self::Decimals(values) => {
                let DataType::Decimal128(_, scale) = data_type else {
                    return;
                };
                let mut sorted = values.clone();
                sorted.sort_unstable();
                let repeats = runs(&sorted, |one, other| one == other);
                profile.top = top(repeats
                    .into_iter()
                    .map(|(value, count)| (render_decimal(value, *scale), count)));
                profile.median = middle(&sorted).map(|value| render_decimal(value, *scale));
                let unit = 10_f64.powi(i32::from(*scale));
                let numbers: Vec<f64> = sorted.iter().map(|value| *value as f64 / unit).collect();
                describe_numbers(&numbers, profile);
            }
            Self::Booleans(counts) => {
                profile.top = top([
                    ("false".to_owned(), counts[0]),
                    ("true".to_owned(), counts[1]),
                ]
                .into_iter());
            }
            Self::Texts(texts) => {
                profile.lengths = texts.lengths;
                profile.top = top(texts
                    .counts
                    .values()
                    .map(|(text, count)| (text.to_string(), *count)));
            }
        }
    }
}

fn describe_integers(values: &[i64], data_type: &DataType, profile: &mut ColumnProfile) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let text = |value: i64| match data_type {
        DataType::Date32 => render_date(value),
        DataType::Timestamp(_, zone) => render_timestamp(value, zone.is_some()),
        _ => value.to_string(),
    };
    let repeats = runs(&sorted, |one, other| one == other);
    profile.top = top(repeats
        .into_iter()
        .map(|(value, count)| (text(value), count)));
    let numbers: Vec<f64> = sorted.iter().map(|value| *value as f64).collect();
    if matches!(data_type, DataType::Int64) {
        profile.median = integer_median(&sorted);
        describe_numbers(&numbers, profile);
    } else {
        profile.median = middle(&sorted).map(text);
        profile.histogram = histogram(&numbers);
    }
}

/// Mean, deviation, quantiles and distribution of ascending numbers.
fn describe_numbers(sorted: &[f64], profile: &mut ColumnProfile) {
    let count = sorted.len() as f64;
    if sorted.is_empty() {
        return;
    }
    // Welford's recurrence over ascending values: the same whatever order they came in.
    let (mut mean, mut squares) = (0.0, 0.0);
    for (before, value) in sorted.iter().enumerate() {
        let distance = value - mean;
        mean += distance / (before + 1) as f64;
        squares += distance * (value - mean);
    }
    let finite = |value: f64| value.is_finite().then_some(value);
    profile.mean = finite(mean);
    if sorted.len() > 1 {
        profile.stddev = finite((squares / (count - 1.0)).sqrt());
    }
    let quantiles = QUANTILES
        .iter()
        .filter_map(|share| Some((*share, quantile(sorted, *share)?)));
    profile.quantiles = quantiles.collect();
    profile.histogram = histogram(sorted);
}

/// The quantile of ascending numbers, between two of them by their distance (Hyndman and Fan's
/// definition 7).
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let part = place - below as f64;
    let value = if part == 0.0 {
        sorted[below]
    } else {
        // As two products: the difference of the two could overflow.
        sorted[below] * (1.0 - part) + sorted[above] * part
    };
    Some(value)
}

/// The lower of the two middle values.
fn middle<T: Copy>(sorted: &[T]) -> Option<T> {
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// The median of integers, which may end in a half.
fn integer_median(sorted: &[i64]) -> Option<String> {
    let low = i128::from(middle(sorted)?);
    let high = i128::from(*sorted.get(sorted.len() / 2)?);
    // Below zero the half is cut off towards zero: `-3` halves is `-1.5`.
    let sum = low + high;
    let sign = if sum < 0 { "-" } else { "" };
    let half = if sum % 2 == 0 { "" } else { ".5" };
    Some(format!("{sign}{}{half}", (sum / 2).unsigned_abs()))
}

/// Each different value of ascending ones with its count.
fn runs<T: Copy>(sorted: &[T], same: impl Fn(&T, &T) -> bool) -> Vec<(T, u64)> {
    let mut runs: Vec<(T, u64)> = Vec::new();
    for value in sorted {
        match runs.last_mut() {
            Some((last, count)) if same(last, value) => *count += 1,
            _ => runs.push((*value, 1)),
        }
    }
    // What occurs once is not frequent; leaving it out here saves its text.
    runs.retain(|(_, count)| *count > 1);
    runs
}

/// The most frequent values of those that recur.
fn top(values: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut top: Vec<(String, u64)> = values.filter(|(_, count)| *count > 1).collect();
    top.sort_unstable_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
    top.truncate(TOP);
    top
}

/// Ascending numbers in bins of one width; fewer bins for few values (the square root of them).
fn histogram(sorted: &[f64]) -> Option<Histogram> {
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let width = last - first;
    if !width.is_finite() {
        return None;
    }
    if width <= 0.0 {
        return Some(Histogram {
            edges: vec![first, last],
            counts: vec![sorted.len() as u64],
        });
    }
    let bins = ((sorted.len() as f64).sqrt().ceil() as usize).clamp(1, BINS);
    let edge = |bin: usize| {
        if bin == bins {
            last
        } else {
            first + width * (bin as f64 / bins as f64)
        }
    };
    let edges: Vec<f64> = (0..=bins).map(edge).collect();
    let mut counts = Vec::with_capacity(bins);
    let mut taken = 0;
    for (bin, edge) in edges.iter().enumerate().skip(1) {
        // A value on an edge belongs to the bin above it; the last bin has both of its edges.
        let end = if bin == bins {
            sorted.len()
        } else {
            sorted.partition_point(|value| value < edge)
        };
        counts.push((end - taken) as u64);
        taken = end;
    }
    Some(Histogram { edges, counts })
}
