//! Who may do what: every operation by every role, and keys with limits; and the certificate of the server.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::rest_service::{Answer, Caller, PEOPLE, RestService, Setup};
use super::sandbox::Sandbox;

/// What an operation of the API needs.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Needs {
    /// Nothing at all.
    Nothing,
    /// A key of any role.
    Key,
    /// An action.
    Action(&'static str),
    /// A key of an operator.
    Operator,
}

use Needs::{Action, Key, Nothing, Operator};

/// Every operation of the API, and what it needs.
const OPERATIONS: &[(&str, &str, Needs)] = &[
    ("get", "/healthz", Nothing),
    ("get", "/readyz", Nothing),
    ("get", "/api/v1/me", Key),
    ("get", "/api/v1/steps", Key),
    ("get", "/api/v1/steps/{step_type}", Key),
    ("get", "/api/v1/schema/job", Key),
    ("get", "/api/v1/jobs", Action("jobs:read")),
    ("get", "/api/v1/jobs/{job_id}", Action("jobs:read")),
    ("delete", "/api/v1/jobs/{job_id}", Action("jobs:cancel")),
    ("get", "/api/v1/jobs/{job_id}/attempts", Action("jobs:read")),
    ("get", "/api/v1/jobs/{job_id}/events", Action("jobs:read")),
    ("get", "/api/v1/jobs/{job_id}/report", Action("jobs:read")),
    ("get", "/api/v1/jobs/{job_id}/download", Action("data:read")),
    ("get", "/api/v1/jobs/{job_id}/files", Action("data:read")),
    (
        "get",
        "/api/v1/jobs/{job_id}/files/{name}",
        Action("data:read"),
    ),
    (
        "get",
        "/api/v1/jobs/{job_id}/files/{table}/{name}",
        Action("data:read"),
    ),
    (
        "get",
        "/api/v1/jobs/{job_id}/provenance",
        Action("provenance:read"),
    ),
    (
        "get",
        "/api/v1/jobs/{job_id}/review",
        Action("provenance:read"),
    ),
    (
        "post",
        "/api/v1/jobs/{job_id}/review",
        Action("review:decide"),
    ),
    (
        "post",
        "/api/v1/jobs/{job_id}/review/publish",
        Action("review:decide"),
    ),
    ("get", "/api/v1/jobs/{job_id}/removed", Action("data:read")),
    (
        "get",
        "/api/v1/jobs/{job_id}/quarantine",
        Action("data:read"),
    ),
    (
        "post",
        "/api/v1/datasets/{tenant_id}/ingest",
        Action("jobs:submit"),
    ),
    ("get", "/api/v1/datasets/{tenant_id}", Action("jobs:read")),
    (
        "get",
        "/api/v1/datasets/{tenant_id}/{dataset}",
        Action("jobs:read"),
    ),
    (
        "get",
        "/api/v1/datasets/{tenant_id}/{dataset}/versions",
        Action("jobs:read"),
    ),
    (
        "get",
        "/api/v1/datasets/{tenant_id}/{dataset}/versions/{version}",
        Action("jobs:read"),
    ),
    (
        "get",
        "/api/v1/datasets/{tenant_id}/{dataset}/contracts",
        Action("jobs:read"),
    ),
    (
        "post",
        "/api/v1/datasets/{tenant_id}/{dataset}/contracts",
        Action("contracts:write"),
    ),
    ("get", "/api/v1/rules", Action("jobs:read")),
    ("get", "/api/v1/rules/{name}", Action("jobs:read")),
    ("put", "/api/v1/rules/{name}", Action("contracts:write")),
    ("delete", "/api/v1/rules/{name}", Action("contracts:write")),
    ("post", "/api/v1/uploads", Action("jobs:submit")),
    ("get", "/api/v1/uploads/{upload_id}", Action("jobs:submit")),
    (
        "delete",
        "/api/v1/uploads/{upload_id}",
        Action("jobs:submit"),
    ),
    (
        "put",
        "/api/v1/uploads/{upload_id}/parts/{number}",
        Action("jobs:submit"),
    ),
    (
        "post",
        "/api/v1/uploads/{upload_id}/complete",
        Action("jobs:submit"),
    ),
    ("get", "/api/v1/audit", Action("audit:read")),
    ("get", "/api/v1/audit/verify", Action("audit:read")),
    ("get", "/api/v1/usage", Action("usage:read")),
    ("get", "/api/v1/keys", Action("keys:manage")),
    ("post", "/api/v1/keys", Action("keys:manage")),
    ("delete", "/api/v1/keys/{key_id}", Action("keys:manage")),
    ("get", "/api/v1/users", Action("keys:manage")),
    ("patch", "/api/v1/users/{user_id}", Action("keys:manage")),
    ("post", "/api/v1/tokens/reveal", Action("tokens:reveal")),
    ("get", "/api/v1/audit/export", Action("audit:read")),
    ("get", "/api/v1/tenants", Operator),
    ("post", "/api/v1/tenants", Operator),
    ("patch", "/api/v1/tenants/{tenant_id}", Operator),
];

