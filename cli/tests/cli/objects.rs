//! Data and outputs in an object store, in one process and on a cluster.

use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use benchmarks_generator::{CustomerGenerator, write_table};
use benchmarks_harness::{ClusterOptions, ObjectServer};

use super::output::content;
use super::sandbox::{Sandbox, files_under};

/// Time in which anything here ends.
const BOUND: Duration = Duration::from_secs(120);

/// Customers on this machine and in a bucket.
struct Scene {
    sandbox: Sandbox,
    server: ObjectServer,
}

impl Scene {
    fn new(rows: u64) -> Self {
        let scene = Self {
            sandbox: Sandbox::with_customers(rows),
            server: ObjectServer::start().unwrap(),
        };
        scene.upload("customers.csv", "in/customers.csv");
        scene
    }

    fn upload(&self, file: &str, key: &str) {
        self.server.add(key, &self.sandbox.path(file)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(arguments);
        command.envs(self.server.environment());
        command
    }

    fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stderr(Stdio::piped()).stdout(Stdio::null());
        command.spawn().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The status and the one line of a run that fails.
    fn fail(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert_eq!(error.lines().count(), 1, "{error}");
        (output.status.code(), error)
    }

    /// Runs the standard job from one place to another.
    fn job(&self, input: &str, output: &str, more: &[&str]) {
        let job = ["run", "job.yaml", "--job-id", "job-1"];
        let places = ["--input", input, "--output", output];
        let split = ["--set", "output.rows_per_file=8192"];
        self.succeed(&[&job[..], &places, &split, more].concat());
    }

    /// The files of an output in the bucket.
    fn output(&self, key: &str) -> BTreeMap<String, String> {
        let out = self.server.file(key);
        let found = content(&out);
        // The manifest, and what it lists.
        assert_eq!(files_under(&out).len(), listed(&out) + 1, "{key}");
        found
    }
}

/// Number of files that a manifest lists.
fn listed(out: &std::path::Path) -> usize {
    let manifest = super::output::document(&out.join("metadata.json"));
    manifest["files"].as_array().unwrap().len()
}

/// The tables whose bytes do not depend on where the source lies.
fn tables(content: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let tables = content.into_iter();
    tables
        .filter(|(name, _)| name.contains('/') && !name.starts_with("quarantine/"))
        .collect()
}

/// A table of a bucket lasts in the catalog, is read and cleaned by SQL as a file of a disk is, in one
/// process and on two executors, and what COPY writes there is whole.
#[test]
fn tables_in_a_store() {
    let scene = Scene::new(20_000);
    let cluster = scene.sandbox.cluster(ClusterOptions {
        environment: scene.server.environment().into_iter().collect(),
        ..ClusterOptions::default()
    });
    let url = cluster.url();
    // The rows; a column may be named for its table.
    let sql = |more: &[&str], text: &str| {
        let arguments = [&["sql", "--home", "home", "--format", "csv"], more, &[text]].concat();
        let printed = scene.succeed(&arguments);
        printed
            .split_once('\n')
            .map_or("", |(_, rows)| rows)
            .to_owned()
    };
    let table = "CREATE EXTERNAL TABLE lake STORED AS CSV LOCATION 's3://lake/in/'; \
                 CREATE EXTERNAL TABLE disk STORED AS CSV LOCATION 'customers.csv'";
    sql(&[], table);
    for more in [&[][..], &["--cluster", &url]] {
        for query in [
            "SELECT count(*), count(DISTINCT email), max(full_name) FROM",
            "SELECT sanitize(*) FROM",
        ] {
            let there = sql(more, &format!("{query} lake"));
            assert!(there.lines().count() > 0);
            assert_eq!(
                there,
                sql(&[], &format!("{query} disk")),
                "{query} {more:?}"
            );
        }
        sql(
            more,
            "COPY (SELECT sanitize(*) FROM lake) TO 's3://lake/clean.parquet'",
        );
        let written = sql(more, "SELECT count(*) FROM 's3://lake/clean.parquet'");
        assert_eq!(written, sql(&[], "SELECT count(*) FROM sanitize(disk)"));
    }
}

/// Every format, compressed and not, as one object, a folder or a pattern: what is read from a store
/// and written to it is what is read from a disk and written there, in one process and on two
/// executors.
#[test]
fn a_store_is_like_a_disk() {
    let scene = Scene::new(20_000);
    let sandbox = &scene.sandbox;
    let generator = CustomerGenerator::new(7);
    std::fs::create_dir(sandbox.path("pieces")).unwrap();
    let pieces = sandbox.path("pieces/customers.csv");
    write_table(generator, 20_000, 5, &pieces, None).unwrap();
    for piece in files_under(&sandbox.path("pieces")) {
        let name = piece.file_name().unwrap().to_string_lossy().into_owned();
        scene.server.add(&format!("pieces/{name}"), &piece).unwrap();
        scene
            .server
            .add(&format!("pieces/_old/{name}"), &piece)
            .unwrap();
    }
    scene
        .server
        .add("pieces/notes.txt", &pieces.with_file_name("../job.yaml"))
        .unwrap();
    for format in ["jsonl", "parquet"] {
        sandbox.convert(format);
        for part in files_under(&sandbox.path(&format!("{format}/data"))) {
            let name = part.file_name().unwrap().to_string_lossy().into_owned();
            scene
                .server
                .add(&format!("{format}/{name}"), &part)
                .unwrap();
        }
    }
    let gzip = Command::new("gzip")
        .arg("-k")
        .arg(sandbox.path("customers.csv"))
        .status();
    assert!(gzip.unwrap().success());
    scene.upload("customers.csv.gz", "in/customers.csv.gz");

    let cluster = sandbox.cluster(ClusterOptions {
        environment: scene.server.environment(),
        ..ClusterOptions::default()
    });
    let url = cluster.url();
    for (format, here, there) in [
        ("csv", "customers.csv", "in/customers.csv"),
        ("csv", "customers.csv.gz", "in/customers.csv.gz"),
        ("csv", "pieces", "pieces"),
        ("csv", "pieces/*.csv", "pieces/*.csv"),
        ("jsonl", "jsonl/data", "jsonl/"),
        (
            "parquet",
            "parquet/data/*.parquet",
            "parquet/part-*.parquet",
        ),
    ] {
        let format = format!("source.format={format}");
        let set = ["--set", &format];
        scene.job(here, "here", &set);
        let right = tables(content(&sandbox.path("here")));
        assert!(right.len() > 8, "several splits were tested");
        let there = scene.server.url(there);
        scene.job(&there, &scene.server.url("out"), &set);
        let alone = scene.output("out");
        assert_eq!(tables(alone.clone()), right, "{there}");
        let on_cluster = [&set[..], &["--cluster", &url]].concat();
        // Over the earlier output.
        scene.job(&there, &scene.server.url("out"), &on_cluster);
        let together = scene.output("out");
        let differ = |name: &&String| alone.get(*name) != together.get(*name);
        let different: Vec<&String> = alone.keys().filter(differ).collect();
        assert!(different.is_empty(), "{there}: {different:?}");
        assert_eq!(alone.len(), together.len());
        // From the store to the disk.
        scene.job(&there, "mixed", &on_cluster);
        assert_eq!(tables(content(&sandbox.path("mixed"))), right, "{there}");
    }
    let plan = scene.succeed(&[
        "explain",
        "job.yaml",
        "--input",
        &scene.server.url("pieces"),
    ]);
    assert!(plan.contains("5 file(s), 20000 rows"), "{plan}");
}

/// Keys are named, in the environment under a prefix or in a file, and are nowhere else: not in logs
/// at their most talkative, nor in plans, results or outputs.
#[test]
fn keys_have_names() {
    let scene = Scene::new(200);
    let settings = scene.server.environment();
    let lines = settings
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"));
    scene.sandbox.write("s3.env", &lines.collect::<String>());
    let file = format!("file:{}", scene.sandbox.path("s3.env").display());
    let prefixed = settings
        .iter()
        .map(|(name, value)| (format!("LAKE_{name}"), value.clone()));
    let log = ("SANITIZER_LOG".to_owned(), "trace".to_owned());
    let environment: Vec<_> = prefixed.chain([log]).collect();
    let cluster = scene.sandbox.cluster(ClusterOptions {
        environment: environment.clone(),
        ..ClusterOptions::default()
    });
    let (input, output) = (
        scene.server.url("in/customers.csv"),
        scene.server.url("out"),
    );
    let places = ["run", "job.yaml", "--input", &input, "--output", &output];
    let named = |credentials: &str| {
        ["source", "output"].map(|end| format!("{end}.credentials={credentials}"))
    };
    let mut talk = String::new();
    for credentials in ["env:LAKE", &file] {
        let [source, target] = named(credentials);
        let sets = ["--set", &source, "--set", &target];
        for more in [&[][..], &["--cluster", &cluster.url()]] {
            let arguments = [&places[..], &sets, more].concat();
            let mut command = scene.sandbox.command(&arguments);
            let ended = command.envs(environment.clone()).output().unwrap();
            talk.push_str(&String::from_utf8_lossy(&ended.stderr));
            talk.push_str(&String::from_utf8_lossy(&ended.stdout));
            assert!(ended.status.success(), "{talk}");
            scene.output("out");
        }
    }
    let secret = scene.server.secret();
    assert!(talk.contains("LAKE") || !talk.is_empty());
    assert!(!talk.contains(secret), "the driver's log holds the key");
    let kept = [
        files_under(cluster.folder()),
        files_under(&scene.server.file("out")),
    ]
    .concat();
    assert!(kept.len() > 8, "there is something to look at");
    for path in kept {
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(secret), "{} holds the key", path.display());
    }

