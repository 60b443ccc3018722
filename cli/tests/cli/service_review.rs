//! Fixes that people decide on, over the REST API.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use super::rest_service::{RestService, Setup};
use super::sandbox::Sandbox;

/// Fixes that rest on a heuristic are decided on, and what was decided is the next version.
#[test]
fn fixes_are_reviewed() {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::default());
    let caller = service.caller();
    let table = "id,status,age,mail\n1,activ,30,a@x.org\n1,activ,30,a@x.org\n2,inactiv,,b@x.org\n3,suspendedd,50,c@x.org\n4,active,9,d@x.org\n";
    let spec = r#"{"dataset": {"pii_salt": "env:TEST_SALT", "columns": [{"name": "status", "canonical_values": ["active", "inactive", "suspended"]}, {"name": "age", "type": "integer"}, {"name": "mail", "pii": true}]}}"#;
    let job = caller.ingest("people.csv", table, &[("spec", spec)]);
    assert_eq!(caller.ended(&job)["status"], "success");
    let key = caller
        .post("/keys", &json!({"name": "r", "role": "reviewer"}))
        .json();
    let reviewer = caller.with_key(key["secret"].as_str().unwrap());
    let fixes = reviewer.get(&format!("/jobs/{job}/review"));
    let fixes = fixes["fixes"].as_array().unwrap();
    let found: Vec<(i64, &str)> = fixes
        .iter()
        .map(|fix| {
            (
                fix["row_id"].as_i64().unwrap(),
                fix["column_name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [(0, "status"), (2, "age"), (2, "status"), (3, "status")],
        "{fixes:#?}"
    );
    assert!(
        fixes
            .iter()
            .all(|fix| fix["confidence_score"].as_f64() < Some(1.0))
    );
    let early = reviewer.call(
        Method::POST,
        &format!("/jobs/{job}/review/publish"),
        |request| request,
    );
    assert_eq!(early.status, 409, "{}", early.text());
    let decide = |decisions: Value| {
        reviewer.post(
            &format!("/jobs/{job}/review"),
            &json!({"decisions": decisions}),
        )
    };
    for (decision, word) in [
        (
            json!([{"row_id": 0, "column_name": "status", "decision": "approve", "value": "x"}]),
            "only an edit",
        ),
        (
            json!([{"row_id": 4, "column_name": "status", "decision": "approve"}]),
            "did not change",
        ),
        (
            json!([{"row_id": 0, "column_name": "mail", "decision": "reject"}]),
            "no such column",
        ),
        (
            json!([{"row_id": 2, "column_name": "age", "decision": "edit", "value": "old"}]),
            "type",
        ),
        (json!([]), "1 to 1000"),
    ] {
        let answer = decide(decision);
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains(word), "{}", answer.text());
    }
    let answer = decide(json!([
        {"row_id": 0, "column_name": "status", "decision": "approve"},
        {"row_id": 2, "column_name": "status", "decision": "reject"},
        {"row_id": 3, "column_name": "status", "decision": "edit", "value": "gone"},
        {"row_id": 2, "column_name": "age", "decision": "edit", "value": "41"},
    ]));
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["decided"]),
        (200, &json!(4)),
        "{}",
        answer.text()
    );
    assert_eq!(
        reviewer.get(&format!("/jobs/{job}/review"))["fixes"],
        json!([])
    );
    let decided = reviewer.get(&format!("/jobs/{job}/review?status=decided"));
    assert_eq!(
        decided["fixes"][2]["review"]["decision"], "reject",
        "{decided:#}"
    );
    let answer = reviewer.call(
        Method::POST,
        &format!("/jobs/{job}/review/publish"),
        |request| request,
    );
    assert_eq!(answer.status, 202, "{}", answer.text());
    let next = answer.json()["job_id"].as_str().unwrap().to_owned();
    let ended = caller.ended(&next);
    assert_eq!(ended["status"], "success", "{ended:#}");
    let rows = |job: &str| -> Vec<(Value, Value, Value)> {
        let text = caller
            .call(
                Method::GET,
                &format!("/jobs/{job}/download?format=jsonl"),
                |request| request,
            )
            .text();
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| (row["id"].clone(), row["status"].clone(), row["age"].clone()))
            .collect()
    };
    let before = rows(&job);
    assert_eq!(
        before[1],
        (json!(2), json!("inactive"), json!(30)),
        "{before:?}"
    );
    let expected = [
        (1, "active", 30),
        (2, "inactiv", 41),
        (3, "gone", 50),
        (4, "active", 9),
    ];
    let expected = expected.map(|(id, status, age)| (json!(id), json!(status), json!(age)));
    assert_eq!(rows(&next), expected);
    let overridden = caller.get(&format!("/jobs/{next}/provenance?transformation_id=review"));
    let overridden = overridden["cells"].as_array().unwrap();
    assert_eq!(overridden.len(), 4, "{overridden:#?}");
    assert!(
        overridden
            .iter()
            .all(|cell| cell["source"] == "human_override" && cell["confidence_score"] == 1.0)
    );
    let versions = caller.get("/datasets/default/people/versions");
    assert_eq!(versions["versions"].as_array().unwrap().len(), 2);
    let lineage = caller.get("/datasets/default/people/versions/2");
    let last = lineage["transformations"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        (&last["type"], &last["params"]["edited"]),
        (&json!("review"), &json!(2))
    );
    let files = caller.get(&format!("/jobs/{next}/files"));
    for file in files["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let content = caller.call(
            Method::GET,
            &format!("/jobs/{next}/files/{path}"),
            |request| request,
        );
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(&content.body)
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
        assert_eq!(file["sha256"], digest, "{path}");
    }
    assert_eq!(caller.get("/audit/verify")["ok"], true);
}
