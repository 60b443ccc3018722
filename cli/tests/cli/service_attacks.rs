//! People who mean no good: what they send is refused, is in the log, and the service goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::rest_service::{PATIENCE, PEOPLE, RestService, Setup};
use super::sandbox::Sandbox;

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
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
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
