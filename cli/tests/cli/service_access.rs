//! Who may do what, and people who try what they may not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
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

/// Sends bytes as they are; gives the first line of the answer.
fn raw(service: &RestService, request: &str) -> String {
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Requests of people who mean no good: refused, and the service goes on.
#[test]
fn attacks_on_paths_and_fields() {
    let sandbox = Sandbox::new();
    let service = RestService::start(&sandbox, &Setup::default());
    let caller = service.caller();
    let job = caller.ingest(
        "../../../../evil.csv",
        PEOPLE,
        &[("dataset_name", "people")],
    );
    assert_eq!(caller.ended(&job)["status"], "success");
    assert!(!sandbox.path("evil.csv").exists() && !sandbox.path("home/evil.csv").exists());

    let authorized = format!(
        "Host: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        service.key
    );
    for path in [
        format!("/api/v1/jobs/{job}/files/..%2f..%2f..%2ffirst-api-key"),
        format!("/api/v1/jobs/{job}/files/data/..%2f..%2freport.json"),
        format!("/api/v1/jobs/{job}/files/%2e%2e/first-api-key"),
        format!("/api/v1/jobs/{job}/files/data/%00"),
        "/api/v1/jobs/..%2f..%2fme".to_owned(),
        "/api/v1/../../etc/passwd".to_owned(),
        "/api/v1/jobs/%27%20OR%20%271%27=%271".to_owned(),
        "/api/v1/datasets/default/people'%3B%20DROP%20TABLE%20jobs%3B--".to_owned(),
    ] {
        let answer = raw(&service, &format!("GET {path} HTTP/1.1\r\n{authorized}"));
        assert!(
            answer.contains(" 404") || answer.contains(" 400"),
            "{path}: {answer}"
        );
    }
    // Fields that would be statements, headers or paths elsewhere are texts here.
    let name = "x'); DELETE FROM jobs; --";
    let injected = caller.ingest("a.csv", PEOPLE, &[("dataset_name", name)]);
    assert_eq!(caller.ended(&injected)["dataset_name"], name);
    let filter = "/audit?action=x%27%20OR%20%271%27%3D%271";
    assert_eq!(caller.get(filter)["records"], json!([]));
    for (name, status) in [("a/b", 422), ("a\nb", 422), ("", 422)] {
        let answer = caller.try_ingest("a.csv", PEOPLE, &[("dataset_name", name)]);
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{name:?}: {}",
            answer.text()
        );
    }
    let answer = caller.call(Method::GET, "/jobs?cursor=eyJhIjoxfQ", |request| request);
    assert_eq!(answer.status, 422);
    // Two credentials, a smuggled length, no end of headers.
    let twice = format!(
        "GET /api/v1/me HTTP/1.1\r\nX-API-Key: {}\r\n{authorized}",
        service.key
    );
    assert!(raw(&service, &twice).contains(" 401"));
    let smuggled = "POST /api/v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/v1/me HTTP/1.1\r\n\r\n";
    let answer = raw(&service, smuggled);
    assert!(!answer.contains(" 200"), "{answer}");
    let long = format!(
        "GET /api/v1/me HTTP/1.1\r\nX-Long: {}\r\n{authorized}",
        "x".repeat(1 << 20)
    );
    let answer = raw(&service, &long);
    assert!(!answer.contains(" 200"), "{answer}");
    assert_eq!(caller.get("/me")["tenant"], "default");
}

