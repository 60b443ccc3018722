//! Who may do what: every operation by every kind of credential; and the certificate of the server.

use std::time::Duration;

use reqwest::Method;
use scheduler::access::ENDPOINTS;
use serde_json::{Value, json};

use super::provider::Provider;
use super::rest_service::{Answer, Caller, PATIENCE, PEOPLE, RestService, Setup};
use super::sandbox::Sandbox;

/// What an operation is about, and so what a caller that is limited to another dataset gets.
#[derive(Clone, Copy, PartialEq, Debug)]
enum About {
    /// Nobody's data.
    Nobody,
    /// A dataset, or what belongs to one: not there.
    Dataset,
    /// The caller's own, or a list, in which others are left out.
    Own,
    /// All of the tenant, or all tenants: refused.
    Tenant,
}

use About::{Dataset, Nobody, Own, Tenant};

/// Every operation of the API, the action that the request of this test needs (`""` for a credential, `-` for none), and
/// what it is about. Written by hand, and not taken from the service: what the service checks is compared with it.
#[rustfmt::skip]
const OPERATIONS: &[(&str, &str, &str, About)] = &[
    ("GET", "/healthz", "-", Nobody),
    ("GET", "/readyz", "-", Nobody),
    ("GET", "/api/v1/openapi.json", "-", Nobody),
    ("GET", "/api/v1/me", "", Nobody),
    ("GET", "/api/v1/steps", "", Nobody),
    ("GET", "/api/v1/steps/{step_type}", "", Nobody),
    ("GET", "/api/v1/schema/job", "", Nobody),
    ("GET", "/api/v1/jobs", "jobs:read", Own),
    ("GET", "/api/v1/jobs/{job_id}", "jobs:read", Dataset),
    ("DELETE", "/api/v1/jobs/{job_id}", "jobs:cancel", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/attempts", "jobs:read", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/events", "jobs:read", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/report", "jobs:read", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/download", "data:read", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/files", "data:read", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/files/{name}", "data:read", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/files/{table}/{name}", "data:read", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/provenance", "provenance:read", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/review", "provenance:read", Dataset),
    ("POST", "/api/v1/jobs/{job_id}/review", "review:decide", Dataset),
    ("POST", "/api/v1/jobs/{job_id}/review/publish", "review:decide", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/removed", "data:read", Dataset),
    ("GET", "/api/v1/jobs/{job_id}/quarantine", "data:read", Dataset),
    ("POST", "/api/v1/datasets/{tenant_id}/ingest", "jobs:submit", Dataset),
    ("GET", "/api/v1/datasets/{tenant_id}", "jobs:read", Own),
    ("GET", "/api/v1/datasets/{tenant_id}/{dataset}", "jobs:read", Dataset),
    ("GET", "/api/v1/datasets/{tenant_id}/{dataset}/versions", "jobs:read", Dataset),
    ("GET", "/api/v1/datasets/{tenant_id}/{dataset}/versions/{version}", "jobs:read", Dataset),
    ("GET", "/api/v1/datasets/{tenant_id}/{dataset}/contracts", "jobs:read", Dataset),
    ("POST", "/api/v1/datasets/{tenant_id}/{dataset}/contracts", "contracts:write", Dataset),
    ("GET", "/api/v1/rules", "jobs:read", Tenant),
    ("GET", "/api/v1/rules/{name}", "jobs:read", Tenant),
    ("PUT", "/api/v1/rules/{name}", "contracts:write", Tenant),
    ("DELETE", "/api/v1/rules/{name}", "contracts:write", Tenant),
    ("POST", "/api/v1/uploads", "jobs:submit", Own),
    ("GET", "/api/v1/uploads/{upload_id}", "jobs:submit", Dataset),
    ("DELETE", "/api/v1/uploads/{upload_id}", "jobs:submit", Dataset),
    ("PUT", "/api/v1/uploads/{upload_id}/parts/{number}", "jobs:submit", Dataset),
    ("POST", "/api/v1/uploads/{upload_id}/complete", "jobs:submit", Dataset),
    ("GET", "/api/v1/audit", "audit:read", Tenant),
    ("GET", "/api/v1/audit/verify", "audit:read", Tenant),
    ("GET", "/api/v1/audit/export", "audit:read", Tenant),
    ("GET", "/api/v1/usage", "usage:read", Tenant),
    ("GET", "/api/v1/keys", "keys:manage", Tenant),
    ("POST", "/api/v1/keys", "keys:manage", Tenant),
    ("DELETE", "/api/v1/keys/{key_id}", "keys:manage", Tenant),
    ("POST", "/api/v1/keys/{key_id}/rotate", "keys:manage", Tenant),
    ("GET", "/api/v1/users", "keys:manage", Tenant),
    ("PATCH", "/api/v1/users/{user_id}", "keys:manage", Tenant),
    ("POST", "/api/v1/tokens/reveal", "tokens:reveal", Tenant),
    ("GET", "/api/v1/tenants", "tenants:read", Tenant),
    ("POST", "/api/v1/tenants", "tenants:manage", Tenant),
    ("PATCH", "/api/v1/tenants/{tenant_id}", "tenants:suspend", Tenant),
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

/// The actions that only admins have, and those that only operators have.
const ADMINS: &[&str] = &["audit:read", "keys:manage", "tokens:reveal"];
const OPERATORS: &[&str] = &[
    "tenants:read",
    "tenants:manage",
    "tenants:suspend",
    "tenants:keys",
];

/// Things of a tenant that paths can name.
struct Things {
    job: String,
    upload: String,
}

fn key(admin: &Caller, request: &Value) -> Value {
    let made = admin.post("/keys", request);
    assert_eq!(made.status, 201, "{request}: {}", made.text());
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
        ("POST", "uploads") => Some(json!({"name": "a.csv"})),
        ("POST", "keys") => Some(json!({"name": "k", "role": "reviewer", "actions": []})),
        ("POST", "tenants") => Some(json!({"name": format!("t{}", uuid())})),
        ("POST", "contracts") => Some(json!({"columns": []})),
        ("POST", "ingest") => Some(
            json!({"name": "people", "source": {"location": format!("upload:{}", things.upload)}}),
        ),
        ("POST", "review") => {
            Some(json!({"decisions": [{"row_id": 1, "column_name": "age", "decision": "approve"}]}))
        }
        ("POST", "reveal") => Some(json!({"tokens": ["tok_x"], "reason": "a test"})),
        ("PUT", "tidy") => Some(json!({"steps": []})),
        ("PATCH", "default") => Some(json!({"suspended": false})),
        ("PATCH", _) => Some(json!({"suspended": true})),
        _ => None,
    };
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    caller.call(method, &path, |request| match &body {
        Some(body) => request.json(body),
        None => request,
    })
}

fn uuid() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// The table of this test has every endpoint of the service's table and every operation of the OpenAPI document, with
/// the same needs.
fn covers_everything(admin: &Caller) {
    let document = admin.get("/openapi.json");
    let mut described = vec![("GET".to_owned(), "/api/v1/openapi.json".to_owned())];
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase();
            let known = OPERATIONS
                .iter()
                .find(|known| known.0 == method && known.1 == path);
            let known = known.unwrap_or_else(|| panic!("{method} {path} is not in this test"));
            let told = &operation["x-required-actions"];
            match known.2 {
                "" | "-" => assert!(told.is_null(), "{method} {path}: {told}"),
                action => assert!(
                    told.as_array().unwrap().contains(&json!(action)),
                    "{method} {path}: {told}"
                ),
            }
            described.push((method, path.clone()));
        }
    }
    assert_eq!(described.len(), OPERATIONS.len());
    assert_eq!(ENDPOINTS.len(), OPERATIONS.len());
    for endpoint in ENDPOINTS {
        let known = described
            .iter()
            .any(|(method, path)| method == endpoint.method && path == endpoint.path);
        assert!(known, "{} {} is not served", endpoint.method, endpoint.path);
    }
}