/// The actions of each role, as the documents have them.
const ENGINEER: &[&str] = &[
    "jobs:submit",
    "jobs:read",
    "jobs:cancel",
    "data:read",
    "provenance:read",
    "review:decide",
    "contracts:write",
    "usage:read",
];

const REVIEWER: &[&str] = &["jobs:read", "provenance:read", "review:decide"];

/// Things of a tenant that paths can name.
struct Things {
    job: String,
    upload: String,
}

fn key(admin: &Caller, request: &Value) -> Value {
    let made = admin.post("/keys", request);
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

/// Sends an operation about some things of the tenant `default`.
fn send(caller: &Caller, (method, path): (&str, &str), things: &Things) -> Answer {
    let path = path
        .replace("{job_id}", &things.job)
        .replace("{upload_id}", &things.upload)
        .replace("{tenant_id}", "default")
        .replace("{dataset}", "people")
        .replace("{version}", "1")
        .replace("{number}", "1")
        .replace("{step_type}", "dedupe")
        .replace("{table}/{name}", "data/part-00000.parquet")
        .replace("files/{name}", "files/report.json")
        .replace("{name}", "tidy")
        .replace("{key_id}", "0123456789abcdef")
        .replace("{user_id}", &uuid());
    let body = match (method, path.rsplit('/').next().unwrap_or_default()) {
        ("post", "uploads") => Some(json!({"name": "a.csv"})),
        ("post", "keys") => Some(json!({"name": "k", "role": "reviewer"})),
        ("post", "tenants") => Some(json!({"name": format!("t{}", uuid())})),
        ("post", "contracts") => Some(json!({"columns": []})),
        ("post", "ingest") => Some(
            json!({"name": "people", "source": {"location": format!("upload:{}", things.upload)}}),
        ),
        ("post", "review") => {
            Some(json!({"decisions": [{"row_id": 1, "column_name": "age", "decision": "approve"}]}))
        }
        ("post", "reveal") => Some(json!({"tokens": ["tok_x"], "reason": "a test"})),
        ("put", "tidy") => Some(json!({"steps": []})),
        ("patch", "default") => Some(json!({})),
        ("patch", _) => Some(json!({"suspended": true})),
        _ => None,
    };
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    caller.call(method, &path, |request| match &body {
        Some(body) => request.json(body),
        None => request,
    })
}

fn uuid() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Every operation, by every role, of one's own tenant and of another one.
#[test]
fn every_operation_by_every_role() {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::default());
    let admin = service.caller();
    let fast = json!({"calls_per_second": 10_000});
    admin.call(Method::PATCH, "/tenants/default", |request| {
        request.json(&fast)
    });
    let made = admin.post("/tenants", &json!({"name": "other", "limits": fast}));
    assert_eq!(made.status, 201, "{}", made.text());

    let job = admin.ingest("people.csv", PEOPLE, &[]);
    assert_eq!(admin.ended(&job)["status"], "success");
    let upload = admin.post("/uploads", &json!({"name": "a.csv"})).json();
    let things = Things {
        job,
        upload: upload["upload_id"].as_str().unwrap().to_owned(),
    };
    admin.call(
        Method::PUT,
        &format!("/uploads/{}/parts/1", things.upload),
        |request| request.body(PEOPLE),
    );

    let document = admin.get("/openapi.json");
    let mut described = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            described.push((method.clone(), path.clone()));
        }
    }
    for (method, path) in &described {
        let known = OPERATIONS
            .iter()
            .any(|known| known.0 == method && known.1 == path);
        assert!(known, "{method} {path} is not in the table of this test");
    }
    assert_eq!(described.len(), OPERATIONS.len());

    let with = |request: Value| admin.with_key(key(&admin, &request)["secret"].as_str().unwrap());
    let engineer = with(json!({"name": "e", "role": "data_engineer"}));
    let reviewer = with(json!({"name": "r", "role": "reviewer"}));
    let limited = with(json!({"name": "l", "role": "admin", "actions": ["audit:read"]}));
    let stranger = with(json!({"name": "s", "role": "admin", "tenant": "other"}));
    let elsewhere = with(json!({"name": "d", "role": "admin", "datasets": ["sales"]}));
    let gone = key(&admin, &json!({"name": "g", "role": "admin"}));
    admin.call(
        Method::DELETE,
        &format!("/keys/{}", gone["id"].as_str().unwrap()),
        |request| request,
    );
    let gone = admin.with_key(gone["secret"].as_str().unwrap());
    let nobody = admin.with_key("");

    for (method, path, needs) in OPERATIONS {
        let status = |caller: &Caller| send(caller, (method, path), &things).status.as_u16();
        let told = |who: &str, status: u16| format!("{method} {path} by {who}: {status}");
        for (who, caller) in [("nobody", &nobody), ("a key that is gone", &gone)] {
            let got = status(caller);
            let expected = if *needs == Nothing { 200 } else { 401 };
            assert_eq!(got, expected, "{}", told(who, got));
        }
        let roles: [(&str, &Caller, &[&str]); 3] = [
            ("an engineer", &engineer, ENGINEER),
            ("a reviewer", &reviewer, REVIEWER),
            ("a key for one action", &limited, &["audit:read"]),
        ];
        for (who, caller, actions) in roles {
            let may = match needs {
                Nothing | Key => true,
                Action(action) => actions.contains(action),
                Operator => false,
            };
            let got = status(caller);
            assert_eq!(got == 403, !may, "{}", told(who, got));
            assert!(got != 401 && got < 500, "{}", told(who, got));
        }
        let got = status(&admin);
        assert!(
            got != 401 && got != 403 && got < 500,
            "{}",
            told("the admin", got)
        );
        // What names something of the tenant is not there for a stranger.
        let names = [
            "{job_id}",
            "{upload_id}",
            "{dataset}",
            "{tenant_id}",
            "{name}",
            "{key_id}",
            "{user_id}",
        ];
        if matches!(needs, Action(_))
            && names.iter().any(|name| path.contains(name))
            && *method != "put"
        {
            let got = status(&stranger);
            assert_eq!(got, 404, "{}", told("a stranger", got));
        }
        if path.contains("{job_id}") || path.contains("{dataset}") {
            let got = status(&elsewhere);
            assert_eq!(got, 404, "{}", told("a key for another dataset", got));
        }
    }
    // Lists of a stranger hold nothing of anybody else.
    for (path, field) in [
        ("/jobs", "jobs"),
        ("/rules", "rules"),
        ("/datasets/other", "datasets"),
    ] {
        assert_eq!(stranger.get(path)[field], json!([]), "{path}");
    }
    assert_eq!(elsewhere.get("/jobs")["jobs"], json!([]));
    let audit = stranger.get("/audit").to_string();
    assert!(!audit.contains(&things.job), "{audit}");
    // Nobody makes a key that may do more than theirs.
    for (caller, request) in [
        (&limited, json!({"name": "x", "role": "admin"})),
        (&elsewhere, json!({"name": "x", "role": "admin"})),
        (
            &stranger,
            json!({"name": "x", "role": "admin", "operator": true}),
        ),
        (
            &stranger,
            json!({"name": "x", "role": "admin", "tenant": "default"}),
        ),
    ] {
        assert_eq!(caller.post("/keys", &request).status, 403);
    }
}