    // None, and the wrong ones.
    let (status, error) =
        scene.fail(&[&places[..], &["--set", "source.credentials=env:NONE"]].concat());
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("NONE_"), "{error}");
    let mut command = scene.command(&places);
    let refused = command
        .env("AWS_SECRET_ACCESS_KEY", "not-the-key")
        .output()
        .unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(!error.contains("not-the-key"), "{error}");
}

/// What is not ours is not touched, what is not there is named, and what is no place is refused.
#[test]
fn places_that_will_not_do() {
    let scene = Scene::new(50);
    let out = |key: &str| scene.server.url(key);
    let (status, error) = scene.fail(&["run", "job.yaml", "--output", &out("in")]);
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("customers.csv"), "{error}");
    assert!(scene.server.file("in/customers.csv").exists());
    let missing = [
        ("in/none.csv", "no such object"),
        ("in/*.json", "no readable object"),
        ("none/", "no such object"),
    ];
    for (key, why) in missing {
        let (status, error) = scene.fail(&["run", "job.yaml", "--input", &out(key)]);
        assert_eq!(status, Some(2), "{error}");
        assert!(error.contains(why), "{key}: {error}");
    }
    let (status, error) = scene.fail(&["run", "job.yaml", "--output", "ftp://host/out"]);
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("output.location"), "{error}");
    assert!(
        files_under(&scene.server.bucket()).len() == 1,
        "nothing is left"
    );
}

