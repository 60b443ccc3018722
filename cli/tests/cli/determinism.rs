//! The same job gives the same bytes, however it is run.

use benchmarks_generator::{CustomerGenerator, write_table};

use super::output::{content, document, rows};
use super::sandbox::Sandbox;

const ROWS: u64 = 30_000;

/// Arguments that make several splits of a small table, and name the job.
const SPLITS: [&str; 4] = ["--set", "output.rows_per_file=8192", "--job-id", "job-1"];

fn run(sandbox: &Sandbox, output: &str, more: &[&str]) {
    let mut arguments = vec!["run", "job.yaml", "--output", output];
    arguments.extend(SPLITS);
    arguments.extend(more);
    sandbox.succeed(&arguments);
}

/// Every file is the same for 1, 2 and 7 partitions and on a rerun over the old output, but for the
/// times in metadata.json, report.json, report.html and audit.json, and the option itself.
#[test]
fn partitions_and_reruns_change_nothing() {
    let sandbox = Sandbox::with_customers(ROWS);
    let mut seen = Vec::new();
    for partitions in ["1", "2", "7", "7"] {
        let option = format!("options.partitions={partitions}");
        run(&sandbox, "out", &["--set", &option]);
        let mut files = content(&sandbox.path("out"));
        let manifest = files.remove("metadata.json").unwrap();
        files.insert(
            "metadata.json".into(),
            manifest.replace(&format!("\"partitions\":{partitions}"), ""),
        );
        seen.push(files);
    }
    assert!(
        seen[0].contains_key("data/part-00003.parquet"),
        "several splits were tested"
    );
    for other in &seen[1..] {
        for (name, digest) in &seen[0] {
            assert_eq!(other.get(name), Some(digest), "{name}");
        }
    }
}

/// Memory too small to keep frames between the passes changes nothing.
#[test]
fn reading_twice_changes_nothing() {
    let sandbox = Sandbox::with_customers(ROWS);
    run(&sandbox, "kept", &[]);
    run(&sandbox, "read", &["--set", "options.memory_limit=24MiB"]);
    let (kept, read) = (
        content(&sandbox.path("kept")),
        content(&sandbox.path("read")),
    );
    for name in kept.keys().filter(|name| name.contains('/')) {
        assert_eq!(kept.get(name), read.get(name), "{name}");
    }
}

/// The same rows in five files give the same tables; quarantine names the other files.
#[test]
fn five_files_are_one() {
    let sandbox = Sandbox::with_customers(ROWS);
    run(&sandbox, "one", &[]);
    let pieces = sandbox.path("pieces");
    std::fs::create_dir(&pieces).unwrap();
    write_table(
        CustomerGenerator::new(7),
        ROWS,
        5,
        &pieces.join("customers.csv"),
        None,
    )
    .unwrap();
    let pieces = std::fs::read_dir(&pieces).unwrap().count();
    assert_eq!(pieces, 5);
    run(&sandbox, "five", &["--input", "pieces"]);
    let (one, five) = (
        content(&sandbox.path("one")),
        content(&sandbox.path("five")),
    );
    for (name, digest) in one.iter().filter(|(name, _)| name.contains('/')) {
        if !name.starts_with("quarantine/") {
            assert_eq!(five.get(name), Some(digest), "{name}");
        }
    }
    let reasons = |output: &str| -> Vec<(Option<String>, Option<String>)> {
        let table = rows(&sandbox.path(output), "quarantine");
        table
            .into_iter()
            .map(|row| (row[3].clone(), row[5].clone()))
            .collect()
    };
    assert_eq!(reasons("one"), reasons("five"));
    assert!(!reasons("one").is_empty(), "the data has unreadable rows");
}

/// Rows in = rows in data, removed and quarantine; and the report says so.
#[test]
fn no_row_is_lost() {
    let sandbox = Sandbox::with_customers(ROWS);
    run(&sandbox, "out", &[]);
    let out = sandbox.path("out");
    let counts = ["data", "removed", "quarantine"].map(|table| rows(&out, table).len() as u64);
    assert_eq!(counts.iter().sum::<u64>(), ROWS);
    let summary = &document(&out.join("report.json"))["summary"];
    let told = ["cleaned_row_count", "rows_dropped", "rows_quarantined"];
    assert_eq!(told.map(|field| summary[field].as_u64().unwrap()), counts);
    assert!(
        counts.iter().all(|count| *count > 0),
        "each table was tested: {counts:?}"
    );
}