/// The API over TLS, with a certificate that is read anew when it changes.
#[test]
fn certificates_are_read_anew() {
    let sandbox = Sandbox::new();
    let certificate = |name: &str| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        sandbox.write("key.pem", &made.signing_key.serialize_pem());
        sandbox.write("cert.pem", &made.cert.pem());
        sandbox.write(name, &made.cert.pem());
    };
    certificate("first.pem");
    let (cert, key) = (sandbox.path("cert.pem"), sandbox.path("key.pem"));
    let setup = Setup {
        environment: vec![
            (
                "SANITIZER_API_TLS_CERT".to_owned(),
                cert.to_str().unwrap().to_owned(),
            ),
            (
                "SANITIZER_API_TLS_KEY".to_owned(),
                key.to_str().unwrap().to_owned(),
            ),
        ],
        ..Setup::default()
    };
    let service = RestService::start(&sandbox, &setup);
    assert!(service.url.starts_with("https://"), "{}", service.url);
    let url = service.url.replace("127.0.0.1", "localhost");
    let asked = |trusted: &str| {
        let output = sandbox
            .command(&["status", "--api", &url, "--ca-cert", trusted])
            .env("SANITIZER_API_KEY", &service.key)
            .output()
            .unwrap();
        output.status.success()
    };
    assert!(asked("first.pem"));
    certificate("second.pem");
    let begun = std::time::Instant::now();
    while !asked("second.pem") {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the new certificate is not used"
        );
    }
    assert!(!asked("first.pem"));
}
