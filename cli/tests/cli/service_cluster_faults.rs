//! The service on a cluster whose members die.

use std::io::BufReader;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::postgres::Database;
use super::rest_service::{Caller, address};
use super::sandbox::Sandbox;
use super::service_faults::{ROWS, is_as_it_should};

/// A member of a cluster, until it is dropped.
struct Member {
    child: Child,
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Scheduler {
    member: Member,
    ballista: String,
    url: String,
    key: Option<String>,
}

fn scheduler(sandbox: &Sandbox, database: &str, bind: &str, begins: bool) -> Scheduler {
    let store = sandbox.path("store");
    let mut child = sandbox
        .command(&["scheduler", "--bind", bind, "--external-host", "127.0.0.1"])
        .args([
            "--http",
            "127.0.0.1:0",
            "--secret",
            "env:TEST_SALT",
            "--lease",
            "4s",
        ])
        .args(["--executor-timeout-seconds", "4", "--attempts", "6"])
        .args(["--database", database, "--store", store.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let ballista = address(&mut reader, "scheduler listens on ");
    let url = address(&mut reader, "REST API listens on ");
    let key = begins.then(|| address(&mut reader, "first API key, shown this once: "));
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    Scheduler {
        member: Member { child },
        ballista,
        url,
        key,
    }
}

fn executor(sandbox: &Sandbox, scheduler: &str) -> Member {
    let mut child = sandbox
        .command(&["executor", "--scheduler", &format!("df://{scheduler}")])
        .args([
            "--bind-host",
            "127.0.0.1",
            "--external-host",
            "127.0.0.1",
            "--port",
            "0",
            "--task-port",
            "0",
        ])
        .args(["--heartbeat-seconds", "1", "--slots", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    address(&mut reader, "executor listens on ");
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    Member { child }
}

/// On a cluster, executors die and the scheduler with the API dies: the job is done all the same.
#[test]
fn a_cluster_whose_members_die() {
    let sandbox = Sandbox::with_customers(40_000);
    let database = Database::new();
    let first = scheduler(&sandbox, &database.url(), "127.0.0.1:0", true);
    let key = first.key.clone().unwrap();
    let mut executors = vec![
        executor(&sandbox, &first.ballista),
        executor(&sandbox, &first.ballista),
    ];
    let command = |url: &str, arguments: &[&str]| {
        let output = sandbox
            .command(arguments)
            .env("SANITIZER_API_URL", url)
            .env("SANITIZER_API_KEY", &key)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let send = [&["submit", "job.yaml"], ROWS].concat();
    // An executor dies.
    let job = command(&first.url, &send);
    let caller = Caller::new(&first.url, &key);
    caller.until(&job, |job| job["status"] != "queued");
    drop(executors.pop());
    executors.push(executor(&sandbox, &first.ballista));
    is_as_it_should(&sandbox, &caller, &job);
    // The scheduler dies, and comes back at the same address.
    let job = command(&first.url, &send);
    caller.until(&job, |job| job["status"] != "queued");
    let bind = first.ballista.clone();
    drop(first.member);
    let begun = Instant::now();
    let second = scheduler(&sandbox, &database.url(), &bind, false);
    let caller = Caller::new(&second.url, &key);
    caller.until(&job, |job| {
        job["status"] != "queued" && job["attempt"].as_i64() >= Some(1)
    });
    assert!(begun.elapsed() < Duration::from_secs(60));
    is_as_it_should(&sandbox, &caller, &job);
}
