//! `sanitizer serve` and the commands that talk to its REST API, as people use them.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use super::rest_service::{PEOPLE, RestService, Setup, TENANT_SALT, tables_of, tables_of_run};
use super::sandbox::Sandbox;

/// From a file to clean rows with the commands of the README, and the same rows as `sanitizer run` gives.
#[test]
fn from_the_command_line() {
    let sandbox = Sandbox::with_customers(3_000);
    let service = RestService::start(&sandbox, &Setup::default());
    let printed = service.succeed(
        &sandbox,
        &[
            "submit",
            "job.yaml",
            "-o",
            "clean.jsonl",
            "--dataset",
            "customers",
        ],
    );
    assert!(printed.contains("status       success"), "{printed}");
    let job = printed
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .last()
        .unwrap();
    let caller = service.caller();
    assert_eq!(tables_of(&caller, job), tables_of_run(&sandbox, job, &[]));
    sandbox.succeed(&[
        "run",
        "job.yaml",
        "--output",
        "as-lines",
        "--set",
        "output.format=jsonl",
        "--set",
        TENANT_SALT,
    ]);
    let lines = std::fs::read_to_string(sandbox.path("as-lines/data/part-00000.jsonl")).unwrap();
    assert_eq!(
        std::fs::read_to_string(sandbox.path("clean.jsonl")).unwrap(),
        lines
    );

    let shown = service.succeed(&sandbox, &["status", job]);
    assert!(shown.contains("rows"), "{shown}");
    let listed = service.succeed(&sandbox, &["status"]);
    assert!(listed.contains(job), "{listed}");
    let report: Value = serde_json::from_str(&service.succeed(&sandbox, &["report", job])).unwrap();
    assert!(report["summary"]["rows_dropped"].as_u64().unwrap() > 0);
    service.succeed(&sandbox, &["report", job, "--html", "report.html"]);
    let page = std::fs::read_to_string(sandbox.path("report.html")).unwrap();
    assert!(page.contains("<html"), "{}", &page[..100]);
    for (table, file) in [
        ("data", "data.parquet"),
        ("data", "data.csv"),
        ("provenance", "provenance.csv"),
        ("removed", "removed.jsonl"),
        ("quarantine", "quarantine.csv"),
    ] {
        service.succeed(&sandbox, &["download", job, "-o", file, "--table", table]);
        assert!(sandbox.path(file).exists(), "{file}");
    }
    let removed = std::fs::read_to_string(sandbox.path("removed.jsonl")).unwrap();
    let dropped = report["summary"]["rows_dropped"].as_u64().unwrap();
    assert_eq!(removed.lines().count() as u64, dropped);

    let key = service.succeed(
        &sandbox,
        &[
            "keys",
            "add",
            "robot",
            "--role",
            "reviewer",
            "--expires",
            "90d",
        ],
    );
    assert!(key.starts_with("dsk_"), "{key}");
    let id = key.split('_').nth(1).unwrap();
    assert!(service.succeed(&sandbox, &["keys", "list"]).contains(id));
    service.succeed(&sandbox, &["keys", "revoke", id]);
    service.succeed(&sandbox, &["tenants", "add", "acme", "--max-running", "1"]);
    service.succeed(&sandbox, &["tenants", "set", "acme", "--suspend"]);
    let tenants = service.succeed(&sandbox, &["tenants", "list"]);
    assert!(tenants.contains("acme"), "{tenants}");
    let usage = service.succeed(&sandbox, &["tenants", "usage"]);
    assert!(usage.contains("3000") || usage.contains("rows"), "{usage}");

    // Mistakes are told in a line.
    for (arguments, status, word) in [
        (vec!["status", "nonsense"], 1, "no such"),
        (vec!["submit", "missing.yaml"], 1, "missing.yaml"),
        (
            vec!["submit", "customers.csv", "--priority", "1000"],
            1,
            "priority",
        ),
        (
            vec!["download", job, "-o", "x.csv", "--table", "clusters"],
            1,
            "no such",
        ),
        (vec!["cancel", job], 1, "ended"),
    ] {
        let output = service.command(&sandbox, &arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
        assert!(error.contains(word), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert!(service.stop());
}

/// A form with a file, as curl sends it, and everything that can be asked about the job.
#[test]
fn over_http() {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::default());
    let caller = service.caller();
    let config = r#"{"pii_strategy": "hash", "pii_salt": "env:TEST_SALT", "columns": [{"name": "email", "pii": true}]}"#;
    let answer = caller.try_ingest(
        "people.csv",
        PEOPLE,
        &[("dataset_name", "people"), ("schema_config", config)],
    );
    assert_eq!(answer.status, 202, "{}", answer.text());
    let accepted = answer.json();
    assert_eq!(accepted["status"], "queued");
    assert!(accepted["estimated_completion_ms"].as_u64().unwrap() > 0);
    let job = accepted["job_id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("/api/v1/jobs/{job}"));
    assert!(answer.headers.contains_key("retry-after"));
    let done = caller.ended(job);
    assert_eq!(done["status"], "success", "{done:#}");
    assert_eq!(done["progress"]["pass2_progress"], 1.0);
    let metrics = &done["metrics"];
    assert_eq!(
        (
            &metrics["rows_processed"],
            &metrics["duplicates_found"],
            &metrics["imputations_applied"]
        ),
        (&json!(4), &json!(1), &json!(1))
    );

    let report = caller.get(&format!("/jobs/{job}/report"));
    assert_eq!(report["summary"]["cleaned_row_count"], 3);
    let page = caller.call(
        Method::GET,
        &format!("/jobs/{job}/report?format=html"),
        |request| request,
    );
    assert!(
        page.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
    let csv = caller
        .call(
            Method::GET,
            &format!("/jobs/{job}/download?format=csv"),
            |request| request,
        )
        .text();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 4, "{csv}");
    assert!(
        lines[3].starts_with("3,'=1+1,50,"),
        "no spreadsheet runs it: {csv}"
    );
    assert!(!csv.contains("ann@example.com"), "{csv}");
    let kept = caller
        .call(
            Method::GET,
            &format!("/jobs/{job}/download?format=csv&formulas=keep"),
            |request| request,
        )
        .text();
    assert!(kept.contains("\n3,=1+1,50,"), "{kept}");

    let provenance = caller.get(&format!("/jobs/{job}/provenance?column=age"));
    assert_eq!(
        provenance["cells"].as_array().unwrap().len(),
        1,
        "{provenance:#}"
    );
    assert_eq!(provenance["cells"][0]["row_id"], 1);
    assert_eq!(provenance["cells"][0]["cleaned_value"], "40");
    let all = caller.get(&format!("/jobs/{job}/provenance?limit=2"));
    assert_eq!(all["cells"].as_array().unwrap().len(), 2);
    let mut seen = 2;
    let mut next = all["next_cursor"].as_str().map(str::to_owned);
    while let Some(cursor) = next {
        let page = caller.get(&format!("/jobs/{job}/provenance?limit=2&cursor={cursor}"));
        seen += page["cells"].as_array().unwrap().len();
        next = page["next_cursor"].as_str().map(str::to_owned);
    }
    let counted: i64 = all["counts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|count| count["cells"].as_i64().unwrap())
        .sum();
    assert_eq!(seen as i64, counted);
    let removed = caller.get(&format!("/jobs/{job}/removed"));
    assert_eq!(removed["rows"][0]["row_id"], 2);
    assert_eq!(removed["rows"][0]["duplicate_of"], 0);
    assert_eq!(
        caller.get(&format!("/jobs/{job}/quarantine"))["rows"],
        json!([])
    );
    let attempts = caller.get(&format!("/jobs/{job}/attempts"));
    assert_eq!(attempts["attempts"][0]["outcome"], "published");
    let events = caller
        .call(Method::GET, &format!("/jobs/{job}/events"), |request| {
            request
        })
        .text();
    for kind in [
        "event: queued",
        "event: started",
        "event: success",
        "event: progress",
    ] {
        assert!(events.contains(kind), "{events}");
    }
    let later = caller.call(Method::GET, &format!("/jobs/{job}/events"), |request| {
        request.header("last-event-id", "2")
    });
    assert!(!later.text().contains("event: queued"), "{}", later.text());

    let datasets = caller.get("/datasets/default");
    assert_eq!(datasets["datasets"][0]["name"], "people");
    let versions = caller.get("/datasets/default/people/versions");
    assert_eq!(versions["versions"][0]["job_id"], job);
    let lineage = caller.get("/datasets/default/people/versions/1");
    assert_eq!(
        lineage["sources"].as_array().unwrap().len(),
        1,
        "{lineage:#}"
    );
    let usage = caller.get("/usage");
    assert_eq!(
        (&usage["months"][0]["jobs"], &usage["months"][0]["rows"]),
        (&json!(1), &json!(4))
    );
    let audit = caller.get(&format!("/audit?job_id={job}"));
    let actions: Vec<&str> = audit["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["action"].as_str().unwrap())
        .collect();
    for action in [
        "job_submitted",
        "dataset_published",
        "data_downloaded",
        "pii_provenance_read",
    ] {
        assert!(actions.contains(&action), "{actions:?}");
    }
    assert_eq!(caller.get("/audit/verify")["ok"], true);

    // A contract that the dataset got holds for later jobs; a rule holds where it is named.
    let contract = json!({"strict_schema": true, "columns": [{"name": "id", "type": "integer"}]});
    let added = caller.post("/datasets/default/people/contracts", &contract);
    assert_eq!(
        (added.status.as_u16(), &added.json()["version"]),
        (201, &json!(1)),
        "{}",
        added.text()
    );
    let refused = caller.ended(&caller.ingest("people.csv", PEOPLE, &[("dataset_name", "people")]));
    assert_eq!(
        (&refused["status"], &refused["error"]["kind"]),
        (&json!("failed"), &json!("invalid")),
        "{refused:#}"
    );
    let rule = json!({"steps": [{"type": "normalize_text", "columns": ["name"], "case": "upper"}]});
    let written = caller.call(Method::PUT, "/rules/loud", |request| request.json(&rule));
    assert_eq!(written.status, 200, "{}", written.text());
    let job = caller.ingest("loud.csv", PEOPLE, &[("rules", "loud")]);
    assert_eq!(caller.ended(&job)["status"], "success");
    let lines = caller
        .call(
            Method::GET,
            &format!("/jobs/{job}/download?format=jsonl"),
            |request| request,
        )
        .text();
    assert!(lines.contains("\"ANN\""), "{lines}");
    assert_eq!(lines.lines().count(), 4, "the rule has one step: {lines}");
}

/// Two requests with one key make one job; a file comes in parts; a spec names what it may.
#[test]
fn uploads_and_keys() {
    let sandbox = Sandbox::new();
    sandbox.write("lake/a.csv", PEOPLE);
    let lake = sandbox.path("lake").canonicalize().unwrap();
    let lake = lake.to_str().unwrap().to_owned();
    let service = RestService::start(&sandbox, &Setup::with(&["--source", &lake]));
    let caller = service.caller();
    let begun = caller
        .post("/uploads", &json!({"name": "../../people.csv"}))
        .json();
    let id = begun["upload_id"].as_str().unwrap();
    assert_eq!(begun["name"], "people.csv");
    let (first, second) = PEOPLE.split_at(50);
    let put = |number: u32, content: &str, digest: &str| {
        let content = content.to_owned();
        caller.call(
            Method::PUT,
            &format!("/uploads/{id}/parts/{number}"),
            |request| request.body(content).header("x-content-sha256", digest),
        )
    };
    let digest = |content: &str| {
        use sha2::{Digest, Sha256};
        Sha256::digest(content.as_bytes())
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02X}");
                text
            })
    };
    assert_eq!(put(2, second, &digest(second)).status, 200);
    let incomplete = caller.post(&format!("/uploads/{id}/complete"), &json!({}));
    assert_eq!(incomplete.status, 409, "{}", incomplete.text());
    assert_eq!(put(1, first, &digest(second)).status, 422);
    assert_eq!(put(1, first, &digest(first)).status, 200);
    let spec =
        json!({"version": 1, "name": "people", "source": {"location": format!("upload:{id}")}});
    let send = |spec: &Value, key: &str| {
        caller.call(Method::POST, "/datasets/default/ingest", |request| {
            request.json(spec).header("idempotency-key", key)
        })
    };
    // A job may come before its upload is complete.
    let early = send(&spec, "early").json();
    assert_eq!(early["status"], "pending");
    let late = "/datasets/default/ingest?deadline_seconds=1&dataset_name=late";
    let late = caller.post(late, &spec).json();
    let late = caller.ended(late["job_id"].as_str().unwrap());
    assert_eq!(
        (&late["status"], &late["error"]["kind"]),
        (&json!("failed"), &json!("incomplete"))
    );
    let needed = caller.call(Method::DELETE, &format!("/uploads/{id}"), |request| request);
    assert_eq!(needed.status, 409, "{}", needed.text());
    assert_eq!(send(&spec, "early").json()["job_id"], early["job_id"]);
    let done = caller
        .post(&format!("/uploads/{id}/complete"), &json!({}))
        .json();
    assert_eq!(
        (&done["bytes"], &done["sha256"]),
        (&json!(PEOPLE.len()), &json!(digest(PEOPLE).to_lowercase()))
    );
    let early = early["job_id"].as_str().unwrap();
    assert_eq!(caller.ended(early)["status"], "success");
    assert_eq!(send(&spec, "early").json()["job_id"], early);
    let jobs: Vec<Value> = (0..5)
        .map(|_| send(&spec, "one").json()["job_id"].clone())
        .collect();
    assert!(jobs.iter().all(|job| *job == jobs[0]), "{jobs:?}");
    let mut other = spec.clone();
    other["options"] = json!({"seed": 7});
    assert_eq!(send(&other, "one").status, 422);
    assert_eq!(caller.ended(jobs[0].as_str().unwrap())["status"], "success");
    // A request that comes again means the same, whatever became of its upload.
    let gone = caller.call(Method::DELETE, &format!("/uploads/{id}"), |request| request);
    assert_eq!(gone.status, 204, "{}", gone.text());
    assert_eq!(send(&spec, "early").json()["job_id"], early);
    assert_eq!(send(&spec, "one").json()["job_id"], jobs[0]);
    assert_eq!(send(&spec, "two").status, 422);

    for (location, status) in [
        (format!("{lake}/a.csv"), 202),
        (format!("{lake}/../home/first-api-key"), 422),
        ("/etc/passwd".to_owned(), 422),
        ("file:///etc/passwd".to_owned(), 422),
        ("http://169.254.169.254/latest/meta-data".to_owned(), 422),
        ("s3://bucket/a.csv".to_owned(), 422),
    ] {
        let spec = json!({"version": 1, "name": "people", "source": {"location": location}});
        let answer = caller.post("/datasets/default/ingest", &spec);
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{location}: {}",
            answer.text()
        );
        if status == 422 {
            assert_eq!(answer.json()["field"], "source.location");
        }
    }
    let jobs = caller.get("/jobs?limit=1");
    assert!(jobs["next_cursor"].is_string());
    let cursor = jobs["next_cursor"].as_str().unwrap();
    let next = caller.get(&format!("/jobs?limit=1&cursor={cursor}"));
    assert_ne!(next["jobs"][0]["job_id"], jobs["jobs"][0]["job_id"]);
}

/// A job that is cancelled publishes nothing; one that fails says why.
#[test]
fn cancelled_and_failed() {
    let sandbox = Sandbox::with_customers(60_000);
    let service = RestService::start(&sandbox, &Setup::default());
    let caller = service.caller();
    let job = service.succeed(&sandbox, &["submit", "job.yaml"]);
    let job = job.trim();
    caller.until(job, |job| job["status"] != "queued");
    let answer = caller.call(Method::DELETE, &format!("/jobs/{job}"), |request| request);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let ended = caller.ended(job);
    assert_eq!(ended["status"], "cancelled", "{ended:#}");
    let download = caller.call(Method::GET, &format!("/jobs/{job}/download"), |request| {
        request
    });
    assert_eq!(download.status, 409);
    assert_eq!(
        caller.get("/datasets/default/customers/versions")["versions"],
        json!([])
    );

    let fail = r#"{"steps": [{"type": "rules", "on_violation": "fail"}], "dataset": {"columns": [{"name": "age", "type": "integer", "business_rules": [{"range": {"max": 40}}]}]}}"#;
    let failed = caller.ended(&caller.ingest("people.csv", PEOPLE, &[("spec", fail)]));
    assert_eq!(
        (&failed["status"], &failed["error"]["kind"]),
        (&json!("failed"), &json!("refused"))
    );
    assert!(
        failed["error"]["message"]
            .as_str()
            .unwrap()
            .contains("row 3"),
        "{failed:#}"
    );
    assert_eq!(failed["attempt"], 1, "another try would fail too");
    let unreadable = caller.ended(&caller.ingest("people.parquet", "no parquet", &[]));
    assert_eq!(unreadable["status"], "failed", "{unreadable:#}");
    let late = caller.call(
        Method::POST,
        "/datasets/default/ingest?deadline_seconds=1&dataset_name=late",
        |request| {
            let file = std::fs::read_to_string(sandbox.path("customers.csv"))
                .unwrap()
                .repeat(8);
            let file = reqwest::multipart::Part::text(file).file_name("customers.csv");
            request.multipart(reqwest::multipart::Form::new().part("file", file))
        },
    );
    let late = caller.ended(late.json()["job_id"].as_str().unwrap());
    assert_eq!(
        (&late["status"], &late["error"]["kind"]),
        (&json!("failed"), &json!("late")),
        "{late:#}"
    );
}
