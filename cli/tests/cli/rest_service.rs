//! A service that listens, and somebody who calls its REST API.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::sandbox::Sandbox;

/// Time in which something must come about, on a machine that builds something else meanwhile.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A service that listens, until it is dropped.
pub struct RestService {
    child: Child,
    /// Where the API is.
    pub url: String,
    /// The first key.
    pub key: String,
}

/// What a service is started with.
#[derive(Clone)]
pub struct Setup {
    /// Its home, in the sandbox.
    pub home: String,
    /// More arguments.
    pub arguments: Vec<String>,
    /// More environment.
    pub environment: Vec<(String, String)>,
    /// A key of an earlier service with the same metadata.
    pub key: Option<String>,
    /// The file that its log goes to, in the sandbox.
    pub log: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            home: "home".to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            key: None,
            log: None,
        }
    }
}

impl Setup {
    /// With these arguments.
    pub fn with(arguments: &[&str]) -> Self {
        Self {
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            ..Self::default()
        }
    }
}

/// The first key of a service with this home, once it is there.
pub fn first_key(home: &Path) -> String {
    let begun = Instant::now();
    loop {
        let key = std::fs::read_to_string(home.join("first-api-key")).unwrap_or_default();
        if key.ends_with('\n') {
            return key.trim().to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "no first key");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl RestService {
    /// Starts a service whose home is in the sandbox.
    pub fn start(sandbox: &Sandbox, setup: &Setup) -> Self {
        let mut command = sandbox.command(&["serve", "--home", &setup.home]);
        if let Some(log) = &setup.log {
            command.stderr(std::fs::File::create(sandbox.path(log)).unwrap());
        }
        let mut child = command
            .args(["--flight-sql", "127.0.0.1:0"])
            .args(["--http", "127.0.0.1:0", "--secret", "env:TEST_SALT"])
            .args(&setup.arguments)
            .envs(setup.environment.iter().cloned())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let url = address(&mut reader, "REST API listens on ");
        // Whoever writes to a closed pipe ends.
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        let key = match &setup.key {
            Some(key) => key.trim().to_owned(),
            None => first_key(&sandbox.path(&setup.home)),
        };
        Self { child, url, key }
    }

    /// Its process.
    pub fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end; gives whether it ended well.
    pub fn stop(mut self) -> bool {
        kill_process(self.process(), Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }

    /// Runs a command that talks to it.
    pub fn command(&self, sandbox: &Sandbox, arguments: &[&str]) -> std::process::Output {
        sandbox
            .command(arguments)
            .env("SANITIZER_API_URL", &self.url)
            .env("SANITIZER_API_KEY", &self.key)
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed; gives what it printed.
    pub fn succeed(&self, sandbox: &Sandbox, arguments: &[&str]) -> String {
        let output = self.command(sandbox, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A caller with the first key.
    pub fn caller(&self) -> Caller {
        Caller::new(&self.url, &self.key)
    }
}

impl Drop for RestService {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rest of the line that begins like this.
pub fn address(reader: &mut impl BufRead, begins: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(
            reader.read_line(&mut line).unwrap() > 0,
            "the program ended"
        );
        if let Some(rest) = line.trim().strip_prefix(begins) {
            return rest.to_owned();
        }
    }
}

/// Somebody who calls the API.
pub struct Caller {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
    key: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Caller {
    /// A caller with a key.
    pub fn new(url: &str, key: &str) -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            client: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            url: url.to_owned(),
            key: key.to_owned(),
        }
    }

    /// Somebody else at the same service.
    pub fn with_key(&self, key: &str) -> Self {
        Self::new(&self.url, key)
    }

    /// Sends a request.
    pub fn call(
        &self,
        method: Method,
        path: &str,
        more: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Answer {
        self.try_call(method, path, more).unwrap()
    }

    /// Sends a request, which may not get through.
    pub fn try_call(
        &self,
        method: Method,
        path: &str,
        more: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> reqwest::Result<Answer> {
        self.runtime.block_on(async {
            let path = match path.starts_with("/api") || path.ends_with('z') {
                true => path.to_owned(),
                false => format!("/api/v1{path}"),
            };
            let request = self.client.request(method, format!("{}{path}", self.url));
            let request = match self.key.as_str() {
                "" => request,
                key => request.bearer_auth(key),
            };
            let answer = more(request).send().await?;
            Ok(Answer {
                status: answer.status(),
                headers: answer.headers().clone(),
                body: answer.bytes().await?.to_vec(),
            })
        })
    }

    /// A document, which must be there.
    pub fn get(&self, path: &str) -> Value {
        let answer = self.call(Method::GET, path, |request| request);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Sends a document; gives the answer.
    pub fn post(&self, path: &str, document: &Value) -> Answer {
        self.call(Method::POST, path, |request| request.json(document))
    }

    /// Sends a file as a form; gives the job.
    pub fn ingest(&self, name: &str, content: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.try_ingest(name, content, fields);
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["job_id"].as_str().unwrap().to_owned()
    }

    /// Sends a file as a form for a tenant; gives the job.
    pub fn ingest_for(
        &self,
        tenant: &str,
        name: &str,
        content: &str,
        fields: &[(&str, &str)],
    ) -> String {
        let answer = self.try_ingest_for(tenant, name, content, fields);
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["job_id"].as_str().unwrap().to_owned()
    }

    /// Sends a file as a form.
    pub fn try_ingest(&self, name: &str, content: &str, fields: &[(&str, &str)]) -> Answer {
        self.try_ingest_for("default", name, content, fields)
    }

    fn try_ingest_for(
        &self,
        tenant: &str,
        name: &str,
        content: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut form = reqwest::multipart::Form::new();
        for (name, value) in fields {
            form = form.text((*name).to_owned(), (*value).to_owned());
        }
        let file = reqwest::multipart::Part::text(content.to_owned()).file_name(name.to_owned());
        let form = form.part("file", file);
        self.call(
            Method::POST,
            &format!("/datasets/{tenant}/ingest"),
            |request| request.multipart(form),
        )
    }

    /// Waits until a job has ended; gives it.
    pub fn ended(&self, job: &str) -> Value {
        self.until(job, |job| {
            matches!(
                job["status"].as_str(),
                Some("success" | "failed" | "cancelled")
            )
        })
    }

    /// Waits until something holds of a job; gives it.
    pub fn until(&self, job: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let seen = self.get(&format!("/jobs/{job}"));
            if holds(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < PATIENCE, "{seen:#}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

/// The files of a job's output that are the same for every run, by path.
pub fn tables_of(caller: &Caller, job: &str) -> BTreeMap<String, String> {
    let files = caller.get(&format!("/jobs/{job}/files"));
    let files = files["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            let text = |name: &str| file[name].as_str().unwrap().to_owned();
            (text("path"), text("sha256"))
        })
        .filter(|(path, _)| path.contains('/'))
        .collect()
}

/// The salt that the service derives for its first tenant, as `sanitizer run` takes it.
pub const TENANT_SALT: &str = "dataset.pii_salt=tenant:default:env:TEST_SALT";

/// The same of what `sanitizer run` makes of the sandbox's `job.yaml`.
pub fn tables_of_run(sandbox: &Sandbox, job: &str, more: &[&str]) -> BTreeMap<String, String> {
    let output = format!("run-{job}");
    let arguments = [
        &["run", "job.yaml", "--job-id", job, "--output", &output][..],
        &["--set", TENANT_SALT],
        more,
    ]
    .concat();
    sandbox.succeed(&arguments);
    let manifest = super::output::document(&sandbox.path(&output).join("metadata.json"));
    let files = manifest["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            let text = |name: &str| file[name].as_str().unwrap().to_owned();
            (text("path"), text("sha256"))
        })
        .filter(|(path, _)| path.contains('/'))
        .collect()
}

/// Rows of a small table, with a duplicate, a gap and a formula.
pub const PEOPLE: &str = "id,name,age,email\n1, Ann ,30,ann@example.com\n2,Bob,,bob@example.com\n1, Ann ,30,ann@example.com\n3,=1+1,50,eve@example.com\n";

/// A key that a caller makes, as the service answers.
pub fn made(caller: &Caller, request: &Value) -> Value {
    let made = caller.post("/keys", request);
    assert_eq!(made.status, 201, "{request}: {}", made.text());
    made.json()
}

/// A caller with a key that another makes.
pub fn with(caller: &Caller, request: &Value) -> Caller {
    caller.with_key(made(caller, request)["secret"].as_str().unwrap())
}

/// Whether a folder has a file or folder of this name somewhere.
pub fn has(folder: &Path, name: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        entry.file_name() == name || (entry.path().is_dir() && has(&entry.path(), name))
    })
}