/// Callers whose credential does not hold: nobody gets in with one.
fn nobodies(admin: &Caller, provider: &Provider, default: &Value) -> Vec<(&'static str, Caller)> {
    let secret = |made: &Value| admin.with_key(made["secret"].as_str().unwrap());
    let revoke = |made: &Value| {
        let path = format!("/keys/{}", made["id"].as_str().unwrap());
        let revoked = admin.call(Method::DELETE, &path, |request| request);
        assert_eq!(revoked.status, 204, "{}", revoked.text());
    };
    let revoked = key(admin, &json!({"name": "g", "role": "admin"}));
    revoke(&revoked);
    let maker = key(admin, &json!({"name": "m", "role": "admin"}));
    let orphan = key(&secret(&maker), &json!({"name": "o", "role": "admin"}));
    let grandchild = key(&secret(&orphan), &json!({"name": "p", "role": "reviewer"}));
    revoke(&maker);
    let soon = chrono::Utc::now() + chrono::TimeDelta::milliseconds(1500);
    let expired = key(
        admin,
        &json!({"name": "x", "role": "admin", "expires_at": soon.to_rfc3339()}),
    );

    let token = provider.token("eve", "admin", (600, "one"));
    let of_user = key(
        &admin.with_key(&token),
        &json!({"name": "u", "role": "admin"}),
    );
    let users = admin.get("/users");
    let eve = users["users"].as_array().unwrap().iter();
    let eve = eve.clone().find(|user| user["subject"] == "eve").unwrap();
    let path = format!("/users/{}", eve["id"].as_str().unwrap());
    let suspend = json!({"suspended": true});
    let suspended = admin.call(Method::PATCH, &path, |request| request.json(&suspend));
    assert_eq!(suspended.status, 200);

    let made = admin.post("/tenants", &json!({"name": "closed", "limits": default}));
    assert_eq!(made.status, 201, "{}", made.text());
    let closed = key(
        admin,
        &json!({"name": "c", "role": "admin", "tenant": "closed"}),
    );
    admin.call(Method::PATCH, "/tenants/closed", |request| {
        request.json(&suspend)
    });

    let past = provider.token("ann", "admin", (-600, "one"));
    std::thread::sleep(Duration::from_millis(1600));
    vec![
        ("nobody", admin.with_key("")),
        ("a revoked key", secret(&revoked)),
        ("a key whose maker is revoked", secret(&orphan)),
        ("a key whose maker's maker is revoked", secret(&grandchild)),
        ("an expired key", secret(&expired)),
        ("a stale token", admin.with_key(&past)),
        ("a suspended user", admin.with_key(&token)),
        ("a key of a suspended user", secret(&of_user)),
        ("a key of a suspended tenant", secret(&closed)),
    ]
}

