//! The service with everything around it going wrong: nothing is lost, nothing is published twice, and what is
//! published is what a run without faults gives.

use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use super::postgres::Database;
use super::rest_service::{
    Caller, PATIENCE, PEOPLE, RestService, Setup, has, tables_of, tables_of_run,
};
use super::sandbox::Sandbox;

pub const ROWS: &[&str] = &["--set", "output.rows_per_file=8192"];

/// Submits the sandbox's job; gives its identifier.
pub fn submit(sandbox: &Sandbox, service: &RestService) -> String {
    let printed = service.succeed(sandbox, &[&["submit", "job.yaml"], ROWS].concat());
    printed.trim().to_owned()
}

/// Waits until something is there.
pub fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What must hold of a job whatever happened to the service: it succeeded, was published once, with what a clean run
/// gives; and the audit log is whole.
pub fn is_as_it_should(sandbox: &Sandbox, caller: &Caller, job: &str) {
    let ended = caller.ended(job);
    let attempts = caller.get(&format!("/jobs/{job}/attempts"));
    assert_eq!(ended["status"], "success", "{ended:#}\n{attempts:#}");
    assert_eq!(tables_of(caller, job), tables_of_run(sandbox, job, ROWS));
    let versions = caller.get("/datasets/default/customers/versions?limit=1000");
    let versions = versions["versions"].as_array().unwrap();
    let of_job = versions.iter().filter(|version| version["job_id"] == job);
    assert_eq!(of_job.count(), 1);
    let published = caller.get(&format!("/audit?job_id={job}&action=dataset_published"));
    assert_eq!(published["records"].as_array().unwrap().len(), 1);
    let attempts = attempts["attempts"].as_array().unwrap();
    let published = attempts
        .iter()
        .filter(|attempt| attempt["outcome"] == "published");
    assert_eq!(published.count(), 1, "{attempts:#?}");
    let verified = caller.get("/audit/verify");
    assert_eq!(verified["ok"], true, "{verified:#}");
}

/// Nobody's place is taken by a job that has ended.
pub fn nobody_runs(caller: &Caller) {
    wait_for("an end", || caller.get("/usage")["tenant"]["running"] == 0);
}

/// SIGKILL of the service at six points of a job; the next process makes it whole.
fn killed_at_six_points(setup: &Setup) {
    let sandbox = Sandbox::with_customers(20_000);
    let store = sandbox.path("home/store/cleaned");
    let mut setup = setup.clone();
    setup
        .arguments
        .extend(["--lease", "2s", "--attempts", "10"].map(str::to_owned));
    let sweep = ("SANITIZER_API_SWEEP_AFTER".to_owned(), "3s".to_owned());
    setup.environment.push(sweep);
    for point in 0..6 {
        let service = RestService::start(&sandbox, &setup);
        setup.key = Some(service.key.clone());
        let _ = std::fs::remove_dir_all(&store);
        let caller = service.caller();
        let job = submit(&sandbox, &service);
        match point {
            // It was accepted.
            0 => {}
            // An attempt has begun.
            1 => wait_for("an attempt", || has(&store, "_sanitizer")),
            // It learns.
            2 => {
                caller.until(&job, |job| {
                    job["progress"]["pass1_progress"].as_f64() > Some(0.1)
                        || job["status"] != "pass1_running" && job["status"] != "queued"
                });
            }
            // It writes.
            3 => wait_for("a part", || has(&store, "part-00000.parquet")),
            // The output is there, and nobody has heard of it.
            4 => wait_for("a manifest", || has(&store, "metadata.json")),
            // It was published.
            _ => {
                caller.until(&job, |job| job["status"] == "success");
            }
        }
        service.kill();
        let service = RestService::start(&sandbox, &setup);
        is_as_it_should(&sandbox, &service.caller(), &job);
        nobody_runs(&service.caller());
        if point == 3 {
            // What was learned before the parts were written is not learned again.
            let path = format!("/jobs/{job}/files/audit.json");
            let audit = service.caller().get(&path).to_string();
            assert!(audit.contains("learned_recalled"), "{audit}");
            assert!(!audit.contains("pass_finished"), "{audit}");
        }
        wait_for("an end of what was kept", || !has(&store, "checkpoint"));
        assert!(service.stop(), "point {point}");
    }
}

#[test]
fn killed_at_six_points_on_sqlite() {
    killed_at_six_points(&Setup::default());
}