/// Waits until an object whose name holds this is there.
fn wait_for(scene: &Scene, part: &str) {
    let begun = Instant::now();
    let seen = || {
        let found = files_under_if_there(&scene.server.bucket());
        found.iter().any(|path| path.contains(part))
    };
    while !seen() {
        assert!(begun.elapsed() < BOUND, "{part} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Files under a folder in which others come and go.
fn files_under_if_there(root: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .flat_map(|path| match path.is_dir() {
            true => files_under_if_there(&path),
            false => vec![path.to_string_lossy().into_owned()],
        })
        .collect()
}

/// A driver that is killed while it learns or writes publishes nothing, and the next run leaves what a
/// clean run leaves; another job that comes meanwhile is sent away, and an earlier output stays.
#[test]
fn a_killed_driver_leaves_no_output() {
    let scene = Scene::new(40_000);
    let (input, output) = (
        scene.server.url("in/customers.csv"),
        scene.server.url("out"),
    );
    scene.job(&input, &scene.server.url("right"), &[]);
    let right = tables(scene.output("right"));
    let arguments = [
        "run",
        "job.yaml",
        "--job-id",
        "job-1",
        "--input",
        &input,
        "--output",
        &output,
        "--set",
        "output.rows_per_file=8192",
        "--set",
        "options.partitions=1",
    ];
    let mut driver = scene.begin(&arguments);
    wait_for(&scene, "files/data/part-00000");
    driver.kill().unwrap();
    driver.wait().unwrap();
    assert!(!scene.server.file("out/metadata.json").exists());
    // The lease of the dead one runs out.
    scene.job(&input, &output, &[]);
    assert_eq!(tables(scene.output("out")), right);

    let mut first = scene.begin(&arguments);
    wait_for(&scene, "out/_sanitizer/lock");
    std::thread::sleep(Duration::from_millis(200));
    let stopped = |signal| {
        let pid = rustix::process::Pid::from_raw(i32::try_from(first.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    };
    // Long enough for the second to come, not for the first to be taken for dead.
    stopped(rustix::process::Signal::STOP);
    let second = scene.begin(&arguments);
    std::thread::sleep(Duration::from_secs(2));
    assert!(
        scene.server.file("out/metadata.json").exists(),
        "the earlier output stays"
    );
    stopped(rustix::process::Signal::CONT);
    let first = first.wait().unwrap();
    let second = second.wait_with_output().unwrap();
    let error = String::from_utf8(second.stderr).unwrap();
    // The first goes on; the second is sent away, or comes after it.
    assert!(first.success());
    assert!(
        second.status.success() || error.contains("another job"),
        "{error}"
    );
    assert_eq!(tables(scene.output("out")), right);
}
