//! Personal data at the service: tokens that are turned back by those who may, and clear values that nobody is told.

use reqwest::Method;
use serde_json::{Value, json};

use super::rest_service::{PEOPLE, RestService, Setup};
use super::sandbox::{SALT, Sandbox};

/// Tokens are turned back for those who may, and that is written down; nobody else sees what they stand for.
#[test]
fn tokens_are_turned_back() {
    let sandbox = Sandbox::new();
    let mut setup = Setup::default();
    let key = (
        "SANITIZER_TOKEN_KEY".to_owned(),
        "a key that nobody guesses".to_owned(),
    );
    setup.environment.push(key.clone());
    let service = RestService::start(&sandbox, &setup);
    let caller = service.caller();
    let config = r#"{"columns": [{"name": "email", "pii": true, "pii_strategy": "tokenize"}]}"#;
    let job = caller.ingest("people.csv", PEOPLE, &[("schema_config", config)]);
    let ended = caller.ended(&job);
    assert_eq!(ended["status"], "success", "{ended:#}");
    let rows = caller.call(
        Method::GET,
        &format!("/jobs/{job}/download?format=jsonl"),
        |request| request,
    );
    let tokens: Vec<String> = rows
        .text()
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["email"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!(
        tokens.iter().all(|token| token.starts_with("tok_")),
        "{tokens:?}"
    );
    let asked = |tokens: &[String]| {
        let request = json!({"tokens": tokens, "reason": "a customer asks"});
        caller.post("/tokens/reveal", &request)
    };
    let answer = asked(&[tokens.clone(), vec!["tok_unknown".to_owned()]].concat());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let values: Vec<&Value> = answer["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["value"])
        .collect();
    assert_eq!(
        values,
        [
            &json!("ann@example.com"),
            &json!("bob@example.com"),
            &json!("eve@example.com"),
            &Value::Null
        ]
    );
    let audit = caller.get("/audit?action=tokens_revealed");
    let record = &audit["records"][0]["details"];
    assert_eq!(
        (
            &record["reason"],
            record["tokens"].as_array().unwrap().len()
        ),
        (&json!("a customer asks"), 4)
    );
    assert!(!audit.to_string().contains("@example.com"));

    let files = caller.get(&format!("/jobs/{job}/files")).to_string();
    assert!(!files.contains("tokens/"), "{files}");
    let sealed = caller.call(
        Method::GET,
        &format!("/jobs/{job}/files/tokens/part-00000.parquet"),
        |request| request,
    );
    assert_eq!(sealed.status, 404);
    let named = r#"{"pii_token_key": "env:HOME", "columns": []}"#;
    assert_eq!(
        caller
            .try_ingest("a.csv", PEOPLE, &[("schema_config", named)])
            .status,
        422
    );
    // The same table gives the same tokens, here and by the program itself.
    let job_yaml = "version: 1\nsource: {location: people.csv}\ndataset: {pii_token_key: tenant:default:env:SANITIZER_TOKEN_KEY, columns: [{name: email, pii: true, pii_strategy: tokenize}]}\noutput: {location: out, format: jsonl}\n";
    sandbox.write("people.csv", PEOPLE);
    sandbox.write("tokens.yaml", job_yaml);
    let run = |arguments: &[&str], key: &str| {
        let mut command = sandbox.command(arguments);
        let output = command.env("SANITIZER_TOKEN_KEY", key).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (status, _, error) = run(&["run", "tokens.yaml"], &key.1);
    assert_eq!(status, Some(0), "{error}");
    let lines = std::fs::read_to_string(sandbox.path("out/data/part-00000.jsonl")).unwrap();
    assert!(tokens.iter().all(|token| lines.contains(token)), "{lines}");
    let (status, told, error) = run(&["reveal", "out", &tokens[1], "tok_unknown"], &key.1);
    assert_eq!(status, Some(0), "{error}");
    assert_eq!(
        told,
        format!("{}\tbob@example.com\ntok_unknown\t\n", tokens[1])
    );
    let (status, _, error) = run(
        &["reveal", "out", &tokens[1]],
        "a key that somebody guesses",
    );
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("another key"), "{error}");
    for file in super::sandbox::files_under(&sandbox.path("out")) {
        let content = std::fs::read(&file).unwrap();
        assert!(
            !String::from_utf8_lossy(&content).contains("bob@example.com"),
            "{}",
            file.display()
        );
    }
    drop(service);
    for file in super::sandbox::files_under(&sandbox.path("home")) {
        let own = file.components().any(|part| part.as_os_str() == "uploads");
        let content = std::fs::read(&file).unwrap();
        let clear = String::from_utf8_lossy(&content).contains("bob@example.com");
        assert!(own || !clear, "{}", file.display());
    }
}

#[test]
fn the_salt_of_tests_is_not_told() {
    let sandbox = Sandbox::with_customers(200);
    let service = RestService::start(&sandbox, &Setup::default());
    let printed = service.succeed(&sandbox, &["submit", "job.yaml", "--wait"]);
    let job = printed
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .last()
        .unwrap();
    let caller = service.caller();
    let mut said = caller.get(&format!("/jobs/{job}")).to_string();
    said += &caller
        .get("/datasets/default/customers/versions/1")
        .to_string();
    said += &caller.get("/audit").to_string();
    said += &caller
        .get(&format!("/jobs/{job}/provenance?limit=1000"))
        .to_string();
    assert!(!said.contains(SALT));
    let customers = std::fs::read_to_string(sandbox.path("customers.csv")).unwrap();
    let emails = customers
        .split([',', '\n'])
        .filter(|cell| cell.contains('@'));
    assert!(emails.take(100).all(|email| !said.contains(email)));
    drop(service);
    let mut stored = std::fs::read(sandbox.path("home/service.sqlite")).unwrap();
    stored.extend(std::fs::read(sandbox.path("home/service.sqlite-wal")).unwrap_or_default());
    let stored = String::from_utf8_lossy(&stored);
    let mut emails = customers
        .split([',', '\n'])
        .filter(|cell| cell.contains('@'));
    assert!(
        emails.all(|email| !stored.contains(email)),
        "clear values lie in the metadata"
    );
}