#[test]
fn killed_at_six_points_on_postgres() {
    let database = Database::new();
    killed_at_six_points(&Setup::with(&["--database", &database.url()]));
}

/// A service that is asked to end gives its jobs back at once, without a failure to their name.
#[test]
fn asked_to_end_in_the_middle() {
    let sandbox = Sandbox::with_customers(60_000);
    let mut setup = Setup::default();
    let service = RestService::start(&sandbox, &setup);
    setup.key = Some(service.key.clone());
    let job = submit(&sandbox, &service);
    service
        .caller()
        .until(&job, |job| job["status"] != "queued");
    assert!(service.stop());
    let begun = Instant::now();
    let service = RestService::start(&sandbox, &setup);
    let caller = service.caller();
    caller.until(&job, |job| job["status"] != "queued");
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "nobody waits for a lease to run out"
    );
    is_as_it_should(&sandbox, &caller, &job);
    let attempts = caller.get(&format!("/jobs/{job}/attempts"));
    let outcomes: Vec<&Value> = attempts["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| &attempt["outcome"])
        .collect();
    assert!(
        outcomes == ["released", "published"] || outcomes == ["published"],
        "{outcomes:?}"
    );
}

/// A process that sleeps past its lease wakes up to find that its job is somebody else's: what it does from then on
/// changes nothing.
#[test]
fn frozen_past_its_lease() {
    let sandbox = Sandbox::with_customers(40_000);
    let database = Database::new();
    let store = sandbox.path("store");
    let setup = Setup::with(&[
        "--database",
        &database.url(),
        "--store",
        store.to_str().unwrap(),
        "--lease",
        "2s",
    ]);
    let sleeper = RestService::start(&sandbox, &setup);
    let job = submit(&sandbox, &sleeper);
    sleeper
        .caller()
        .until(&job, |job| job["status"] != "queued");
    kill_process(sleeper.process(), Signal::STOP).unwrap();
    let other = Setup {
        home: "other".to_owned(),
        key: Some(sleeper.key.clone()),
        ..setup
    };
    let other = RestService::start(&sandbox, &other);
    let caller = other.caller();
    let begun = Instant::now();
    caller.until(&job, |job| job["attempt"].as_i64() > Some(1));
    assert!(begun.elapsed() < Duration::from_secs(40));
    // It wakes up while the other one works.
    kill_process(sleeper.process(), Signal::CONT).unwrap();
    is_as_it_should(&sandbox, &caller, &job);
    let attempts = caller.get(&format!("/jobs/{job}/attempts"));
    assert_eq!(attempts["attempts"][0]["outcome"], "lost", "{attempts:#}");
    assert!(sleeper.stop());
    is_as_it_should(&sandbox, &caller, &job);
    nobody_runs(&caller);
}

