//! Profiles of small columns, and of the same rows divided in any way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::buffer::BooleanBuffer;
use proptest::prelude::*;

use super::*;

fn sketch(array: &ArrayRef, live: Option<&BooleanBuffer>, private: bool) -> ColumnSketch {
    let mut sketch = ColumnSketch::new(array.data_type(), private);
    sketch.observe(array, 0, live, &RowSample::of(1, 1, 42));
    sketch
}

/// A column of integers, described: figures that a person can check by hand.
#[test]
fn figures_of_a_small_column() {
    let array: ArrayRef = Arc::new(Int64Array::from(vec![
        Some(4),
        None,
        Some(1),
        Some(1),
        Some(9),
        Some(100),
    ]));
    let live = BooleanBuffer::from(vec![true, true, true, true, true, false]);
    let profile = sketch(&array, Some(&live), false).finish("n", "integer");
    assert_eq!(
        (
            profile.rows,
            profile.nulls,
            profile.distinct,
            profile.distinct_exact
        ),
        (5, 1, 3, true)
    );
    assert_eq!(
        (profile.min.as_deref(), profile.max.as_deref()),
        (Some("1"), Some("9"))
    );
    assert_eq!(
        (profile.mean, profile.median.as_deref()),
        (Some(3.75), Some("2.5"))
    );
    assert_eq!(profile.top, [("1".to_owned(), 2)]);
    assert_eq!(profile.histogram.unwrap().counts, [3, 1]);
    assert_eq!((profile.samples.len(), profile.sampled_rows), (3, 5));
}

/// A private column shows counts only, whatever its type.
#[test]
fn private_columns_show_no_value() {
    for array in arrays(50) {
        let profile = sketch(&array, None, true).finish("p", "string");
        let counts = ColumnProfile {
            name: "p".to_owned(),
            column_type: "string".to_owned(),
            rows: 50,
            nulls: profile.nulls,
            distinct: profile.distinct,
            distinct_exact: true,
            sampled_rows: 50,
            ..ColumnProfile::default()
        };
        assert_eq!(profile, counts);
    }
}

/// What is not finite, and what overflows, breaks nothing.
#[test]
fn extreme_values() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![
        f64::NAN,
        f64::MAX,
        f64::MIN,
        f64::INFINITY,
        -0.0,
        0.0,
    ]));
    let profile = sketch(&floats, None, false).finish("f", "float");
    assert_eq!(profile.max.as_deref(), Some("inf"));
    assert_eq!((profile.histogram, profile.top.len()), (None, 1));
    let integers: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]));
    assert_eq!(
        sketch(&integers, None, false)
            .finish("i", "integer")
            .median
            .as_deref(),
        Some("-0.5")
    );
    let long: ArrayRef = Arc::new(StringViewArray::from(vec!["ü".repeat(1_000_000)]));
    let profile = sketch(&long, None, false).finish("s", "string");
    assert_eq!(
        (profile.lengths, profile.samples[0].chars().count()),
        (Some((1_000_000, 1_000_000)), 121)
    );
    let none: ArrayRef = Arc::new(StringViewArray::from(Vec::<&str>::new()));
    assert_eq!(sketch(&none, None, false).finish("n", "string").rows, 0);
}

/// One array of each type, with missing values.
fn arrays(rows: usize) -> Vec<ArrayRef> {
    let some = |row: usize| !row.is_multiple_of(7);
    let numbers = || (0..rows).map(move |row| some(row).then(|| (row * row % 300) as i64 - 20));
    vec![
        Arc::new(Int64Array::from_iter(numbers())),
        Arc::new(Float64Array::from_iter(
            numbers().map(|n| n.map(|n| n as f64 / 3.0)),
        )),
        Arc::new(Date32Array::from_iter(
            numbers().map(|n| n.map(|n| n as i32)),
        )),
        Arc::new(TimestampMicrosecondArray::from_iter(numbers()).with_timezone("UTC")),
        Arc::new(Decimal128Array::from_iter(
            numbers().map(|n| n.map(i128::from)),
        )),
        Arc::new(BooleanArray::from_iter(numbers().map(|n| n.map(|n| n > 3)))),
        Arc::new(StringViewArray::from_iter(
            numbers().map(|n| n.map(|n| format!("a value of some length {n}"))),
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Any division of the rows, merged in any tree and carried as JSON, gives the same profile.
    #[test]
    fn divisions_of_the_rows_do_not_matter(rows in 0..1_200_usize, cuts in prop::collection::vec(0..1_200_usize, 0..5), wanted in 0..1_500_u64, left in any::<bool>()) {
        let sample = RowSample::of(rows as u64, wanted, 42);
        let live = BooleanBuffer::collect_bool(rows, |row| row % 5 != 3);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows)).collect();
        cuts.extend([0, rows]);
        cuts.sort_unstable();
        for array in arrays(rows) {
            let of = |from: usize, to: usize| {
                let mut sketch = ColumnSketch::new(array.data_type(), false);
                let live = live.slice(from, to - from);
                sketch.observe(&array.slice(from, to - from), from as u64, Some(&live), &sample);
                let json = serde_json::to_vec(&sketch).unwrap();
                serde_json::from_slice::<ColumnSketch>(&json).unwrap()
            };
            let mut parts: Vec<ColumnSketch> = cuts.windows(2).map(|cut| of(cut[0], cut[1])).collect();
            while parts.len() > 1 {
                let at = if left { 0 } else { parts.len() - 2 };
                let later = parts.remove(at + 1);
                parts[at].merge(later);
            }
            prop_assert_eq!(parts[0].finish("v", "t"), of(0, rows).finish("v", "t"));
        }
    }
}
