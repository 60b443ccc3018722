//! Limits of what a tenant may send: beyond them a request is refused before it costs anything, and nobody else waits.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::rest_service::{Answer, Caller, PATIENCE, PEOPLE, RestService, Setup};
use super::sandbox::Sandbox;

/// The most memory that the service has had, in bytes.
fn peak(service: &RestService) -> u64 {
    let pid = service.process().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse()
        .unwrap();
    kib << 10
}

/// A tenant, and a caller with a key of it.
fn tenant(operator: &Caller, name: &str, limits: &Value) -> Caller {
    let made = operator.post("/tenants", &json!({"name": name, "limits": limits}));
    assert_eq!(made.status, 201, "{}", made.text());
    let key = json!({"name": name, "role": "admin", "tenant": name});
    let key = operator.post("/keys", &key);
    assert_eq!(key.status, 201, "{}", key.text());
    operator.with_key(key.json()["secret"].as_str().unwrap())
}

fn with_spec(caller: &Caller, tenant: &str, spec: &str) -> Answer {
    let file = reqwest::multipart::Part::text(PEOPLE).file_name("a.csv");
    let form = reqwest::multipart::Form::new()
        .part("file", file)
        .text("spec", spec.to_owned());
    caller.call(
        Method::POST,
        &format!("/datasets/{tenant}/ingest"),
        |request| request.multipart(form),
    )
}

/// How long calls of somebody take, one after the other, while `busy` runs; the longest.
fn longest_call(caller: &Caller, time: Duration) -> Duration {
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    while begun.elapsed() < time {
        let asked = Instant::now();
        caller.get("/jobs?limit=1");
        longest = longest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    longest
}

/// Specs that repeat a long text, or nest without end, are refused at once and cost no memory; others' calls are as fast
/// as ever.
#[test]
fn h1_h2_hostile_specs() {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::default());
    let caller = service.caller();
    let other = tenant(&caller, "other", &json!({}));
    let before = peak(&service);
    let repeated = |text: usize, aliases: usize| {
        format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(text),
            "*a,".repeat(aliases)
        )
    };
    std::thread::scope(|scope| {
        let specs = [
            repeated(200_000, 20_000),
            repeated(30_000, 11_000),
            format!("x: {}", "[".repeat(20_000)),
            format!("x: {}", "{a: ".repeat(14_000)),
            format!("{}x", "- ".repeat(30_000)),
        ];
        for specs in [specs.clone(), specs.clone(), specs] {
            let caller = service.caller();
            scope.spawn(move || {
                for spec in specs {
                    let answer = with_spec(&caller, "default", &spec);
                    assert_eq!(answer.status, 422, "{}", answer.text());
                    assert_eq!(answer.json()["field"], "spec", "{}", answer.text());
                }
            });
        }
        let longest = longest_call(&other, Duration::from_secs(3));
        assert!(longest < Duration::from_secs(2), "{longest:?}");
    });
    let json = format!("{}1", "{\"a\":".repeat(150_000));
    for (path, method) in [
        ("/rules/deep", Method::PUT),
        ("/keys", Method::POST),
        ("/datasets/default/ingest", Method::POST),
    ] {
        let answer = caller.call(method, path, |request| {
            request
                .header("content-type", "application/json")
                .body(json.clone())
        });
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert!(answer.text().contains("64 levels"), "{}", answer.text());
    }
    let long = json!({"name": "x", "source": {"location": "x".repeat(1 << 20)}});
    assert_eq!(caller.post("/datasets/default/ingest", &long).status, 413);
    let rules: Vec<String> = (0..100).map(|number| format!("r{number}")).collect();
    let path = format!("/datasets/default/ingest?rules={}", rules.join(","));
    let answer = caller.post(&path, &json!({"name": "x", "source": {"location": "x"}}));
    assert_eq!(answer.status, 422, "{}", answer.text());
    let uploads: Vec<String> = (0..1001)
        .map(|_| format!("upload:{}", uuid::Uuid::nil()))
        .collect();
    let answer = caller.post(
        "/datasets/default/ingest",
        &json!({"name": "x", "source": {"location": uploads}}),
    );
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("1000 uploads"), "{}", answer.text());
    let grown = (peak(&service) - before) >> 20;
    assert!(grown < 300, "{grown} MiB");
    // What is well within the limits goes on as before.
    let spec = "steps:\n  - &s {type: dedupe, columns: [name]}\n";
    assert_eq!(with_spec(&caller, "default", spec).status, 202);
}