/// Two hundred jobs are cancelled at random moments: each is cancelled and has published nothing, or it was quicker
/// and has published once.
fn cancelled_at_random_moments(setup: &Setup) {
    let sandbox = Sandbox::new();
    let mut setup = setup.clone();
    setup.arguments.extend(["--jobs", "4"].map(str::to_owned));
    let sweep = ("SANITIZER_API_SWEEP_AFTER".to_owned(), "1s".to_owned());
    setup.environment.push(sweep);
    let service = RestService::start(&sandbox, &setup);
    let caller = service.caller();
    let limits = json!({"calls_per_second": 10_000, "max_running": 4});
    let changed = caller.call(Method::PATCH, "/tenants/default", |request| {
        request.json(&limits)
    });
    assert_eq!(changed.status, 200, "{}", changed.text());
    // How long one takes here.
    let begun = Instant::now();
    let first = caller.ingest("people.csv", PEOPLE, &[]);
    assert_eq!(caller.ended(&first)["status"], "success");
    let usual = begun.elapsed();
    let senders: Vec<_> = (0..4_u32)
        .map(|sender| {
            let (url, key) = (service.url.clone(), service.key.clone());
            std::thread::spawn(move || {
                let caller = Caller::new(&url, &key);
                let moments = (0..50_u32).map(|number| {
                    let job = caller.ingest("people.csv", PEOPLE, &[]);
                    // Spread evenly over three times as long, in an order that looks random.
                    let share = f64::from((number * 4 + sender) * 73 % 200) / 200.0;
                    std::thread::sleep(usual.mul_f64(3.0 * share));
                    let path = format!("/jobs/{job}");
                    let answer = caller.call(Method::DELETE, &path, |request| request);
                    let status = answer.status.as_u16();
                    assert!(matches!(status, 202 | 409), "{status}: {}", answer.text());
                    (job, status)
                });
                moments.collect::<Vec<_>>()
            })
        })
        .collect();
    let asked: Vec<(String, u16)> = senders
        .into_iter()
        .flat_map(|sender| sender.join().unwrap())
        .collect();
    assert_eq!(asked.len(), 200);
    let mut published = vec![first.clone()];
    for (job, answer) in &asked {
        let ended = caller.ended(job);
        let expected = if *answer == 202 {
            "cancelled"
        } else {
            "success"
        };
        assert_eq!(ended["status"], expected, "{ended:#}");
        if *answer == 409 {
            published.push(job.clone());
        }
    }
    let cancelled = 201 - published.len();
    println!("{cancelled} of 200 were cancelled");
    assert!(cancelled > 10 && published.len() > 10, "{cancelled} of 200");
    published.sort();
    let versions = caller.get("/datasets/default/people/versions?limit=1000");
    let versions = versions["versions"].as_array().unwrap().iter();
    let mut of: Vec<&str> = versions
        .map(|version| version["job_id"].as_str().unwrap())
        .collect();
    of.sort_unstable();
    assert_eq!(of, published, "each was published once, and nothing else");
    let data = |job: &str| {
        let tables = tables_of(&caller, job).into_iter();
        tables
            .filter(|(path, _)| path.starts_with("data/"))
            .collect::<Vec<_>>()
    };
    let clean = data(&first);
    for job in &published {
        assert_eq!(data(job), clean);
    }
    // Nothing is left of those that were cancelled.
    let store = sandbox.path("home/store/cleaned");
    wait_for("an end of what was cancelled", || {
        count(&store, "_sanitizer") == 0 && count(&store, "metadata.json") <= published.len()
    });
    assert_eq!(count(&store, "metadata.json"), published.len());
    assert_eq!(caller.get("/audit/verify")["ok"], true);
    nobody_runs(&caller);
    assert!(service.stop());
}

#[test]
fn cancelled_at_random_moments_on_sqlite() {
    cancelled_at_random_moments(&Setup::default());
}

#[test]
fn cancelled_at_random_moments_on_postgres() {
    let database = Database::new();
    cancelled_at_random_moments(&Setup::with(&["--database", &database.url()]));
}

/// Fifty requests with one key at the same moment, each with the whole file, make one job and keep one file.
fn one_request_fifty_times(setup: &Setup) {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, setup);
    let senders: Vec<_> = (0..50)
        .map(|_| {
            let (url, key) = (service.url.clone(), service.key.clone());
            std::thread::spawn(move || {
                let caller = Caller::new(&url, &key);
                let file = reqwest::multipart::Part::text(PEOPLE).file_name("people.csv");
                let form = reqwest::multipart::Form::new().part("file", file);
                let path = "/datasets/default/ingest";
                let answer = caller.call(Method::POST, path, |request| {
                    request.header("idempotency-key", "fifty").multipart(form)
                });
                assert_eq!(answer.status, 202, "{}", answer.text());
                answer.json()["job_id"].as_str().unwrap().to_owned()
            })
        })
        .collect();
    let senders = senders.into_iter();
    let mut ids: Vec<String> = senders.map(|sender| sender.join().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let caller = service.caller();
    assert_eq!(caller.ended(&ids[0])["status"], "success");
    let versions = caller.get("/datasets/default/people/versions");
    assert_eq!(versions["versions"].as_array().unwrap().len(), 1);
    let tenant = caller.get("/me")["tenant_id"].as_str().unwrap().to_owned();
    let uploads = sandbox.path("home/store/uploads").join(tenant);
    let kept = std::fs::read_dir(uploads).unwrap().count();
    assert_eq!(kept, 1, "the file of the job that was made");
    assert_eq!(caller.get("/audit/verify")["ok"], true);
}

#[test]
fn one_request_fifty_times_on_sqlite() {
    one_request_fifty_times(&Setup::default());
}

#[test]
fn one_request_fifty_times_on_postgres() {
    let database = Database::new();
    one_request_fifty_times(&Setup::with(&["--database", &database.url()]));
}

