#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryPool, MemoryReservation,
};
use udfs::kernels::matching::Pattern;

use super::*;
use crate::program::Splits;

fn memory(limit: usize) -> MemoryReservation {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limit));
    MemoryConsumer::new("test").register(&pool)
}

/// A log of keys and rows, and sides if there are any.
fn log(entries: &[(u64, u64)], sides: Option<&[u64]>) -> RecordBatch {
    let array = |values: Vec<u64>| Arc::new(UInt64Array::from(values)) as ArrayRef;
    let mut columns = vec![
        ("key", array(entries.iter().map(|entry| entry.0).collect())),
        ("row", array(entries.iter().map(|entry| entry.1).collect())),
    ];
    if let Some(sides) = sides {
        columns.push(("side", array(sides.to_vec())));
    }
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Rows of one key are pairs, once, whichever log they stand in; sides keep their own rows apart.
#[test]
fn pairs_of_keys() {
    let one = log(&[(2, 9), (2, 5), (4, 5), (6, 1)], None);
    let two = log(&[(2, 7), (4, 9)], None);
    let found = find_pairs(&[one, two], 10_000, &memory(1 << 24)).unwrap();
    assert_eq!(found.pairs, [(5, 7), (5, 9), (7, 9)]);
    assert_eq!(found.capped, CappedKeys::default());
    let linked = log(&[(2, 9), (2, 5), (2, 7)], Some(&[1, 2, 1]));
    let found = find_pairs(&[linked], 10_000, &memory(1 << 24)).unwrap();
    assert_eq!(found.pairs, [(5, 7), (5, 9)]);
}

/// Many rows of a key meet a few of them; rows of a frequent value do not meet by it; masses are left
/// out and told of; and memory that is not there is refused.
#[test]
fn keys_of_many_rows() {
    let of = |key: u64, rows: u64| {
        let entries: Vec<(u64, u64)> = (0..rows).map(|row| (key, row)).collect();
        find_pairs(&[log(&entries, None)], 10_000, &memory(1 << 24))
    };
    let (band, value) = (2, 3);
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
    let small = log(&[(2, 1), (2, 2)], None);
    assert!(
        find_pairs(&[small], 10_000, &memory(10))
            .unwrap_err()
            .is_out_of_memory()
    );
}

/// The pairs of a split are those whose smaller row it has; its rows are those of any pair.
#[test]
fn candidates_by_split() {
    let all = Candidates::merge(vec![(12, 30), (1, 15), (1, 15), (2, 3)]);
    assert_eq!(all.pairs, [(1, 15), (2, 3), (12, 30)]);
    let part = all.among(10, 10);
    assert_eq!((part.pairs, part.rows), (vec![(12, 30)], vec![12, 15]));
    // As stored, in both directions, twice where two keys have found it.
    let stored = vec![(12, 30), (12, 30), (15, 1)];
    assert_eq!(Candidates::of_split(stored), all.among(10, 10));
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
    let place: crate::storage::Place = folder.path().join("matches.arrow").into();
    let row = |row| MatchedRow {
        row,
        cluster: 3,
        survivor: 12,
        score: 0.5,
    };
    let matches = Matches {
        rows: vec![row(3), row(12), row(19)],
        report: None,
    };
    matches
        .write(&place, Splits { count: 3, rows: 10 })
        .unwrap();
    let read = |split| Matches::read(&place, split).map(|matches| matches.rows);
    assert_eq!(read(0).unwrap(), [row(3)]);
    assert_eq!(read(1).unwrap(), [row(12), row(19)]);
    assert_eq!(read(2).unwrap(), []);
    assert!(read(3).is_err());
}
