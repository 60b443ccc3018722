#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::collections::HashMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn clean(kernel: &Canonicalizer, cell: &str) -> (Verdict, String) {
    let mut out = String::new();
    let verdict = kernel.clean(cell, &mut out);
    (verdict, out)
}

fn answer(kernel: &Canonicalizer, cell: &str) -> Option<String> {
    match clean(kernel, cell) {
        (Verdict::Same, _) => Some(cell.to_owned()),
        (Verdict::Changed(_), out) => Some(out),
        (Verdict::Invalid, _) => None,
    }
}

fn kernel(values: &[&str]) -> Canonicalizer {
    Canonicalizer::new(
        values.iter().map(|value| (*value).to_owned()).collect(),
        0.8,
    )
}

/// Near cells are taken for their value; what is far, short or ambiguous is not guessed.
#[test]
fn cases() {
    let status = ["active", "inactive", "suspended"];
    let places = ["New York", "Newark", "São Paulo", "North", "South"];
    let pools = ["wading pool", "al_hf-1", "not supporting harvest"];
    let codes = ["A-100", "A-101", "-1", "1", "5 of 12", "C#", "C++"];
    let sexes = ["male", "female", "cat"];
    let cases: &[(&[&str], &str, Option<&str>)] = &[
        (&status, "active", Some("active")),
        (&status, " Active ", Some("active")),
        (&status, "actve", Some("active")),
        (&status, "actvie", Some("active")),
        (&status, "suspnded", Some("suspended")),
        (&status, "closed", None),
        (&status, "", None),
        (&places, "new-york", Some("New York")),
        (&places, "York, New", Some("New York")),
        (&places, "Nwe York", Some("New York")),
        (&places, "Sao Paulo", Some("São Paulo")),
        (&places, "Morth", Some("North")),
        (&places, "Booth", None),
        (&codes, "A-102", None),
        (&codes, "a 100", Some("A-100")),
        (&codes, "2", None),
        (&codes, "12 of 5", None),
        (&codes, "c#", Some("C#")),
        (&codes, "C", None),
        (&pools, "diving pool", None),
        (&pools, "wadding pool", Some("wading pool")),
        (&pools, "ak_hf-1", None),
        (&pools, "fully supporting harvest", None),
        (&sexes, "femal", Some("female")),
        (&sexes, "car", None),
        (&sexes, "caat", Some("cat")),
        (&sexes, "👩", None),
    ];
    for (values, cell, want) in cases {
        assert_eq!(answer(&kernel(values), cell).as_deref(), *want, "{cell:?}");
    }
    let (verdict, _) = clean(&kernel(&status), "ACTIVE");
    assert_eq!(verdict, Verdict::Changed(1.0));
    let (verdict, _) = clean(&kernel(&status), "actve");
    assert!(matches!(verdict, Verdict::Changed(score) if (0.8..1.0).contains(&score)));
}

/// Synonyms are recognised whatever their case, and only for values that are canonical.
#[test]
fn synonyms() {
    let pairs = [("USA", "United States"), ("UK", "Britain")];
    let pairs = pairs.map(|(synonym, value)| (synonym.to_owned(), value.to_owned()));
    let kernel = kernel(&["United States", "Germany"]).with_synonyms(pairs.to_vec());
    assert_eq!(answer(&kernel, "usa").as_deref(), Some("United States"));
    assert_eq!(answer(&kernel, "U.S.A.").as_deref(), None);
    assert_eq!(answer(&kernel, "UK"), None);
}

proptest! {
    /// The order of the values and the memory of earlier cells change no answer.
    #[test]
    fn order_does_not_matter(mut values in prop::collection::vec("[abc]{1,6}( [abc]{1,4})?", 1..8), cells in prop::collection::vec("[abcA ]{0,8}", 1..8)) {
        let one = Canonicalizer::new(values.clone(), 0.75);
        let first: Vec<_> = cells.iter().map(|cell| clean(&one, cell)).collect();
        let again: Vec<_> = cells.iter().map(|cell| clean(&one, cell)).collect();
        values.reverse();
        let other = Canonicalizer::new(values.clone(), 0.75);
        let reversed: Vec<_> = cells.iter().rev().map(|cell| clean(&other, cell)).collect();
        prop_assert_eq!(&first, &again);
        prop_assert_eq!(first, reversed.into_iter().rev().collect::<Vec<_>>());
        for value in &values {
            prop_assert_eq!(clean(&one, value).0, Verdict::Same);
        }
    }

    /// No text makes it panic, and many cells do not fill the memory.
    #[test]
    fn any_text_is_answered(values in prop::collection::vec(any::<String>(), 0..5), cell in any::<String>()) {
        let kernel = Canonicalizer::new(values, 0.5);
        clean(&kernel, &cell);
    }
}