/// Bodies that are too long, that unfold to too much, or that never end: refused, and nothing is left.
#[test]
fn attacks_by_size() {
    let sandbox = Sandbox::new();
    let setup = Setup::with(&["--max-upload", "2MiB", "--max-decompressed", "8MiB"]);
    let service = RestService::start(&sandbox, &setup);
    let caller = service.caller();
    let large = format!("a,b\n{}", "1,2\n".repeat(600_000));
    let answer = caller.try_ingest("large.csv", &large, &[]);
    assert_eq!(answer.status, 413, "{}", answer.text());
    let field = "x".repeat(2 << 20);
    let answer = caller.try_ingest("a.csv", PEOPLE, &[("spec", &field)]);
    assert_eq!(answer.status, 413, "{}", answer.text());
    let uploads = sandbox.path("home/store/uploads");
    let left = std::fs::read_dir(&uploads).map_or(0, |tenants| {
        tenants
            .flatten()
            .map(|tenant| std::fs::read_dir(tenant.path()).unwrap().count())
            .sum::<usize>()
    });
    assert_eq!(left, 0, "what was not taken is gone");
    let long = json!({"name": "x".repeat(3 << 20)});
    assert_eq!(caller.post("/keys", &long).status, 413);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = caller.call(Method::PUT, "/rules/deep", |request| {
        request
            .header("content-type", "application/json")
            .body(deep)
    });
    assert_eq!(answer.status, 400, "{}", answer.text());

    // Small files that unfold to large ones: compressed text, and a workbook.
    let bomb = |script: &str, name: &str| {
        let path = sandbox.path(name);
        let run = Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .status()
            .unwrap();
        assert!(run.success());
        let file = reqwest::multipart::Part::bytes(std::fs::read(&path).unwrap())
            .file_name(name.to_owned());
        let answer = caller.call(Method::POST, "/datasets/default/ingest", |request| {
            request.multipart(reqwest::multipart::Form::new().part("file", file))
        });
        assert_eq!(answer.status, 202, "{}", answer.text());
        let ended = caller.ended(answer.json()["job_id"].as_str().unwrap());
        assert_eq!(ended["status"], "failed", "{ended:#}");
        let message = ended["error"]["message"].as_str().unwrap();
        assert!(message.contains("max_decompressed_bytes"), "{message}");
        assert_eq!(ended["attempt"], 1);
    };
    bomb(
        "import sys,gzip; gzip.open(sys.argv[1],'wb').write(b'a,b\\n' + b'1,2\\n' * 8000000)",
        "bomb.csv.gz",
    );
    bomb(
        "import sys,zipfile; z = zipfile.ZipFile(sys.argv[1],'w',zipfile.ZIP_DEFLATED); z.writestr('xl/workbook.xml', ' ' * 60000000)",
        "bomb.xlsx",
    );
    let spec = json!({"name": "x", "source": {"location": format!("upload:{}", uuid::Uuid::nil()), "options": {"max_decompressed_bytes": "1TiB"}}});
    assert_eq!(caller.post("/datasets/default/ingest", &spec).status, 422);
    assert_eq!(caller.get("/me")["tenant"], "default");
}

