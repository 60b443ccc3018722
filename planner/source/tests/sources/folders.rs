//! Real and odd files that others collected.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use planner_source::{Format, SourceError, SourceErrorKind, SourceOptions};
use planner_storage::{LocationPolicy, Place};
use serde_json::Value;

use super::{Table, discover, read};

/// How long one file may take.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// The files of a folder of test data, or none with a word about it.
fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(folder);
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    if files.is_empty() {
        println!("skipped: {} is not there", root.display());
    }
    files.sort();
    files
}

/// Reads a file as a user would, without options, within the time limit.
fn read_file(path: &Path) -> Result<Table, SourceError> {
    let owned = path.to_path_buf();
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let staging = tempfile::tempdir().unwrap();
        let location = [owned.to_str().unwrap().to_owned()];
        let options = SourceOptions::default();
        let read = planner_source::Source::discover(
            &location,
            &LocationPolicy::everything("/"),
            &options,
            &Place::own(staging.path()),
        )
        .and_then(|mut source| {
            let table = read(&source, 8192)?;
            // Any other cut reads the same.
            source.rows_per_split = 1 + source.total_rows / 3;
            assert_eq!(table, read(&source, 7)?, "{}", owned.display());
            Ok(table)
        });
        let _ = sender.send(read);
    });
    match receiver.recv_timeout(TIME_LIMIT) {
        Ok(read) => read,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{}: too slow", path.display()),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(reader.join().unwrap_err())
        }
    }
}

#[derive(Default)]
struct Summary {
    read: usize,
    refused: Vec<String>,
    rows: usize,
    bad: usize,
    bad_files: BTreeMap<String, usize>,
}

impl Summary {
    fn take(&mut self, path: &Path, read: &Result<Table, SourceError>) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match read {
            Ok(table) => {
                self.read += 1;
                self.rows += table.rows.len();
                self.bad += table.bad.len();
                if !table.bad.is_empty() {
                    self.bad_files.insert(name, table.bad.len());
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), SourceErrorKind::Unreadable, "{error}");
                self.refused
                    .push(error.to_string().replace(&*path.to_string_lossy(), &name));
            }
        }
    }

    fn print(&self, folder: &str) {
        for refused in &self.refused {
            println!("  {refused}");
        }
        println!("  files with bad rows: {:?}", self.bad_files);
        println!(
            "{folder}: {} read, {} refused, {} rows, {} bad",
            self.read,
            self.refused.len(),
            self.rows,
            self.bad
        );
    }
}

/// Shows: every small file of odd CSV gives the objects that its collectors expect.
#[test]
fn csv_spectrum_gives_the_expected_objects() {
    let mut summary = Summary::default();
    for path in files("parse_csv_spectrum") {
        if path.extension().is_none_or(|e| e != "csv") {
            continue;
        }
        let result = read_file(&path);
        summary.take(&path, &result);
        let table = result.unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name == "location_coordinates" {
            // The expected object has another number than the file.
            let place = Some("37\u{fffd}36'37.8\"N 121\u{fffd}2'17.9\"W".to_owned());
            assert_eq!((table.rows.len(), &table.rows[0][1]), (1, &place));
            continue;
        }
        let expected = path.with_file_name(format!("../json/{name}.json"));
        let expected: Vec<BTreeMap<String, String>> =
            serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
        assert_eq!(table.rows.len(), expected.len(), "{name}");
        for (row, expected) in table.rows.iter().zip(expected) {
            // The collection is often checked out with line ends made plain.
            let plain = |text: String| text.replace("\r\n", "\n");
            let expected: BTreeMap<String, String> = expected
                .into_iter()
                .map(|(name, text)| (name, plain(text)))
                .collect();
            let got: BTreeMap<String, String> = table
                .columns
                .iter()
                .cloned()
                .zip(row.iter().map(|cell| plain(cell.clone().unwrap())))
                .collect();
            assert_eq!(got, expected, "{name}");
        }
    }
    summary.print("parse_csv_spectrum");
}

/// Shows: odd tables of every format are read or refused with a reason.
#[test]
fn odd_tables_are_read_or_refused() {
    for folder in ["parse_frictionless", "parse_readxl"] {
        let mut summary = Summary::default();
        for path in files(folder) {
            if Format::of_name(path.to_str().unwrap()).is_some() {
                summary.take(&path, &read_file(&path));
            }
        }
        summary.print(folder);
    }
}

/// Shows: JSON texts that must be accepted are, where they are tables; no broken one gives a row.
#[test]
fn json_texts_are_read_as_the_standard_has_them() {
    let mut summary = Summary::default();
    for path in files("parse_jsontestsuite") {
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".json") {
            continue;
        }
        let read = read_file(&path);
        summary.take(&path, &read);
        if name.starts_with("n_")
            && let Ok(table) = &read
        {
            assert!(!table.bad.is_empty(), "{name} was taken for good");
        }
        if name.starts_with("y_") {
            let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let objects = match &value {
                Value::Object(_) => 1,
                Value::Array(all) => all.iter().filter(|v| v.is_object()).count(),
                _ => 0,
            };
            let named = |v: &Value| v.as_object().is_some_and(|object| !object.is_empty());
            let names = named(&value) || value.as_array().is_some_and(|all| all.iter().any(named));
            match &read {
                Ok(table) => assert_eq!(table.rows.len() - table.bad.len(), objects, "{name}"),
                Err(error) => assert!(!names, "{name}: {error}"),
            }
        }
    }
    summary.print("parse_jsontestsuite");
}

/// Shows: Parquet files of every encoding are read, broken ones refused; nothing crashes.
#[test]
fn parquet_files_are_read_or_refused() {
    let mut summary = Summary::default();
    for path in files("parse_parquet_testing") {
        if path.extension().is_some_and(|e| e == "parquet") {
            summary.take(&path, &read_file(&path));
        }
    }
    summary.print("parse_parquet_testing");
}

/// Shows: a location that cannot be read is refused with what is wrong with it.
#[test]
fn locations_that_cannot_be_read_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let options = SourceOptions::default();
    let error = |name: &str| discover(dir.path(), &[name], &options).unwrap_err();
    assert_eq!(error("nothing.csv").kind(), SourceErrorKind::NotFound);
    assert_eq!(error("*.csv").kind(), SourceErrorKind::NotFound);
    let scheme = error("s3://bucket/key.csv").to_string();
    assert!(scheme.contains("s3://"), "{scheme}");
}