/// How many files and folders of a name are somewhere in a folder.
fn count(folder: &std::path::Path, name: &str) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let below = match entry.path().is_dir() {
                true => count(&entry.path(), name),
                false => 0,
            };
            below + usize::from(entry.file_name() == name)
        })
        .sum()
}

/// A job that kills whoever works on it fails in the end; those that run beside it, and those that wait, succeed.
fn a_poison_job(setup: &Setup) {
    let sandbox = Sandbox::with_customers(30_000);
    let mut setup = setup.clone();
    // Long enough for a busy machine: a lease that runs out by itself counts as a worker that was lost.
    let more = ["--lease", "5s", "--attempts", "3", "--jobs", "2"];
    setup.arguments.extend(more.map(str::to_owned));
    let mut service = RestService::start(&sandbox, &setup);
    setup.key = Some(service.key.clone());
    let poison = submit(&sandbox, &service);
    let others: Vec<String> = (0..5).map(|_| submit(&sandbox, &service)).collect();
    for attempt in 1..=3 {
        // It is really at work, and does not wait for others to end.
        service.caller().until(&poison, |job| {
            assert_eq!(job["status"].as_str().unwrap().find("success"), None);
            job["attempt"] == attempt && job["progress"]["pass1_progress"].as_f64() > Some(0.0)
        });
        if attempt == 3 {
            // Nothing else is begun, not even to wait: it would be lost too.
            let begun = others.iter().filter(|job| {
                let path = format!("/jobs/{job}");
                let status = service.caller().get(&path)["status"].clone();
                status == "pass1_running" || status == "pass2_running"
            });
            assert_eq!(begun.count(), 0);
        }
        service.kill();
        service = RestService::start(&sandbox, &setup);
    }
    let caller = service.caller();
    let failed = caller.ended(&poison);
    assert_eq!(
        (
            &failed["status"],
            &failed["error"]["kind"],
            &failed["attempt"]
        ),
        (&json!("failed"), &json!("unavailable"), &json!(3)),
        "{failed:#}"
    );
    for job in &others {
        is_as_it_should(&sandbox, &caller, job);
    }
    nobody_runs(&caller);
    assert!(service.stop());
}

#[test]
fn a_poison_job_on_sqlite() {
    a_poison_job(&Setup::default());
}

#[test]
fn a_poison_job_on_postgres() {
    let database = Database::new();
    a_poison_job(&Setup::with(&["--database", &database.url()]));
}

/// A clock that is two hours off changes neither leases nor keys: these go by the clock of the database.
#[test]
fn clocks_two_hours_off() {
    let sandbox = Sandbox::with_customers(20_000);
    let database = Database::new();
    let store = sandbox.path("store");
    let setup = Setup::with(&[
        "--database",
        &database.url(),
        "--store",
        store.to_str().unwrap(),
        "--lease",
        "60s",
    ]);
    let first = RestService::start(&sandbox, &setup);
    let library = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    ]
    .into_iter()
    .find(|path| std::path::Path::new(path).exists())
    .expect("libfaketime is not installed; see test.sh");
    let other = |home: &str, offset: &str| {
        let environment = [
            ("LD_PRELOAD", library),
            ("FAKETIME", offset),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let setup = Setup {
            home: home.to_owned(),
            key: Some(first.key.clone()),
            environment: environment.to_vec(),
            ..setup.clone()
        };
        RestService::start(&sandbox, &setup)
    };
    let (ahead, behind) = (other("ahead", "+2h"), other("behind", "-2h"));
    let soon = (chrono::Utc::now() + chrono::TimeDelta::minutes(10)).to_rfc3339();
    let key = first
        .caller()
        .post(
            "/keys",
            &json!({"name": "soon", "role": "admin", "expires_at": soon}),
        )
        .json();
    let key = key["secret"].as_str().unwrap();
    let mut jobs = Vec::new();
    for service in [&first, &ahead, &behind] {
        let caller = Caller::new(&service.url, key);
        assert_eq!(
            caller.call(Method::GET, "/me", |request| request).status,
            200
        );
        jobs.push(submit(&sandbox, service));
    }
    let caller = first.caller();
    for job in &jobs {
        is_as_it_should(&sandbox, &caller, job);
        let attempts = caller.get(&format!("/jobs/{job}/attempts"));
        assert_eq!(
            attempts["attempts"].as_array().unwrap().len(),
            1,
            "no lease ran out: {attempts:#}"
        );
    }
}
