//! The service while its database crashes, or connections to it hang.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::postgres::{Database, PostgresServer};
use super::rest_service::{Caller, PEOPLE, RestService, Setup};
use super::sandbox::Sandbox;
use super::service_faults::{is_as_it_should, nobody_runs, submit, wait_for};

/// Postgres ends as by a power cut, again and again, while jobs come and run: each job that was accepted succeeds.
#[test]
fn postgres_crashes_under_load() {
    let sandbox = Sandbox::with_customers(3_000);
    let server = PostgresServer::start();
    let database = Database::of(&server.url());
    let setup = Setup::with(&[
        "--database",
        &database.url(),
        "--lease",
        "4s",
        "--attempts",
        "20",
    ]);
    let service = RestService::start(&sandbox, &setup);
    let caller = service.caller();
    let limits = json!({"calls_per_second": 10_000, "max_queued": 100_000});
    let changed = caller.call(Method::PATCH, "/tenants/default", |request| {
        request.json(&limits)
    });
    assert_eq!(changed.status, 200, "{}", changed.text());
    let stop = Arc::new(AtomicBool::new(false));
    let sender = {
        let (url, key) = (service.url.clone(), service.key.clone());
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            let caller = Caller::new(&url, &key);
            let mut accepted = Vec::new();
            let (mut number, mut refused) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let key = format!("job-{number}");
                // Whoever is refused asks again, with the same key.
                loop {
                    let answer = caller.call(Method::POST, "/datasets/default/ingest", |request| {
                        let file = reqwest::multipart::Part::text(PEOPLE).file_name("people.csv");
                        request
                            .header("idempotency-key", &key)
                            .multipart(reqwest::multipart::Form::new().part("file", file))
                    });
                    match answer.status.as_u16() {
                        202 => {
                            accepted.push(answer.json()["job_id"].as_str().unwrap().to_owned());
                            break;
                        }
                        503 => refused += 1,
                        other => panic!("{other}: {}", answer.text()),
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            (accepted, refused)
        })
    };
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(3));
        server.crash();
        std::thread::sleep(Duration::from_secs(1));
        server.go_on();
    }
    std::thread::sleep(Duration::from_secs(2));
    stop.store(true, Ordering::Relaxed);
    let (accepted, refused) = sender.join().unwrap();
    assert!(
        accepted.len() > 5,
        "{} accepted, {refused} refused",
        accepted.len()
    );
    for job in &accepted {
        let ended = caller.ended(job);
        assert_eq!(ended["status"], "success", "{ended:#}");
    }
    let mut different = accepted.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), accepted.len());
    let versions = caller.get("/datasets/default/people/versions?limit=1000");
    let mut published: Vec<&str> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["job_id"].as_str().unwrap())
        .collect();
    published.sort_unstable();
    assert_eq!(
        published, different,
        "each was published once, and nothing else"
    );
    assert_eq!(caller.get("/audit/verify")["ok"], true);
    nobody_runs(&caller);
    assert!(service.stop());
}

/// Between the service and Postgres: connections that can be made to hang, as through a router that forgot them.
struct Wire {
    port: u16,
    hangs: Arc<AtomicBool>,
}

impl Wire {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            hangs: Arc::default(),
        };
        let hangs = Arc::clone(&wire.hangs);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                let dead = Arc::new(AtomicBool::new(false));
                for (mut from, mut to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far, near),
                ] {
                    let hangs = Arc::clone(&hangs);
                    let dead = Arc::clone(&dead);
                    std::thread::spawn(move || {
                        let mut buffer = [0; 16 << 10];
                        while let Ok(count) = from.read(&mut buffer) {
                            // What hung once stays dead, though nobody says so.
                            while hangs.load(Ordering::Relaxed) || dead.load(Ordering::Relaxed) {
                                dead.store(true, Ordering::Relaxed);
                                std::thread::sleep(Duration::from_millis(50));
                            }
                            if count == 0 || to.write_all(&buffer[..count]).is_err() {
                                return;
                            }
                        }
                    });
                }
            }
        });
        wire
    }
}

/// Connections to Postgres that are half open cost time, and nothing else.
#[test]
fn half_open_connections() {
    let sandbox = Sandbox::with_customers(20_000);
    let server = PostgresServer::start();
    let database = Database::of(&server.url());
    let wire = Wire::to(server.port());
    let url = database
        .url()
        .replace(&format!(":{}/", server.port()), &format!(":{}/", wire.port));
    let setup = Setup::with(&["--database", &url, "--lease", "4s", "--attempts", "10"]);
    let service = RestService::start(&sandbox, &setup);
    let caller = service.caller();
    let job = submit(&sandbox, &service);
    caller.until(&job, |job| job["status"] != "queued");
    wire.hangs.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    let answer = caller.call(Method::GET, &format!("/jobs/{job}"), |request| request);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        caller
            .call(Method::GET, "/healthz", |request| request)
            .status,
        200
    );
    assert_eq!(
        caller
            .call(Method::GET, "/readyz", |request| request)
            .status,
        503
    );
    wire.hangs.store(false, Ordering::Relaxed);
    wait_for("the service", || {
        caller
            .call(Method::GET, "/readyz", |request| request)
            .status
            == 200
    });
    is_as_it_should(&sandbox, &caller, &job);
}