/// A value that is rare and near to a frequent one goes; open vocabularies are left alone.
#[test]
fn learning() {
    let counts = |pairs: &[(&str, u64)]| -> Vec<(String, u64)> {
        pairs
            .iter()
            .map(|(value, count)| ((*value).to_owned(), *count))
            .collect()
    };
    let options = LearnOptions::default();
    let states = counts(&[
        ("Alabama", 40),
        ("Alaska", 30),
        ("Alabma", 1),
        ("Alasxa", 2),
        ("Ohio", 9),
    ]);
    assert_eq!(
        learn_values(&states, &options),
        ["Alabama", "Alaska", "Ohio"]
    );
    // Surnames: one rare value has a frequent neighbour, the others have none.
    let names = counts(&[
        ("Smith", 50),
        ("Smyth", 1),
        ("Jones", 40),
        ("Okafor", 1),
        ("Ng", 1),
        ("Duarte", 1),
        ("Petrov", 2),
        ("Lindqvist", 1),
    ]);
    assert!(learn_values(&names, &options).is_empty());
    let numbers: Vec<(String, u64)> = (0..500).map(|n| (format!("{n}"), 1 + n % 90)).collect();
    assert!(learn_values(&numbers, &options).is_empty());
    assert!(learn_values(&[], &options).is_empty());
}

/// A small CSV reader: quotes, doubled quotes, line ends within quotes.
fn read_csv(path: &Path) -> Option<Vec<Vec<String>>> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    Some(rows)
}

#[derive(Default)]
struct Repair {
    errors: usize,
    changed: usize,
    right: usize,
}

/// Cleans every column of `dirty.csv` by its own values and compares with `clean.csv`.
fn repair(folder: &Path) -> Option<Repair> {
    let dirty = read_csv(&folder.join("dirty.csv"))?;
    let clean_rows = read_csv(&folder.join("clean.csv"))?;
    let mut sum = Repair::default();
    let width = dirty.first()?.len();
    for column in 0..width {
        let pairs: Vec<(&str, &str)> = dirty
            .iter()
            .zip(&clean_rows)
            .skip(1)
            .filter_map(|(dirty, clean)| {
                Some((dirty.get(column)?.as_str(), clean.get(column)?.as_str()))
            })
            .collect();
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for (dirty, _) in &pairs {
            *counts.entry(dirty).or_default() += 1;
        }
        let counts: Vec<(String, u64)> =
            counts.into_iter().map(|(v, c)| (v.to_owned(), c)).collect();
        let options = LearnOptions::default();
        let values = learn_values(&counts, &options);
        let before = (sum.changed, sum.right);
        sum.errors += pairs.iter().filter(|(dirty, clean)| dirty != clean).count();
        if values.is_empty() {
            continue;
        }
        let kernel = Canonicalizer::new(values, options.min_similarity);
        for (dirty, truth) in pairs {
            if let (Verdict::Changed(_), out) = clean(&kernel, dirty) {
                sum.changed += 1;
                sum.right += usize::from(out == truth);
                if out != truth && std::env::var_os("SHOW_WRONG").is_some() {
                    println!("  wrong: {dirty:?} -> {out:?}, truth {truth:?}");
                }
            }
        }
        let wrong = (sum.changed - before.0) - (sum.right - before.1);
        if wrong > 0 {
            println!(
                "  column {column}: {wrong} wrong of {}",
                sum.changed - before.0
            );
        }
    }
    Some(sum)
}

fn data(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(path)
}

/// Typos of the hospital table are found and repaired; few other cells are touched.
#[test]
fn hospital() {
    let Some(sum) = repair(&data("repair_hospital")) else {
        println!("skipped: {} is missing", data("repair_hospital").display());
        return;
    };
    let Repair {
        errors,
        changed,
        right,
    } = sum;
    println!("hospital: {errors} errors, {changed} cells changed, {right} of them right");
    println!(
        "hospital: precision {:.3}, recall {:.3}",
        right as f64 / changed as f64,
        right as f64 / errors as f64
    );
    assert!(right * 100 >= changed * 98 && right * 100 >= errors * 35);
}

/// Tables of open government data: whatever is changed is right far more often than not.
#[test]
fn government_tables() {
    let folder = data("repair_dgov/DGov_Typo");
    let Ok(tables) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is missing", folder.display());
        return;
    };
    let mut all = Repair::default();
    let mut tables: Vec<_> = tables.flatten().map(|entry| entry.path()).collect();
    tables.sort();
    for table in tables {
        let Some(sum) = repair(&table) else { continue };
        println!(
            "{}: {} errors, {} changed, {} right",
            table.file_name().unwrap().to_string_lossy(),
            sum.errors,
            sum.changed,
            sum.right
        );
        all.errors += sum.errors;
        all.changed += sum.changed;
        all.right += sum.right;
    }
    println!(
        "all: {} errors, {} changed, {} right",
        all.errors, all.changed, all.right
    );
    assert!(all.right * 100 >= all.changed * 98 && all.right > 300);
}
