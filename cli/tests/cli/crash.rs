//! A killed run leaves no output, and the next run leaves what a clean one leaves.

use std::time::{Duration, Instant};

use super::output::content;
use super::sandbox::Sandbox;

/// SIGKILL at moments all through the run: no manifest, and the next run repairs everything.
#[test]
fn killed_at_any_moment() {
    let sandbox = Sandbox::with_customers(12_000);
    let arguments = |output: &'static str| {
        [
            "run",
            "job.yaml",
            "--output",
            output,
            "--job-id",
            "job-1",
            "--set",
            "output.rows_per_file=8192",
        ]
    };
    let begun = Instant::now();
    sandbox.succeed(&arguments("clean"));
    let whole = begun.elapsed();
    let clean = content(&sandbox.path("clean"));
    let out = sandbox.path("out");
    let mut killed = 0;
    for part in 1..=16 {
        let mut child = sandbox.command(&arguments("out")).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(f64::from(part) / 17.0) + Duration::from_millis(1));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        if !ended.success() {
            killed += 1;
            // A run that died after its commit has published; before, there is nothing.
            if out.join("metadata.json").exists() {
                assert_eq!(
                    without_location(content(&out)),
                    without_location(clean.clone())
                );
            }
        }
    }
    assert!(killed >= 8, "only {killed} runs were killed in time");
    sandbox.succeed(&arguments("out"));
    assert_eq!(without_location(content(&out)), without_location(clean));
    let mut left: Vec<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        [
            "audit.json",
            "data",
            "metadata.json",
            "provenance",
            "quarantine",
            "removed",
            "report.html",
            "report.json"
        ]
    );
}

/// The manifest names the folder of the output, which differs here.
fn without_location(
    mut content: std::collections::BTreeMap<String, String>,
) -> std::collections::BTreeMap<String, String> {
    content.remove("metadata.json");
    content
}
