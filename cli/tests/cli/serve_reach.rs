//! What `sanitizer serve`, as the README starts it, opens to a stranger on the machine and to a tenant: docs/security.md.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use super::rest_service::{Caller, PATIENCE, PEOPLE, address, first_key};
use super::sandbox::{SALT, Sandbox, files_under};

/// A service with the README's arguments, apart from its port.
struct Plain {
    child: Child,
    url: String,
    key: String,
}

impl Plain {
    fn start(sandbox: &Sandbox) -> Self {
        let mut child = sandbox
            .command(&["serve", "--home", "service"])
            .env("SANITIZER_API_ADDRESS", "127.0.0.1:0")
            .env("SANITIZER_SALT", SALT)
            // Left in the shell by whoever asked an earlier service.
            .env("SANITIZER_API_KEY", "dsk_old_key")
            .env("SANITIZER_API_URL", "http://127.0.0.1:1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
        let url = address(&mut reader, "REST API listens on ");
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        let key = first_key(&sandbox.path("service"));
        Self { child, url, key }
    }

    /// The status of a request without any credential.
    fn stranger(&self, method: &str, path: &str) -> u16 {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap_or_default();
        status
            .parse()
            .unwrap_or_else(|_| panic!("{method} {path}: {answer}"))
    }

    /// The addresses at which the process listens, as the kernel knows them.
    fn listens(&self) -> Vec<String> {
        let folder = format!("/proc/{}", self.child.id());
        let sockets: BTreeSet<String> = std::fs::read_dir(format!("{folder}/fd"))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| {
                let link = link.to_str()?.strip_prefix("socket:[")?;
                Some(link.trim_end_matches(']').to_owned())
            })
            .collect();
        let mut listens = Vec::new();
        for table in ["tcp", "tcp6"] {
            let text = std::fs::read_to_string(format!("{folder}/net/{table}")).unwrap();
            for line in text.lines().skip(1) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                // State 0A is LISTEN.
                if fields[3] == "0A" && sockets.contains(fields[9]) {
                    listens.push(fields[1].to_owned());
                }
            }
        }
        listens
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One port on loopback; without a key nothing but life signs and the description; with one nothing of the machine but
/// what was sent; and files that only their owner reads.
#[test]
fn serve_opens_what_the_white_paper_says() {
    let sandbox = Sandbox::new();
    sandbox.write("customers.csv", PEOPLE);
    let service = Plain::start(&sandbox);

    let listens = service.listens();
    assert_eq!(
        listens.len(),
        1,
        "Flight SQL and metrics are asked for: {listens:?}"
    );
    assert!(listens[0].starts_with("0100007F:"), "{listens:?}");

    let caller = Caller::new(&service.url, &service.key);
    let document = caller.get("/openapi.json");
    let open = BTreeSet::from(["/healthz", "/readyz", "/api/v1/openapi.json"]);
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
                continue;
            }
            let named = path.replace(['{', '}'], "");
            let status = service.stranger(&method, &named);
            let expected = if open.contains(path.as_str()) {
                200
            } else {
                401
            };
            assert_eq!(status, expected, "{method} {path}");
            asked += 1;
        }
    }
    assert!(asked > 40, "{asked} operations");
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/api/v1/openapi.json", 200),
        ("/metrics", 404),
    ] {
        assert_eq!(service.stranger("GET", path), status, "{path}");
    }

    let here = sandbox.path("").canonicalize().unwrap();
    symlink("customers.csv", sandbox.path("link.csv")).unwrap();
    for location in [
        "customers.csv".to_owned(),
        "link.csv".to_owned(),
        "./customers.csv".to_owned(),
        format!("{}", here.join("customers.csv").display()),
        format!("file://{}", here.join("customers.csv").display()),
        format!("x://../{}", here.join("customers.csv").display()),
        "service/first-api-key".to_owned(),
        "service/store/uploads/*/*/x.csv".to_owned(),
        "/etc/passwd".to_owned(),
        "/proc/self/environ".to_owned(),
        "http://127.0.0.1:1/x.csv".to_owned(),
        "s3://bucket/x.csv".to_owned(),
        "upload:../../x".to_owned(),
        "service:output".to_owned(),
    ] {
        let spec = json!({"version": 1, "source": {"location": location}});
        let answer = caller.post("/datasets/default/ingest", &spec);
        assert_eq!(answer.status, 422, "{location}: {}", answer.text());
        let field: Value = answer.json();
        assert!(
            !field.to_string().contains(&here.display().to_string()),
            "{field}"
        );
    }
    // What was sent is read.
    let job = caller.ingest("people.csv", PEOPLE, &[("dataset_name", "people")]);
    assert_eq!(caller.ended(&job)["status"], "success");
    let answer = caller.call(Method::GET, "/jobs/x/report", |request| request);
    assert!(answer.status.is_client_error());

    let home = sandbox.path("service");
    for path in files_under(&home) {
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        let folder = path.parent().unwrap().metadata().unwrap();
        assert_eq!(
            folder.permissions().mode() & 0o777,
            0o700,
            "{}",
            path.display()
        );
    }
}