/// Senders that fall asleep in the middle, or never come to an end, are sent away; they leave nothing, and a line in
/// the log.
#[test]
fn attacks_by_patience() {
    let sandbox = Sandbox::new();
    let setup = Setup {
        log: Some("log".to_owned()),
        ..Setup::with(&["--body-timeout", "1s", "--max-upload", "2MiB"])
    };
    let service = RestService::start(&sandbox, &setup);
    let authority = service.url.strip_prefix("http://").unwrap();
    let key = &service.key;
    let head = |kind: &str, more: &str| {
        format!(
            "POST /api/v1/datasets/default/ingest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: {kind}\r\n{more}\r\n"
        )
    };
    let form = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\na,b\n1,2\n";
    let multipart = "multipart/form-data; boundary=x";
    let listening = || {
        let stream = std::net::TcpStream::connect(authority).unwrap();
        stream
            .set_read_timeout(Some(super::rest_service::PATIENCE))
            .unwrap();
        stream
    };
    let answer_to = |sent: &str| {
        let mut stream = listening();
        stream.write_all(sent.as_bytes()).unwrap();
        let mut answer = String::new();
        // Until it hangs up.
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    for (what, sent) in [
        (
            "a file",
            head(multipart, "Content-Length: 100000\r\n") + form,
        ),
        (
            "a form",
            head(multipart, "Content-Length: 100000\r\n") + "--x\r\nContent-Disp",
        ),
        (
            "a field",
            head(multipart, "Content-Length: 100000\r\n") + &form.replace("file", "spec"),
        ),
        (
            "a spec",
            head("application/json", "Content-Length: 100\r\n") + "{\"version\": 1",
        ),
    ] {
        let answer = answer_to(&sent);
        assert!(answer.starts_with("HTTP/1.1 408"), "{what}: {answer}");
    }
    // Half a head is no request: there is nobody to answer.
    let answer = answer_to("GET /api/v1/me HTTP/1.1\r\nHost: x\r\nX-Half");
    assert!(!answer.contains(" 200"), "{answer}");

    // One that always has something more to say.
    let mut stream = listening();
    let begin = head(multipart, "Transfer-Encoding: chunked\r\n");
    stream.write_all(begin.as_bytes()).unwrap();
    stream
        .write_all(format!("{:x}\r\n{form}\r\n", form.len()).as_bytes())
        .unwrap();
    let chunk = format!("10000\r\n{}\r\n", "1,2\n".repeat(0x4000));
    let mut sent = 0;
    while sent < 1000 && stream.write_all(chunk.as_bytes()).is_ok() {
        sent += 1;
    }
    assert!(sent < 1000, "more than 60 MB were taken");

    let uploads = sandbox.path("home/store/uploads");
    let tenants = std::fs::read_dir(&uploads).into_iter().flatten().flatten();
    let left: usize = tenants
        .map(|tenant| std::fs::read_dir(tenant.path()).unwrap().count())
        .sum();
    assert_eq!(left, 0, "what was not taken is gone");
    assert_eq!(service.caller().get("/jobs")["jobs"], json!([]));
    let log = std::fs::read_to_string(sandbox.path("log")).unwrap();
    let told = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((told("status=408"), told("status=413")), (4, 1), "{log}");
}

/// Tokens that are forged, stale, or signed in another way than the key's own let nobody in.
#[test]
fn forged_tokens() {
    let sandbox = Sandbox::new();
    let (private, n, e) = rsa_key(&sandbox);
    let jwks = json!({"keys": [{"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": n, "e": e}]}).to_string();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let document = jwks.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                document.len()
            );
            let _ = stream.write_all(format!("{head}{document}").as_bytes());
        }
    });
    let url = format!("http://{address}/jwks");
    let setup = Setup::with(&[
        "--jwks-url",
        &url,
        "--jwt-issuer",
        "https://id.example.org",
        "--jwt-audience",
        "sanitizer",
    ]);
    let setup = Setup {
        log: Some("log".to_owned()),
        ..setup
    };
    let service = RestService::start(&sandbox, &setup);
    let now = chrono::Utc::now().timestamp();
    let claims = json!({"sub": "ann", "iss": "https://id.example.org", "aud": "sanitizer", "exp": now + 600, "tenant": "default", "role": ["other", "DataEngineer"]});
    let signed =
        |claims: &Value, header: Header, key: &EncodingKey| encode(&header, claims, key).unwrap();
    let header = |algorithm: Algorithm| Header {
        kid: Some("one".to_owned()),
        ..Header::new(algorithm)
    };
    let rsa = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
    let good = signed(&claims, header(Algorithm::RS256), &rsa);
    let me = service.caller().with_key(&good).get("/me");
    assert_eq!(
        (&me["actor"], &me["role"], &me["operator"]),
        (&json!("user:ann"), &json!("data_engineer"), &json!(false))
    );

    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        signed(&claims, header(Algorithm::RS256), &rsa)
    };
    let (other, _, _) = rsa_key(&sandbox);
    let other = EncodingKey::from_rsa_pem(other.as_bytes()).unwrap();
    let hmac = |secret: &str| {
        signed(
            &claims,
            header(Algorithm::HS256),
            &EncodingKey::from_secret(secret.as_bytes()),
        )
    };
    let parts: Vec<&str> = good.split('.').collect();
    let encoded = |document: &Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(document.to_string())
    };
    let admin = {
        let mut claims = claims.clone();
        claims["role"] = json!("admin");
        encoded(&claims)
    };
    for (what, token) in [
        ("stale", changed("exp", json!(now - 3600))),
        ("not yet", changed("nbf", json!(now + 3600))),
        (
            "of another issuer",
            changed("iss", json!("https://evil.example.org")),
        ),
        ("for somebody else", changed("aud", json!("other"))),
        ("of no tenant", changed("tenant", json!("nobody"))),
        ("without a role", changed("role", json!("king"))),
        (
            "of another key",
            signed(&claims, header(Algorithm::RS256), &other),
        ),
        (
            "of an unknown key",
            signed(
                &claims,
                Header {
                    kid: Some("two".to_owned()),
                    ..Header::new(Algorithm::RS256)
                },
                &rsa,
            ),
        ),
        (
            "with another algorithm of the key",
            signed(&claims, header(Algorithm::PS256), &rsa),
        ),
        ("signed with the public key as a secret", hmac(&jwks)),
        ("signed with its modulus", hmac(&n)),
        (
            "unsigned",
            format!(
                "{}.{}.",
                encoded(&json!({"alg": "none", "kid": "one"})),
                parts[1]
            ),
        ),
        ("changed", format!("{}.{admin}.{}", parts[0], parts[2])),
        ("cut", good[..good.len() - 4].to_owned()),
    ] {
        let answer = service
            .caller()
            .with_key(&token)
            .call(Method::GET, "/me", |request| request);
        assert_eq!(answer.status, 401, "a token {what}: {}", answer.text());
    }

    // Who holds a good token may still be shut out, by an admin.
    let admin = service.caller();
    let users = admin.get("/users");
    let ann = &users["users"][0];
    assert_eq!(
        (
            &ann["subject"],
            &ann["role"],
            users["users"].as_array().unwrap().len()
        ),
        (&json!("ann"), &json!("data_engineer"), 1),
        "{users:#}"
    );
    let path = format!("/users/{}", ann["id"].as_str().unwrap());
    for (suspended, status) in [(true, 401), (false, 200)] {
        let changed = admin.call(Method::PATCH, &path, |request| {
            request.json(&json!({"suspended": suspended}))
        });
        assert_eq!(changed.json()["suspended"], suspended);
        let answer = admin
            .with_key(&good)
            .call(Method::GET, "/me", |request| request);
        assert_eq!(answer.status, status);
    }
    let refused = admin
        .with_key(&good)
        .call(Method::GET, "/users", |request| request);
    assert_eq!(refused.status, 403);

    // Refusals are in the log, and no token is.
    let log = std::fs::read_to_string(sandbox.path("log")).unwrap();
    let refusals = log
        .lines()
        .filter(|line| line.contains("a request was refused"));
    let of = |status: &str| {
        refusals
            .clone()
            .filter(|line| line.contains(status))
            .count()
    };
    assert_eq!((of("status=401"), of("status=403")), (15, 1), "{log}");
    assert!(log.contains("user:ann"), "{log}");
    for secret in [parts[1], parts[2], &service.key] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// A key pair: the private key in PEM, and modulus and exponent of the public one.
fn rsa_key(sandbox: &Sandbox) -> (String, String, String) {
    let path = sandbox.path("key.pem");
    let made = Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
        ])
        .arg(&path)
        .output()
        .unwrap();
    assert!(made.status.success());
    let modulus = Command::new("openssl")
        .args(["rsa", "-noout", "-modulus", "-in"])
        .arg(&path)
        .output()
        .unwrap();
    let modulus = String::from_utf8(modulus.stdout).unwrap();
    let modulus = modulus.trim().strip_prefix("Modulus=").unwrap();
    let bytes: Vec<u8> = (0..modulus.len() / 2)
        .map(|at| u8::from_str_radix(&modulus[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let pem = std::fs::read_to_string(&path).unwrap();
    (pem, engine.encode(bytes), engine.encode([1, 0, 1]))
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