/// Regular expressions and conditions of rules are bounded in what they compile to.
#[test]
fn h2_rules_are_bounded() {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::default());
    let caller = service.caller();
    let column = |rule: Value| {
        let columns = json!([{"name": "name", "business_rules": [rule]}]);
        let spec = json!({"dataset": {"columns": columns}, "steps": [{"type": "rules"}]});
        let answer = with_spec(&caller, "default", &spec.to_string());
        match answer.status.as_u16() {
            202 => {
                let job = answer.json()["job_id"].as_str().unwrap().to_owned();
                caller.ended(&job)["error"].to_string()
            }
            _ => answer.text(),
        }
    };
    for (rule, problem) in [
        (json!({"regex": "(\\w{200}){200}"}), "once it is compiled"),
        (
            json!({"regex": "a".repeat(5000)}),
            "may have at most 4096 bytes",
        ),
        (
            json!({"expression": format!("1{}", " + 1".repeat(2000))}),
            "may have at most 4096 bytes",
        ),
    ] {
        let answer = column(rule);
        assert!(answer.contains(problem), "{answer}");
    }
    // As deep as a condition can be: no worker falls.
    let deep = column(json!({"expression": format!("1{} > 0", "+1".repeat(2040))}));
    assert!(!deep.contains("lost"), "{deep}");
    let rules: Vec<Value> = (0..600)
        .map(|number| json!({"regex": format!("a{number}")}))
        .collect();
    let spec = json!({"dataset": {"columns": [{"name": "name", "business_rules": rules}]}});
    let answer = with_spec(&caller, "default", &spec.to_string());
    assert_eq!(answer.status, 422, "{}", answer.text());
}

/// Hundreds of half-sent parts of one key hold nothing that another tenant needs; they are sent away for their rate.
#[test]
fn h3_half_sent_parts() {
    let sandbox = Sandbox::new();
    let setup = Setup::with(&["--min-body-rate", "1KiB"]);
    let service = RestService::start(&sandbox, &setup);
    let caller = service.caller();
    let other = tenant(&caller, "other", &json!({}));
    let begun = caller.post("/uploads", &json!({"name": "a.csv"})).json();
    let id = begun["upload_id"].as_str().unwrap();
    let authority = service.url.strip_prefix("http://").unwrap();
    let mut held: Vec<TcpStream> = Vec::new();
    for number in 1..=530 {
        let mut stream = TcpStream::connect(authority).unwrap();
        let head = format!(
            "PUT /api/v1/uploads/{id}/parts/{number} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Length: 1000000\r\n\r\na,b\n",
            service.key
        );
        stream.write_all(head.as_bytes()).unwrap();
        held.push(stream);
    }
    let longest = longest_call(&other, Duration::from_secs(4));
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    // Another tenant's files are stored and cleaned meanwhile.
    let file = reqwest::multipart::Part::text(PEOPLE).file_name("people.csv");
    let form = reqwest::multipart::Form::new().part("file", file);
    let answer = other.call(Method::POST, "/datasets/other/ingest", |request| {
        request.multipart(form)
    });
    assert_eq!(answer.status, 202, "{}", answer.text());
    let job = answer.json()["job_id"].as_str().unwrap().to_owned();
    assert_eq!(other.ended(&job)["status"], "success");
    // A byte a second keeps nobody in.
    let begun = Instant::now();
    let mut answer = [0; 64];
    held[0]
        .set_read_timeout(Some(Duration::from_millis(900)))
        .unwrap();
    let answered = loop {
        use std::io::Read;
        let _ = held[0].write_all(b"x");
        match held[0].read(&mut answer) {
            Ok(count) if count > 0 => break String::from_utf8_lossy(&answer[..count]).into_owned(),
            Ok(_) => break String::new(),
            Err(_) => assert!(begun.elapsed() < PATIENCE, "it is still let in"),
        }
    };
    assert!(
        answered.is_empty() || answered.contains(" 408"),
        "{answered}"
    );
    drop(held);
    // The key has its place again.
    let part = caller.call(Method::PUT, &format!("/uploads/{id}/parts/1"), |request| {
        request.body("a,b\n1,2\n")
    });
    assert_eq!(part.status, 200, "{}", part.text());
}

/// So many connections in all, and of one address; one that ends makes room.
#[test]
fn h3_connections_are_counted() {
    let sandbox = Sandbox::new();
    let setup = Setup::with(&["--max-connections-per-address", "20"]);
    let service = RestService::start(&sandbox, &setup);
    let authority = service.url.strip_prefix("http://").unwrap();
    let held: Vec<TcpStream> = (0..20)
        .map(|_| TcpStream::connect(authority).unwrap())
        .collect();
    let caller = service.caller();
    let begun = Instant::now();
    while caller
        .try_call(Method::GET, "/me", |request| request)
        .is_ok()
    {
        assert!(begun.elapsed() < PATIENCE, "everybody is let in");
    }
    drop(held);
    while caller
        .try_call(Method::GET, "/me", |request| request)
        .is_err()
    {
        assert!(begun.elapsed() < PATIENCE, "nobody is let in again");
    }
}

