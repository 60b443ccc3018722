#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryPool, MemoryReservation,
};
use udfs::kernels::matching::Pattern;

use super::pairs::{Bucket, find_pairs};
use super::sample::Sample;
use super::score::{Scored, ScoredPair};
use super::*;
use crate::operation::{ClusteredRow, Splits, StatisticFiles};
use crate::storage::Place;

fn memory(limit: usize) -> MemoryReservation {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limit));
    MemoryConsumer::new("test").register(&pool)
}

/// A log of keys and rows, and sides if there are any.
fn log(entries: &[(u32, u32)], sides: Option<&[u32]>) -> RecordBatch {
    let bucket = Bucket {
        keys: entries.iter().map(|entry| entry.0).collect(),
        rows: entries.iter().map(|entry| entry.1).collect(),
        same: entries.iter().map(|entry| entry.1).collect(),
        sides: sides.unwrap_or_default().to_vec(),
    };
    bucket.into_batch(0).unwrap()
}

fn meeting(least_shared: u32) -> Meeting {
    Meeting {
        most: 10_000,
        of_value: 64,
        least_shared,
    }
}

/// Rows of one key are pairs, once, whichever log they stand in; sides keep their own rows apart.
#[test]
fn pairs_of_keys() {
    let one = log(&[(4, 9), (4, 5), (8, 5), (12, 1)], None);
    let two = log(&[(4, 7), (8, 9)], None);
    let found = find_pairs(&[one, two], meeting(1), &memory(1 << 24)).unwrap();
    assert_eq!(found.pairs, [(5, 7), (5, 9), (7, 9)]);
    assert_eq!(found.capped, CappedKeys::default());
    let linked = log(&[(4, 9), (4, 5), (4, 7)], Some(&[1, 2, 1]));
    let found = find_pairs(&[linked], meeting(1), &memory(1 << 24)).unwrap();
    assert_eq!(found.pairs, [(5, 7), (5, 9)]);
}

/// Many rows of a key meet a few of them; rows of a frequent value do not meet by it; masses are left
/// out and told of; and memory that is not there is refused.
#[test]
fn keys_of_many_rows() {
    let of = |key: u32, rows: u32| {
        let entries: Vec<(u32, u32)> = (0..rows).map(|row| (key, row)).collect();
        find_pairs(&[log(&entries, None)], meeting(1), &memory(1 << 24))
    };
    let (band, value) = (4, 5);
    assert_eq!(of(band, 64).unwrap().pairs.len(), 64 * 63 / 2);
    let found = of(band, 100).unwrap();
    assert_eq!(found.pairs.len(), (92..100).sum::<usize>());
    assert_eq!((found.capped.thinned, found.capped.largest), (1, 100));
    assert_eq!(of(value, 64).unwrap().pairs.len(), 64 * 63 / 2);
    assert_eq!(of(value, 65).unwrap().pairs.len(), 0);
    let found = of(band, 10_001).unwrap();
    assert_eq!((found.pairs.len(), found.capped.left_out), (0, 1));
    let read = CappedKeys::read(&found.capped.batch().unwrap()).unwrap();
    assert_eq!(read, found.capped);
    let small = log(&[(4, 1), (4, 2)], None);
    assert!(
        find_pairs(&[small], meeting(1), &memory(10))
            .unwrap_err()
            .is_out_of_memory()
    );
}

/// The pairs of a split are those whose smaller row it has; its rows are those of any pair.
#[test]
fn candidates_by_split() {
    let all = Candidates::merge(&[vec![(1, 15), (12, 30)], vec![(1, 15), (2, 3)]], 1, 2).unwrap();
    assert_eq!(all.pairs, [(1, 15), (2, 3), (12, 30)]);
    let part = all.among(10, 10);
    assert_eq!((part.pairs, part.rows), (vec![(12, 30)], vec![12, 15]));
    // As stored, in both directions, twice where two keys have found it.
    let stored = vec![(12, 30), (12, 30), (15, 1)];
    assert_eq!(Candidates::of_split(stored, 1), all.among(10, 10));
}

/// Rows that are the same meet the first of them only, however many they are, and that one stands for all
/// where others are met; of linked tables each meets one of the other.
#[test]
fn rows_that_are_the_same() {
    let (whole, band) = (2, 4);
    let keys = |same: u32, rows: std::ops::Range<u32>| Bucket {
        keys: rows
            .clone()
            .flat_map(|_| [whole + 4 * same, band])
            .collect(),
        rows: rows.clone().flat_map(|row| [row, row]).collect(),
        same: rows.flat_map(|_| [same, same]).collect(),
        sides: Vec::new(),
    };
    let mass = keys(7, 0..20_000).into_batch(100).unwrap();
    let one = keys(9, 0..1).into_batch(5).unwrap();
    let found = find_pairs(&[mass, one], meeting(2), &memory(1 << 24)).unwrap();
    assert_eq!(found.capped, CappedKeys::default());
    let all = Candidates::merge(&[found.pairs], 1, 1).unwrap().pairs;
    assert_eq!(all.len(), 20_000);
    assert_eq!(
        (all[0], all[1], all[19_999]),
        ((5, 100), (100, 101), (100, 20_099))
    );
    let sides = Bucket {
        keys: vec![whole; 4],
        rows: vec![1, 2, 3, 4],
        same: vec![7; 4],
        sides: vec![1, 1, 2, 2],
    };
    let linked = find_pairs(
        &[sides.into_batch(0).unwrap()],
        meeting(1),
        &memory(1 << 24),
    );
    assert_eq!(linked.unwrap().pairs, [(1, 3), (1, 4), (2, 3)]);
}

