//! A job on a cluster of real processes gives the bytes that one process gives.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use benchmarks_generator::{CustomerGenerator, every_step, write_table};
use benchmarks_harness::{ClusterOptions, program_beside};
use planner::cluster::ClusterAddress;
use planner::run::{JobRun, Phase};
use planner::spec::JobSpec;

use super::output::{content, document};
use super::sandbox::{SALT, Sandbox, files_under};

/// Arguments that make several splits of a small table, and name the job.
const SPLITS: [&str; 4] = ["--set", "output.rows_per_file=8192", "--job-id", "job-1"];

/// Every output file of the standard job and of one with all steps, from CSV, JSON lines and
/// Parquet, from one file and many, is the same in one process, on one executor with three slots,
/// and on three with one.
#[test]
fn a_cluster_changes_nothing() {
    let sandbox = Sandbox::with_customers(30_000);
    sandbox.write(
        "all.yaml",
        &every_step("customers.csv", "out", "env:TEST_SALT"),
    );
    let pieces = sandbox.path("pieces");
    std::fs::create_dir(&pieces).unwrap();
    let generator = CustomerGenerator::new(7);
    write_table(generator, 20_000, 40, &pieces.join("customers.csv"), None).unwrap();
    for format in ["jsonl", "parquet"] {
        sandbox.convert(format);
    }
    let jobs: [&[&str]; 5] = [
        &["job.yaml"],
        &["all.yaml"],
        &["job.yaml", "--input", "pieces"],
        &["all.yaml", "--input", "jsonl/data/*.jsonl"],
        &["all.yaml", "--input", "parquet/data/*.parquet"],
    ];
    let clusters = [(1, 3), (3, 1)].map(|(executors, slots)| {
        sandbox.cluster(ClusterOptions {
            executors,
            slots,
            ..ClusterOptions::default()
        })
    });
    for job in jobs {
        let run = |more: &[&str]| {
            let arguments = [&["run"], job, &SPLITS, &["--output", "out"], more].concat();
            sandbox.succeed(&arguments);
            content(&sandbox.path("out"))
        };
        let here = run(&[]);
        let parts = here.keys().filter(|name| name.starts_with("data/"));
        assert!(parts.count() > 2, "{job:?}: several splits were tested");
        for cluster in &clusters {
            let there = run(&["--cluster", &cluster.url()]);
            assert_eq!(
                there.keys().collect::<Vec<_>>(),
                here.keys().collect::<Vec<_>>()
            );
            for (name, digest) in &here {
                // A report is long: its difference is shown by another test.
                assert!(there.get(name) == Some(digest), "{job:?}: {name} differs");
            }
        }
        assert!(!sandbox.path("out/_sanitizer").exists(), "{job:?}");
    }
    for cluster in &clusters {
        for executor in cluster.executors() {
            assert!(executor.log().contains("Finished task"), "all took part");
        }
    }
}

/// No clear value and no salt is in a plan that travels, in a log, or in what executors keep.
#[test]
fn nothing_personal_travels() {
    let sandbox = Sandbox::with_customers(300);
    sandbox.write(
        "all.yaml",
        &every_step("customers.csv", "out", "env:TEST_SALT"),
    );
    let cluster = sandbox.cluster(ClusterOptions {
        executors: 1,
        environment: vec![("SANITIZER_LOG".to_owned(), "debug,h2=info".to_owned())],
        ..ClusterOptions::default()
    });
    sandbox.succeed(&["run", "all.yaml", "--cluster", &cluster.url()]);
    let files = files_under(cluster.folder());
    let read = |file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    let texts: Vec<String> = files.into_iter().map(read).collect();
    assert!(texts.len() > 3, "results are kept: {}", texts.len());
    let dirty = std::fs::read_to_string(sandbox.path("customers.csv")).unwrap();
    let words = dirty.split([',', '"', '\n']).map(str::trim);
    let addresses: Vec<&str> = words.filter(|word| word.contains('@')).collect();
    assert!(addresses.len() > 100, "there is something to look for");
    for text in &texts {
        assert!(!text.contains(SALT), "the salt");
        for address in &addresses {
            assert!(!text.contains(address), "{address}");
        }
    }
}

/// An error on an executor is the error that one process gives, with the same exit status, and
/// leaves nothing behind.
#[test]
fn errors_come_back() {
    let sandbox = Sandbox::with_customers(20_000);
    let cluster = sandbox.cluster(ClusterOptions::default());
    let mut job = std::fs::read_to_string(sandbox.path("job.yaml")).unwrap();
    job = job.replace("on_violation: set_null", "on_violation: fail");
    sandbox.write("strict.yaml", &job);
    let url = cluster.url();
    let run = |more: &[&str]| {
        let arguments = [&["run", "strict.yaml"], &SPLITS[..2], more].concat();
        let output = sandbox.run(&arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!sandbox.path("out").exists(), "{error}");
        (output.status.code(), error)
    };
    let (status, error) = run(&["--cluster", &url]);
    assert_eq!(status, Some(1), "{error}");
    assert!(
        error.contains("breaks the rule range of column \"age\""),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
    let (_, here) = run(&[]);
    let before_row = |error: &str| error.split(": row").next().map(str::to_owned);
    assert_eq!(before_row(&error), before_row(&here));

    // A salt that the driver has and the executors lack.
    let salted = std::fs::read_to_string(sandbox.path("job.yaml")).unwrap();
    sandbox.write(
        "other.yaml",
        &salted.replace("env:TEST_SALT", "env:OTHER_SALT"),
    );
    let arguments = ["run", "other.yaml", "--cluster", &url];
    let mut command = sandbox.command(&arguments);
    let output = command.env("OTHER_SALT", SALT).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("OTHER_SALT"), "{error}");
    assert!(!error.contains(SALT), "{error}");
}