/// Jobs that are submitted at once use no row more than the month's quota, and no byte more than the storage.
#[test]
fn m2_quotas_hold() {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::with(&["--jobs", "4"]));
    let operator = service.caller();
    let limits = json!({"rows_per_month": 1000, "max_running": 4, "calls_per_second": 1000});
    let caller = tenant(&operator, "rows", &limits);
    let table = format!(
        "a,b\n{}",
        (0..255).map(|row| format!("{row},x\n")).collect::<String>()
    );
    let send = |number: usize| {
        let file =
            reqwest::multipart::Part::text(table.clone()).file_name(format!("t{number}.csv"));
        let form = reqwest::multipart::Form::new().part("file", file);
        caller.call(Method::POST, "/datasets/rows/ingest", |request| {
            request.multipart(form)
        })
    };
    let answers: Vec<Answer> = (0..30).map(send).collect();
    let jobs: Vec<String> = answers
        .iter()
        .filter(|answer| answer.status == 202)
        .map(|answer| answer.json()["job_id"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status.as_u16(), 202 | 429))
    );
    let ended: Vec<Value> = jobs.iter().map(|job| caller.ended(job)).collect();
    let (good, bad): (Vec<&Value>, Vec<&Value>) =
        ended.iter().partition(|job| job["status"] == "success");
    assert_eq!(good.len(), 3, "{ended:#?}");
    for job in bad {
        let message = job["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("the quota of 1000 rows for this month is spent"),
            "{message}"
        );
        assert_eq!(job["attempt"], 1, "another try is no use");
    }
    let usage = caller.get("/usage");
    assert_eq!(usage["months"][0]["rows"], 765, "{usage:#}");

    let small = tenant(&operator, "bytes", &json!({"storage_bytes": 3000}));
    let begun = small.post("/uploads", &json!({"name": "a.csv"})).json();
    let part = format!("/uploads/{}/parts/1", begun["upload_id"].as_str().unwrap());
    let put = |bytes: usize| {
        small.call(Method::PUT, &part, |request| {
            request.body("x".repeat(bytes))
        })
    };
    assert_eq!(put(3001).status, 413);
    assert_eq!(put(2900).status, 200);
    let file = reqwest::multipart::Part::text("x".repeat(200)).file_name("b.csv");
    let form = reqwest::multipart::Form::new().part("file", file);
    let answer = small.call(Method::POST, "/datasets/bytes/ingest", |request| {
        request.multipart(form)
    });
    assert_eq!(answer.status, 413, "{}", answer.text());
}

/// A small file that unfolds to one cell of 100 MB costs the service little; a row with a long cell is set aside.
#[test]
fn m3_small_files_cost_little() {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::default());
    let caller = service.caller();
    let gzipped = |head: &str, bytes: usize, tail: &str| {
        let script = "import sys,gzip; h,n,t,p = sys.argv[1:]; f = gzip.open(p,'wb'); f.write(h.encode()); \
                      [f.write(b'x' * 1000000) for _ in range(int(n) // 1000000)]; f.write(t.encode()); f.close()";
        let path = sandbox.path("bomb.csv.gz");
        let run = std::process::Command::new("python3")
            .args(["-c", script, head, &bytes.to_string(), tail])
            .arg(&path)
            .status()
            .unwrap();
        assert!(run.success());
        let file =
            reqwest::multipart::Part::bytes(std::fs::read(&path).unwrap()).file_name("bomb.csv.gz");
        let answer = caller.call(Method::POST, "/datasets/default/ingest", |request| {
            request.multipart(reqwest::multipart::Form::new().part("file", file))
        });
        assert_eq!(answer.status, 202, "{}", answer.text());
        caller.ended(answer.json()["job_id"].as_str().unwrap())
    };
    let before = peak(&service);
    let ended = gzipped("a,b\n1,", 100_000_000, "\n");
    assert_eq!(ended["status"], "failed", "{ended:#}");
    assert_eq!(ended["error"]["kind"], "refused", "{ended:#}");
    let grown = (peak(&service) - before) >> 20;
    assert!(grown < 512, "{grown} MiB");
    let ended = gzipped("a,b\n1,", 2_000_000, "\n2,y\n3,z\n");
    assert_eq!(ended["status"], "success", "{ended:#}");
    assert_eq!(ended["metrics"]["rows_quarantined"], 1, "{ended:#}");
    let job = ended["job_id"].as_str().unwrap();
    let quarantined = caller.get(&format!("/jobs/{job}/quarantine"));
    let reason = quarantined["rows"][0].to_string();
    assert!(reason.contains("a cell of 2000000 bytes"), "{reason}");
}
