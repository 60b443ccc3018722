//! What the generator promises: the same rows for the same seed, cut in any way, with a truth that fits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::path::PathBuf;

use crate::{Alteration, CustomerGenerator, RowKind, STATUSES, write_table};

fn lines(paths: &[PathBuf]) -> Vec<String> {
    let rows = |path| {
        std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(rows).collect()
}

/// The same rows come out for one file and for seven, and again for the same seed, but not for another one.
#[test]
fn pieces_hold_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let write = |seed, pieces, name: &str| {
        let out = folder.path().join(name);
        lines(
            &write_table(CustomerGenerator::new(seed), 3000, pieces, &out, None)
                .unwrap()
                .files,
        )
    };
    let whole = write(42, 1, "whole.csv");
    assert_eq!(whole.len(), 3000);
    assert_eq!(whole, write(42, 7, "cut.csv"));
    assert_ne!(whole, write(43, 1, "other.csv"));
}

/// A duplicate has the clean values of its survivor, which is an earlier original; a copy has its bytes as well, and a
/// respelt row has not always; nothing else repeats.
#[test]
fn duplicates_are_what_the_truth_says() {
    let generator = CustomerGenerator::new(7);
    let mut first_of = HashMap::new();
    let (mut copies, mut respelt, mut differing) = (0, 0, 0);
    for number in 0..20_000 {
        let row = generator.row(number);
        let clean: Vec<_> = row.clean.iter().map(str::to_owned).collect();
        match row.kind.unwrap() {
            RowKind::Original => assert_eq!(
                first_of.insert(clean, number),
                None,
                "row {number} repeats another"
            ),
            RowKind::Copy { of } => {
                copies += 1;
                assert!(of + 1 < number);
                assert_eq!(generator.row(of).dirty, row.dirty);
                assert_eq!(first_of.get(&clean), Some(&of));
            }
            RowKind::Respelt { of } => {
                respelt += 1;
                differing += usize::from(generator.row(of).dirty != row.dirty);
                assert_eq!(first_of.get(&clean), Some(&of));
            }
            RowKind::NearDuplicate { .. } => panic!("row {number} nearly repeats another"),
            RowKind::Ragged => assert!(row.clean.is_empty() && row.dirty.len() != 9),
        }
    }
    assert!((400..800).contains(&copies), "{copies} copies");
    assert!((120..300).contains(&respelt), "{respelt} respelt rows");
    assert!(
        differing * 4 > respelt * 3,
        "{differing} of {respelt} respelt rows differ"
    );
}

/// Statuses stay nearer to their own value than to any other, so that the truth is the only right answer.
#[test]
fn no_status_is_misspelt_beyond_recognition() {
    let generator = CustomerGenerator::new(1);
    for number in 0..50_000 {
        let row = generator.row(number);
        let (Some(dirty), Some(clean)) = (row.dirty.get(5), row.clean.get(5)) else {
            continue;
        };
        let dirty = dirty.trim().to_lowercase();
        let shared_start = |status: &str| {
            dirty
                .bytes()
                .zip(status.bytes())
                .take_while(|(a, b)| a == b)
                .count()
        };
        let best = STATUSES
            .iter()
            .max_by_key(|status| shared_start(status))
            .unwrap();
        assert_eq!(*best, clean, "{dirty}");
        assert!(dirty.len().abs_diff(clean.len()) <= 1);
    }
}

/// The dirt has the shares that the benchmarks rely on.
#[test]
fn dirt_has_its_shares() {
    let generator = CustomerGenerator::new(42);
    let mut changed = [0_u32; 9];
    let (mut lost_ages, mut quoted, mut bytes, mut rows) = (0, 0, 0, 0);
    let mut line = Vec::new();
    for number in 0..20_000 {
        let row = generator.row(number);
        line.clear();
        row.dirty.write_csv(&mut line);
        bytes += line.len();
        if row.clean.is_empty() {
            continue;
        }
        rows += 1;
        for (column, (dirty, clean)) in row.dirty.iter().zip(row.clean.iter()).enumerate() {
            changed[column] += u32::from(dirty != clean);
        }
        lost_ages += u32::from(row.clean.get(7) == Some(""));
        quoted += u32::from(
            row.dirty
                .get(4)
                .is_some_and(|address| address.contains(',')),
        );
    }
    let share = |count: u32| f64::from(count) / f64::from(rows);
    assert!(
        (110..=160).contains(&(bytes / 20_000)),
        "{} bytes a row",
        bytes / 20_000
    );
    assert_eq!(changed[0], 0, "ids are never dirty");
    for (column, low, high) in [
        (1, 0.15, 0.40),
        (2, 0.02, 0.10),
        (3, 0.80, 0.97),
        (4, 0.15, 0.40),
        (5, 0.10, 0.25),
        (6, 0.3, 0.5),
    ] {
        let share = share(changed[column]);
        assert!((low..=high).contains(&share), "{share} of column {column}");
    }
    assert!((0.03..=0.08).contains(&share(lost_ages)));
    assert!((0.2..=0.6).contains(&share(quoted)));
}

/// Near duplicates are asked for; each kind is there, differs from its customer, and the other rows stay what they are.
#[test]
fn near_duplicates_differ_from_their_customer() {
    let plain = CustomerGenerator::new(7);
    let generator = plain.with_near_duplicates(100);
    let mut kinds: HashMap<Alteration, u32> = HashMap::new();
    for number in 0..20_000 {
        let row = generator.row(number);
        let RowKind::NearDuplicate { of, by } = row.kind.unwrap() else {
            continue;
        };
        *kinds.entry(by).or_default() += 1;
        assert_eq!(generator.kind(of), RowKind::Original);
        assert_eq!(plain.row(of).dirty, generator.row(of).dirty);
        let first = generator.row(of);
        assert_ne!(row.clean.get(0), first.clean.get(0), "the number");
        let same = row.clean.iter().zip(first.clean.iter());
        let same = same.filter(|(one, two)| one == two).count();
        assert!(
            (5..=8).contains(&same),
            "row {number}, {by:?}: {same} values"
        );
    }
    for by in Alteration::ALL {
        assert!((400..600).contains(&kinds[&by]), "{kinds:?}");
    }
}
