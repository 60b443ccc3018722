//! What dies on the way changes nothing: a job on a cluster ends in the right bytes or in a clear
//! failure.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use benchmarks_harness::{ClusterOptions, LocalCluster};
use rustix::process::Signal;

use super::output::content;
use super::sandbox::Sandbox;

/// Rows of so many splits that both executors are busy for a while.
const ROWS: u64 = 60_000;

/// Time in which a job ends, well or badly, whatever happens to it.
const BOUND: Duration = Duration::from_secs(240);

struct Scene {
    sandbox: Sandbox,
    cluster: LocalCluster,
    right: BTreeMap<String, String>,
}

/// How a job ended.
struct Ended {
    succeeded: bool,
    error: String,
}

impl Scene {
    /// Customers, what a clean run gives, and a cluster.
    fn new(options: ClusterOptions) -> Self {
        let sandbox = Sandbox::with_customers(ROWS);
        sandbox.succeed(&arguments("right", None));
        let right = content(&sandbox.path("right"));
        let cluster = sandbox.cluster(options);
        Self {
            sandbox,
            cluster,
            right,
        }
    }

    fn begin(&self) -> Child {
        let url = self.cluster.url();
        let mut command = self.sandbox.command(&arguments("out", Some(&url)));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn end(&self, mut job: Child) -> Ended {
        let begun = Instant::now();
        while job.try_wait().unwrap().is_none() {
            if begun.elapsed() > BOUND {
                job.kill().unwrap();
                panic!("the job did not end: {}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let output = job.wait_with_output().unwrap();
        Ended {
            succeeded: output.status.success(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The job succeeds with the right bytes, and leaves nothing else.
    fn ends_well(&self, job: Child) {
        let ended = self.end(job);
        assert!(ended.succeeded, "{}: {}", ended.error, self.logs());
        self.is_right();
    }

    fn is_right(&self) {
        let out = self.sandbox.path("out");
        let found = content(&out);
        for (name, digest) in self.right.iter().filter(|(name, _)| name.contains('/')) {
            assert_eq!(found.get(name), Some(digest), "{name}");
        }
        assert_eq!(found.len(), self.right.len());
        assert!(!out.join("_sanitizer").exists());
        for table in ["data", "provenance", "removed", "quarantine"] {
            let parts = std::fs::read_dir(out.join(table)).unwrap().count();
            let listed = found.keys().filter(|name| name.starts_with(table)).count();
            assert_eq!(parts, listed, "{table} holds what the manifest lists");
        }
    }

    /// The job fails in one line that tells why, and leaves nothing.
    fn ends_badly(&self, job: Child, why: &str) {
        let ended = self.end(job);
        assert!(!ended.succeeded);
        assert!(ended.error.contains(why), "{}", ended.error);
        assert_eq!(ended.error.lines().count(), 1, "{}", ended.error);
        assert!(!self.sandbox.path("out").exists(), "something is left");
    }

    /// Waits until the log of an executor tells this so often.
    fn executor_tells(&mut self, executor: usize, what: &str, times: usize) {
        let begun = Instant::now();
        while self.cluster.executor(executor).log().matches(what).count() < times {
            assert!(begun.elapsed() < BOUND, "{what}: {}", self.logs());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the pass that writes has begun a file.
    fn writing(&self) {
        let begun = Instant::now();
        while !has_unfinished(&self.sandbox.path("out")) {
            assert!(begun.elapsed() < BOUND, "{}", self.logs());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn logs(&self) -> String {
        let logs = self.cluster.executors().iter().map(|member| member.log());
        logs.collect::<Vec<_>>().join("\n---\n")
    }
}

fn arguments<'a>(output: &'a str, cluster: Option<&'a str>) -> Vec<&'a str> {
    let mut arguments = vec!["run", "job.yaml", "--output", output, "--job-id", "job-1"];
    arguments.extend(["--set", "output.rows_per_file=8192"]);
    arguments.extend(cluster.iter().flat_map(|url| ["--cluster", url]));
    arguments
}

fn has_unfinished(out: &Path) -> bool {
    let Ok(attempts) = std::fs::read_dir(out.join("_sanitizer")) else {
        return false;
    };
    attempts.filter_map(Result::ok).any(|attempt| {
        let files = std::fs::read_dir(attempt.path().join("unfinished"));
        files.is_ok_and(|mut files| files.next().is_some())
    })
}

/// An executor is killed in the middle of the pass that learns.
#[test]
fn killed_while_learning() {
    let mut scene = Scene::new(ClusterOptions::default());
    let job = scene.begin();
    scene.executor_tells(0, "Execute task", 1);
    scene.cluster.executor(0).kill().unwrap();
    scene.ends_well(job);
}

/// An executor is killed when unfetched results lie with it.
#[test]
fn killed_with_results() {
    let mut scene = Scene::new(ClusterOptions::default());
    let job = scene.begin();
    scene.executor_tells(0, "Finished task", 2);
    scene.cluster.executor(0).kill().unwrap();
    scene.ends_well(job);
}

/// An executor is killed in the middle of the pass that writes.
#[test]
fn killed_while_writing() {
    let mut scene = Scene::new(ClusterOptions::default());
    let job = scene.begin();
    scene.writing();
    scene.cluster.executor(1).kill().unwrap();
    scene.ends_well(job);
}

/// An executor stops without a word, is given up, and comes back when all is over.
#[test]
fn stopped_until_given_up() {
    let mut scene = Scene::new(ClusterOptions::default());
    let job = scene.begin();
    scene.executor_tells(0, "Execute task", 1);
    scene.cluster.executor(0).signal(Signal::STOP).unwrap();
    scene.ends_well(job);
    scene.cluster.executor(0).signal(Signal::CONT).unwrap();
    // What it was about changes nothing any more.
    std::thread::sleep(Duration::from_secs(2));
    scene.is_right();
}

/// A job that begins without any executor goes on when one comes, and takes in another.
#[test]
fn executors_that_join_late() {
    let mut scene = Scene::new(ClusterOptions {
        executors: 0,
        no_executors_grace_seconds: 60,
        ..ClusterOptions::default()
    });
    let job = scene.begin();
    std::thread::sleep(Duration::from_millis(1_500));
    scene.cluster.add_executor().unwrap();
    scene.executor_tells(0, "Execute task", 1);
    scene.cluster.add_executor().unwrap();
    scene.ends_well(job);
    scene.executor_tells(1, "Finished task", 1);
}

/// All executors are killed: the job fails with a reason.
#[test]
fn all_killed() {
    let mut scene = Scene::new(ClusterOptions::default());
    let job = scene.begin();
    scene.executor_tells(0, "Execute task", 1);
    for number in 0..2 {
        scene.cluster.executor(number).kill().unwrap();
    }
    scene.ends_badly(job, "executor");
}

/// The scheduler is killed: the job fails with a reason.
#[test]
fn scheduler_killed() {
    let mut scene = Scene::new(ClusterOptions::default());
    let job = scene.begin();
    scene.executor_tells(0, "Execute task", 1);
    scene.cluster.scheduler_mut().kill().unwrap();
    scene.ends_badly(job, "does not answer");
}

/// The driver is killed: nothing is published, and the next run leaves what a clean one leaves,
/// whatever the executors still do for the first.
#[test]
fn driver_killed() {
    let mut scene = Scene::new(ClusterOptions::default());
    for moment in ["learning", "writing"] {
        let mut job = scene.begin();
        if moment == "learning" {
            scene.executor_tells(0, "Execute task", 1);
        } else {
            scene.writing();
        }
        job.kill().unwrap();
        job.wait().unwrap();
        let out = scene.sandbox.path("out");
        assert!(!out.join("metadata.json").exists(), "{moment}");
        scene.ends_well(scene.begin());
        std::fs::remove_dir_all(out).unwrap();
    }
}

/// Ctrl-C ends the job on the cluster too, and removes what it wrote.
#[test]
fn interrupted() {
    let scene = Scene::new(ClusterOptions::default());
    let job = scene.begin();
    scene.writing();
    let pid = rustix::process::Pid::from_child(&job);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    scene.ends_badly(job, "cancelled");
    // The executors are free for the next one.
    scene.ends_well(scene.begin());
}

/// The disk of one executor is full: the job ends well on the other, or says what is wrong.
#[test]
fn full_disk() {
    let mut scene = Scene::new(ClusterOptions {
        executors: 1,
        ..ClusterOptions::default()
    });
    // Its log fits, and the log of keys; a part of the data does not.
    scene.cluster.add_executor_with_full_disk(300).unwrap();
    let ended = scene.end(scene.begin());
    if ended.succeeded {
        scene.is_right();
    } else {
        assert!(ended.error.contains("File too large"), "{}", ended.error);
        assert_eq!(ended.error.lines().count(), 1, "{}", ended.error);
        assert!(!scene.sandbox.path("out").exists(), "something is left");
    }
    let log = scene.cluster.executor(1).log();
    assert!(
        log.contains("File too large"),
        "it did not come to that: {log}"
    );
}

/// An executor that is terminated finishes its tasks first.
#[test]
fn terminated_in_peace() {
    let mut scene = Scene::new(ClusterOptions::default());
    let job = scene.begin();
    scene.executor_tells(0, "Execute task", 1);
    scene.cluster.executor(0).signal(Signal::TERM).unwrap();
    scene.ends_well(job);
    assert!(
        scene.cluster.executor(0).wait().unwrap(),
        "{}",
        scene.logs()
    );
}