/// Every operation, by every kind of credential, on things of one's own tenant and of another one.
#[test]
fn every_operation_by_every_credential() {
    let sandbox = Sandbox::new();
    let provider = Provider::start(&sandbox);
    let service = RestService::start(&sandbox, &provider.setup());
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
    covers_everything(&admin);

    let with = |request: Value| admin.with_key(key(&admin, &request)["secret"].as_str().unwrap());
    let nobodies = nobodies(&admin, &provider, &fast);
    let mut limited: Vec<(String, Caller, Vec<&str>)> = vec![
        (
            "an engineer".to_owned(),
            with(json!({"name": "e", "role": "data_engineer"})),
            ENGINEER.to_vec(),
        ),
        (
            "a reviewer".to_owned(),
            with(json!({"name": "r", "role": "reviewer"})),
            REVIEWER.to_vec(),
        ),
        (
            "a user of the provider".to_owned(),
            admin.with_key(&provider.token("ann", "data_engineer", (600, "one"))),
            ENGINEER.to_vec(),
        ),
        (
            "an admin that is no operator".to_owned(),
            with(json!({"name": "a", "role": "admin"})),
            [ENGINEER, ADMINS].concat(),
        ),
        (
            "an operator without actions".to_owned(),
            with(json!({"name": "o", "role": "reviewer", "operator": true, "actions": []})),
            Vec::new(),
        ),
        (
            "an operator who is a reviewer".to_owned(),
            with(json!({"name": "o", "role": "reviewer", "operator": true})),
            [REVIEWER, OPERATORS].concat(),
        ),
    ];
    for action in [ENGINEER, ADMINS, OPERATORS].concat() {
        let request =
            json!({"name": action, "role": "admin", "operator": true, "actions": [action]});
        limited.push((format!("a key for {action}"), with(request), vec![action]));
    }
    let stranger = with(json!({"name": "s", "role": "admin", "tenant": "other"}));
    let elsewhere = with(json!({"name": "d", "role": "admin", "datasets": ["sales"]}));
    let apart =
        with(json!({"name": "d", "role": "admin", "operator": true, "datasets": ["sales"]}));

    for (method, path, action, about) in OPERATIONS {
        let status = |caller: &Caller| send(caller, (method, path), &things).status.as_u16();
        let told = |who: &str, status: u16| format!("{method} {path} by {who}: {status}");
        for (who, caller) in &nobodies {
            let got = status(caller);
            let expected = if *action == "-" { 200 } else { 401 };
            assert_eq!(got, expected, "{}", told(who, got));
        }
        for (who, caller, actions) in &limited {
            let may = matches!(*action, "" | "-") || actions.contains(action);
            // Where the change is another one, so is the action.
            let got = status(caller);
            assert_eq!(got == 403, !may, "{}", told(who, got));
            assert!(got != 401 && got < 500, "{}", told(who, got));
        }
        // What names something of the tenant is not there for a stranger, and not for a key of another dataset.
        let operators = OPERATORS.contains(action);
        let names = [
            "{job_id}",
            "{upload_id}",
            "{dataset}",
            "{tenant_id}",
            "{name}",
            "{key_id}",
            "{user_id}",
        ];
        if !operators && *method != "PUT" && names.iter().any(|name| path.contains(name)) {
            let got = status(&stranger);
            assert_eq!(got, 404, "{}", told("a stranger", got));
        }
        for (who, caller) in [
            ("a key for another dataset", &elsewhere),
            ("an operator for another dataset", &apart),
        ] {
            let got = status(caller);
            let expected = match about {
                Dataset => got == 404,
                Tenant => got == 403,
                Own | Nobody => (200..300).contains(&got),
            };
            assert!(expected, "{}", told(who, got));
        }
        let got = status(&admin);
        assert!(
            got != 401 && got != 403 && got < 500,
            "{}",
            told("the admin", got)
        );
    }
    // What is not in the table is not served: no other method of a path, and no other path.
    for (method, path, expected) in [
        ("PUT", "/jobs", 405),
        ("OPTIONS", "/keys", 405),
        ("GET", "/nowhere", 404),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(
            admin.call(method, path, |request| request).status,
            expected,
            "{path}"
        );
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
            begun.elapsed() < PATIENCE,
            "the new certificate is not used"
        );
    }
    assert!(!asked("first.pem"));
}
