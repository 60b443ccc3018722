//! What a stored contract protects stays protected, whatever a request says and whatever goes wrong.

use reqwest::Method;
use serde_json::json;

use super::rest_service::{PEOPLE, RestService, Setup, with};
use super::sandbox::Sandbox;

/// What a contract protects is published protected, whatever a request says, unless its sender may write contracts.
#[test]
fn m1_requests_do_not_lower_stored_protection() {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::default());
    let admin = service.caller();
    let contract = json!({"columns": [{"name": "email", "pii": true, "pii_strategy": "redact"}]});
    let added = admin.post("/datasets/default/people/contracts", &contract);
    assert_eq!(added.status, 201, "{}", added.text());
    let rule = json!({"dataset": {"columns": [{"name": "email", "pii": false}]}});
    admin.call(Method::PUT, "/rules/open", |request| request.json(&rule));
    let actions = json!(["jobs:submit", "jobs:read", "data:read"]);
    let sender = with(
        &admin,
        &json!({"name": "s", "role": "data_engineer", "actions": actions}),
    );
    let data = |job: &str| {
        let ended = admin.ended(job);
        assert_eq!(ended["status"], "success", "{ended:#}");
        let path = format!("/jobs/{job}/download?format=csv");
        admin.call(Method::GET, &path, |request| request).text()
    };
    for (field, value) in [
        (
            "schema_config",
            r#"{"columns": [{"name": "email", "pii": false}]}"#,
        ),
        (
            "schema_config",
            r#"{"columns": [{"name": "email", "pii_strategy": "keep"}]}"#,
        ),
        (
            "schema_config",
            r#"{"columns": [{"name": "email", "pii": true, "pii_strategy": "hash"}]}"#,
        ),
        (
            "spec",
            r#"{"steps": [{"type": "pii", "columns": ["name"]}]}"#,
        ),
        ("rules", "open"),
    ] {
        let fields = [("dataset_name", "people"), (field, value)];
        let answer = sender.try_ingest("people.csv", PEOPLE, &fields);
        assert_eq!(answer.status, 403, "{value}: {}", answer.text());
        let problem = answer.json();
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("contracts:write"),
            "{problem}"
        );
        assert_eq!(problem["field"], "dataset.columns[0]", "{problem}");
    }
    // Who decides where columns begin and end decides what is in them.
    let quote = ("spec", r#"{"source": {"options": {"quote": "3"}}}"#);
    let fields = [("dataset_name", "people"), quote];
    let answer = sender.try_ingest("people.csv", PEOPLE, &fields);
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(answer.json()["field"], "source.options.quote");
    let twice = PEOPLE.replacen("email", "email,email", 1);
    let twice: String = twice
        .lines()
        .map(|line| line.replace("@example.com", "@example.com,twice@example.com") + "\n")
        .collect();
    let job = sender.ingest("people.csv", &twice, &[("dataset_name", "people")]);
    if admin.ended(&job)["status"] == "success" {
        let text = data(&job);
        assert!(!text.contains("@example.com"), "{text}");
    }
    // What says nothing of the column leaves it as it is; more protection is no less.
    for (field, value) in [
        (
            "schema_config",
            r#"{"columns": [{"name": "age", "type": "integer"}]}"#,
        ),
        (
            "schema_config",
            r#"{"columns": [{"name": "name", "pii": false}]}"#,
        ),
        ("spec", r#"{"steps": [{"type": "dedupe"}]}"#),
        ("spec", "steps: []"),
        (
            "schema_config",
            r#"{"columns": [{"name": "email", "pii_strategy": "exclude"}]}"#,
        ),
    ] {
        let job = sender.ingest(
            "people.csv",
            PEOPLE,
            &[("dataset_name", "people"), (field, value)],
        );
        let text = data(&job);
        assert!(!text.contains("@example.com"), "{value}: {text}");
    }
    // Without the column that is protected, under another name, nothing is published at all.
    let renamed = PEOPLE.replace("email", "mail");
    let job = sender.ingest("people.csv", &renamed, &[("dataset_name", "people")]);
    assert_eq!(admin.ended(&job)["status"], "failed");
    // Who may write contracts may publish it, and it is recorded.
    let open = (
        "schema_config",
        r#"{"columns": [{"name": "email", "pii": false}]}"#,
    );
    let job = admin.ingest("people.csv", PEOPLE, &[("dataset_name", "people"), open]);
    assert!(data(&job).contains("ann@example.com"));
    let records = admin.get("/audit?action=protection_lowered");
    let records = records["records"].as_array().unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["subject"], "people");
}

/// A condition that cannot be computed for a value does not tell the value: not in the job, its attempts and events, not in the
/// audit log, and not in the log of the process.
#[test]
fn m1_errors_of_conditions_hold_no_values() {
    let sandbox = Sandbox::new();
    let setup = Setup {
        log: Some("log".to_owned()),
        ..Setup::default()
    };
    let service = RestService::start(&sandbox, &setup);
    let admin = service.caller();
    let contract = json!({"columns": [{"name": "email", "pii": true, "pii_strategy": "redact"}]});
    let added = admin.post("/datasets/default/people/contracts", &contract);
    assert_eq!(added.status, 201, "{}", added.text());
    let rule = r#"{"column": "email", "rule": {"expression": "CAST(email AS INT) > 0"}}"#;
    let spec = format!(r#"{{"steps": [{{"type": "rules", "rules": [{rule}]}}]}}"#);
    let fields = [("dataset_name", "people"), ("spec", spec.as_str())];
    let job = admin.ingest("people.csv", PEOPLE, &fields);
    let ended = admin.ended(&job);
    assert_eq!(ended["status"], "failed", "{ended:#}");
    let error = ended["error"].to_string();
    assert!(error.contains("cannot be computed"), "{error}");
    let mut told = vec![
        ended.to_string(),
        std::fs::read_to_string(sandbox.path("log")).unwrap(),
    ];
    for path in [format!("/jobs/{job}/attempts"), "/audit".to_owned()] {
        told.push(admin.get(&path).to_string());
    }
    for text in told {
        assert!(!text.contains("ann@example.com"), "{text}");
    }
}
