//! Every odd file of the public collections goes through the default pipeline, or is refused with
//! a reason; no row is lost.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::sandbox::files_under;
use planner::run::JobRun;
use planner::spec::JobSpec;

/// Folders of files that nobody here wrote.
const FOLDERS: &[&str] = &[
    "parse_frictionless",
    "parse_csv_spectrum/csvs",
    "parse_jsontestsuite",
    "parse_parquet_testing",
    "parse_readxl",
    "repair_hospital",
    "repair_beers",
    "repair_dgov",
    "er_dedupe_restaurant",
    "er_febrl",
    "er_jedai",
    "er_magellan_fodors_zagats",
    "er_splink",
    "holoclean_hospital_adult_met",
];

/// Rows in = rows in data, removed and quarantined, for every file that is read.
#[test]
fn no_row_of_any_real_file_is_lost() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !data.is_dir() {
        println!("skipped: there is no {}", data.display());
        return;
    }
    let files = FOLDERS
        .iter()
        .flat_map(|folder| files_under(&data.join(folder)));
    let queue = Mutex::new(files.collect::<Vec<PathBuf>>().into_iter());
    let counts = Mutex::new((0, 0));
    let work = || {
        loop {
            let Some(file) = queue.lock().unwrap().next() else {
                return;
            };
            match clean(&file) {
                Ok((original, accounted)) => {
                    assert_eq!(original, accounted, "{}", file.display());
                    counts.lock().unwrap().0 += 1;
                }
                Err(reason) => {
                    assert!(
                        !reason.is_empty() && reason.lines().count() <= 2,
                        "{}: {reason}",
                        file.display()
                    );
                    assert!(
                        !reason.contains("internal error"),
                        "{}: {reason}",
                        file.display()
                    );
                    counts.lock().unwrap().1 += 1;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let (read, refused) = *counts.lock().unwrap();
    println!("{read} files read, {refused} refused");
    assert!(read > 380, "only {read} files were read");
}

/// Runs the default pipeline; gives the rows in and the rows accounted for, or why it refused.
fn clean(file: &Path) -> Result<(u64, u64), String> {
    let folder = tempfile::tempdir().unwrap();
    let document = serde_json::json!({
        "source": {"location": [file]},
        "output": {"location": "out"},
        "options": {"partitions": 1},
    });
    let spec = JobSpec::from_value(document, "test").map_err(|error| error.to_string())?;
    let job = JobRun::new(spec, folder.path().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let finished = runtime
        .block_on(job.run())
        .map_err(|error| error.to_string())?;
    let out = finished.output.local().unwrap();
    let rows =
        ["data", "removed", "quarantine"].map(|table| super::output::rows(out, table).len() as u64);
    Ok((
        finished.report.summary.original_row_count,
        rows.iter().sum(),
    ))
}
