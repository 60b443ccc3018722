//! A killed run leaves no output, or the one from before, and the next run leaves what a clean one
//! leaves.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::output::{content, document};
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

/// SIGKILL over an earlier output, at the first sight of each thing that a run puts into the
/// folder: until publishing begins the earlier output is whole, and later there is none or the new.
#[test]
fn killed_over_an_earlier_output() {
    let sandbox = Sandbox::with_customers(12_000);
    let out = sandbox.path("out");
    let arguments = |job: &'static str| {
        let parts = "output.rows_per_file=8192";
        ["run", "job.yaml", "--job-id", job, "--set", parts]
    };
    sandbox.succeed(&arguments("job-2"));
    let clean = content(&out);
    std::fs::remove_dir_all(&out).unwrap();
    sandbox.succeed(&arguments("job-1"));
    let earlier = content(&out);
    let sights = [
        "staging",
        "files/data/part-00000.parquet",
        "files/provenance/part-00001.parquet",
        "files/report.json",
        "files/metadata.json",
    ];
    let mut kept = 0;
    for sight in sights {
        let mut child = sandbox.command(&arguments("job-2")).spawn().unwrap();
        while !attempt_has(&out, sight) && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        let manifest = out.join("metadata.json");
        if manifest.exists() {
            let old = document(&manifest)["job_id"] == "job-1";
            let whole = if old { &earlier } else { &clean };
            assert_eq!(&content(&out), whole, "{sight}");
            kept += u32::from(old);
        } else {
            let begun = out.join("_sanitizer/replaced/metadata.json");
            assert!(begun.exists(), "{sight}: the earlier output is gone");
            sandbox.succeed(&arguments("job-2"));
            assert_eq!(content(&out), clean, "{sight}");
        }
        sandbox.succeed(&arguments("job-1"));
        assert_eq!(content(&out), earlier, "{sight}");
    }
    assert!(kept > 0, "no run was killed before it published");
}

/// Whether a running attempt has such a file.
fn attempt_has(out: &Path, name: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(out.join("_sanitizer")) else {
        return false;
    };
    let mut attempts = entries.filter_map(Result::ok).map(|entry| entry.path());
    attempts.any(|attempt| attempt.join(name).exists())
}

/// SIGKILL at every system call by which a run moves, removes or syncs files: no manifest, or one
/// that is right, and the next run repairs everything.
#[test]
fn killed_at_every_change_of_the_folder() {
    const CALLS: &str = "?rename,?renameat,?renameat2,?unlink,?unlinkat,?rmdir,?fsync,?fdatasync";
    let traced = Command::new("strace").args(["-f", "true"]).output();
    if !traced.is_ok_and(|traced| traced.status.success()) {
        println!("skipped: there is no strace, or it may not trace");
        return;
    }
    let sandbox = Sandbox::with_customers(100);
    let out = sandbox.path("out");
    let arguments = |job: &'static str| ["run", "job.yaml", "--job-id", job];
    sandbox.succeed(&arguments("job-2"));
    let clean = content(&out);
    sandbox.succeed(&arguments("job-1"));
    let earlier = content(&out);
    let (mut before, mut without, mut after) = (0, 0, 0);
    loop {
        let call = before + without + after + 1;
        let mut killed = Command::new("strace");
        let program = sandbox.command(&arguments("job-2"));
        killed
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={CALLS}"))
            .arg("-e")
            .arg(format!("inject={CALLS}:signal=KILL:when={call}"))
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(sandbox.path(""))
            .env("TEST_SALT", "0123456789abcdef0123456789abcdef");
        let ended = killed.output().unwrap().status.success();
        let manifest = out.join("metadata.json");
        if !manifest.exists() {
            without += 1;
        } else if document(&manifest)["job_id"] == "job-1" {
            assert_eq!(content(&out), earlier, "killed at call {call}");
            before += 1;
        } else {
            assert_eq!(content(&out), clean, "killed at call {call}");
            after += 1;
        }
        if ended {
            break;
        }
        sandbox.succeed(&arguments("job-1"));
        assert_eq!(content(&out), earlier, "killed at call {call}");
        assert!(!out.join("_sanitizer").exists(), "killed at call {call}");
    }
    println!("killed {before} times before publishing, {without} within, {after} after");
    assert!(before > 0 && without > 0 && after > 1);
}

/// The manifest names the folder of the output, which differs here.
fn without_location(mut content: BTreeMap<String, String>) -> BTreeMap<String, String> {
    content.remove("metadata.json");
    content
}