/// Where two keys must be shared, a pair of one key is none, wherever the keys lie; a rare value is as good
/// as two keys. What a bucket tells of a pair does not grow with its keys.
#[test]
fn pairs_of_several_keys() {
    let (band, other, rare) = (4, 8, 5);
    let one = log(
        &[
            (band, 1),
            (band, 2),
            (other, 1),
            (other, 2),
            (12, 1),
            (12, 2),
        ],
        None,
    );
    let two = log(&[(band, 1), (band, 3), (rare, 4), (rare, 5)], None);
    let find = |log| {
        find_pairs(&[log], meeting(2), &memory(1 << 24))
            .unwrap()
            .pairs
    };
    let (one, two) = (find(one), find(two));
    assert_eq!(one, [(1, 2), (1, 2)]);
    assert_eq!(two, [(1, 3), (4, 5), (4, 5)]);
    let all = Candidates::merge(&[one, two], 2, 2).unwrap();
    assert_eq!(all.pairs, [(1, 2), (4, 5)]);
    assert_eq!(all.rows, [1, 2, 4, 5]);
    let stored = vec![(1, 2), (1, 2), (1, 3)];
    assert_eq!(Candidates::of_split(stored, 2).pairs, [(1, 2)]);
}

/// What workers store comes back as it was.
#[test]
fn stored_scores_and_matches() {
    let scored = Scored {
        pairs: vec![ScoredPair {
            left: 1,
            right: 1 << 40,
            pattern: Pattern(u128::MAX - 5),
            rarity: -7,
            identical: true,
            ranks: (3, u64::MAX),
        }],
        found: vec![[1.0, 2.0, 3.0, 4.0, 5.0, 6.5]],
        compared: 9,
    };
    let mut file = Vec::new();
    scored.write(&mut file).unwrap();
    let told = scored.told().unwrap();
    let back = Scored::read(&told, std::io::Cursor::new(file)).unwrap();
    assert_eq!(back, scored);

    let folder = tempfile::tempdir().unwrap();
    let files = StatisticFiles {
        folder: Place::own(folder.path()),
        op: 4,
        splits: Splits { count: 3, rows: 10 },
    };
    let row = |row| ClusteredRow {
        row,
        cluster: 3,
        survivor: 12,
        score: 0.5,
    };
    let matches = Matches {
        rows: vec![row(3), row(12), row(19)],
        report: None,
        explained: None,
        agreement: Vec::new(),
        plan: Arc::default(),
    };
    let stored = matches.store(&files).unwrap();
    let read = |split| Matches::load(&stored, split).map(|matches| matches.rows);
    assert_eq!(read(0).unwrap(), [row(3)]);
    assert_eq!(read(1).unwrap(), [row(12), row(19)]);
    assert_eq!(read(2).unwrap(), []);
    assert!(read(3).is_err());
}

/// A sample counts a rich record once, however often it is copied, and each of those that hold little.
#[test]
fn copies_count_once() {
    let town = |row: u32| Some(format!("town {}", row % 50));
    let record = |row: u32| {
        let value = |what: &str| Some(format!("{what} {row}"));
        vec![value("name"), value("street"), value("code"), town(row)]
    };
    let mut records: Vec<Vec<Option<String>>> = (0..100).map(record).collect();
    records.extend((0..40).map(|_| record(7)));
    records.extend((0..40).map(|_| vec![None, None, None, town(1)]));
    let number = |numbers: Vec<u64>| Arc::new(UInt64Array::from(numbers)) as ArrayRef;
    let rows = number((0..records.len() as u64).collect());
    let sides = number(vec![0; records.len()]);
    let mut columns = vec![
        ("row".to_owned(), rows, false),
        ("side".to_owned(), sides, false),
    ];
    for place in 0..4 {
        let values = records.iter().map(|record| record[place].clone());
        let values: StringArray = values.collect();
        columns.push((format!("value-{place}"), Arc::new(values), true));
    }
    let part = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let sample = Sample::merge(&[part]).unwrap();
    let of = |name: Option<&str>| {
        let own = sample
            .records
            .iter()
            .filter(|record| record[0].as_deref() == name);
        own.count()
    };
    assert_eq!(
        (of(Some("name 7")), of(Some("name 8")), of(None)),
        (1, 1, 40)
    );
}