/// What is no address of a cluster, or of one that is not there, is an error at once.
#[test]
fn no_cluster() {
    let sandbox = Sandbox::with_customers(100);
    let run = |url: &str| {
        let output = sandbox.run(&["run", "job.yaml", "--cluster", url]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!sandbox.path("out").exists(), "{error}");
        (output.status.code(), error)
    };
    let (status, error) = run("http://localhost:1");
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("expected df://HOST:PORT"), "{error}");
    let (status, error) = run("df://127.0.0.1:1");
    assert_eq!(status, Some(1), "{error}");
    assert!(
        error.contains("df://127.0.0.1:1 does not answer"),
        "{error}"
    );
}

/// The figures of a report from a cluster are those of one process, times aside.
#[test]
fn the_report_is_the_same() {
    let sandbox = Sandbox::with_customers(9_000);
    let cluster = sandbox.cluster(ClusterOptions::default());
    let run = |more: &[&str]| {
        sandbox.succeed(&[&["run", "job.yaml"], &SPLITS[..], more].concat());
        let mut report = document(&sandbox.path("out/report.json"));
        let fields = report.as_object_mut().unwrap();
        fields.remove("timings");
        fields.remove("generated_at");
        report
    };
    let (here, there) = (run(&[]), run(&["--cluster", &cluster.url()]));
    let lines = |report| serde_json::to_string_pretty(report).unwrap();
    let (here, there) = (lines(&here), lines(&there));
    for (left, right) in here.lines().zip(there.lines()) {
        assert_eq!(left, right);
    }
    assert_eq!(here.len(), there.len());
}

/// While a job runs on a cluster its rows are counted, pass by pass, up to all of them at most.
#[test]
fn progress_is_told() {
    let sandbox = Sandbox::with_customers(120_000);
    sandbox.write("salt", SALT);
    let salt = format!("file:{}", sandbox.path("salt").display());
    let job = std::fs::read_to_string(sandbox.path("job.yaml")).unwrap();
    let job = job.replace("env:TEST_SALT", &salt);
    let sets = ["output.rows_per_file=8192".to_owned()];
    let spec = JobSpec::parse(&job, "job.yaml", &sets).unwrap();
    let cluster = sandbox.cluster(ClusterOptions {
        executors: 1,
        slots: 1,
        ..ClusterOptions::default()
    });
    let mut run = JobRun::new(spec, sandbox.path(""));
    let address: ClusterAddress = cluster.url().parse().unwrap();
    run.cluster = Some(address.into());
    let progress = Arc::clone(&run.progress);
    let job = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(run.run()).unwrap();
    });
    let mut seen: Vec<(Option<Phase>, u64)> = Vec::new();
    while !job.is_finished() {
        let (phase, rows, total) = progress.now();
        assert!(rows <= total, "{phase:?}: {rows} of {total}");
        match seen.last_mut() {
            Some((last, most)) if *last == phase => {
                assert!(rows >= *most, "{phase:?}: rows do not come back");
                *most = rows;
            }
            _ => seen.push((phase, rows)),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    job.join().unwrap();
    for phase in [Phase::Learn(1), Phase::Write] {
        let counted = seen.iter().find(|(seen, _)| *seen == Some(phase));
        assert!(counted.is_some_and(|(_, rows)| *rows > 0), "{seen:?}");
    }
}

/// The members as programs of their own are the members that `sanitizer` starts.
#[test]
fn programs_of_their_own() {
    let sandbox = Sandbox::with_customers(300);
    let beside = |name| program_beside(Path::new(env!("CARGO_BIN_EXE_sanitizer")), name).unwrap();
    let scheduler = beside("sanitizer-scheduler");
    let executor = beside("sanitizer-executor");
    let cluster = sandbox.cluster(ClusterOptions {
        programs: Some((scheduler.clone(), executor.clone())),
        ..ClusterOptions::default()
    });
    sandbox.succeed(&["run", "job.yaml", "--cluster", &cluster.url()]);
    for (program, name) in [(&scheduler, "scheduler"), (&executor, "executor")] {
        let help = Command::new(program).arg("--help").output().unwrap();
        let own = String::from_utf8(help.stdout).unwrap();
        for line in sandbox.succeed(&[name, "--help"]).lines() {
            let flag = line.split_whitespace().find(|word| word.starts_with("--"));
            assert!(flag.is_none_or(|flag| own.contains(flag)), "{line}");
        }
        let wrong = Command::new(program)
            .arg("--bind=nowhere")
            .output()
            .unwrap();
        assert_eq!(wrong.status.code(), Some(2));
    }
}
