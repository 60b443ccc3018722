//! `sanitizer serve` and `sanitizer users`, with `sanitizer sql` as the client.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Output, Stdio};

use benchmarks_harness::ClusterOptions;
use rustix::process::{Pid, Signal, kill_process};

use super::sandbox::Sandbox;
use super::sql::{printed, with_people};

const PASSWORD: &str = "a password of hers";

/// A service that listens, until it is dropped.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(sandbox: &Sandbox, more: &[&str]) -> Self {
        let arguments = [&["serve", "--home", "home", "--allow", "."], more].concat();
        let mut child = sandbox
            .command(&arguments)
            .env("SANITIZER_SERVE_FLIGHT_SQL", "127.0.0.1:0")
            .env("SANITIZER_API_ADDRESS", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("Flight SQL listens on ");
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, address }
    }

    /// Asks it to stop; gives whether it ended well.
    fn stop(mut self, signal: Signal) -> bool {
        let process = Pid::from_child(&self.child);
        kill_process(process, signal).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn users(sandbox: &Sandbox, arguments: &[&str], input: &str) -> Output {
    let arguments = [&["users", "--home", "home"], arguments].concat();
    let mut child = sandbox
        .command(&arguments)
        .env_remove("SANITIZER_PASSWORD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// What `sanitizer users` prints; it must succeed.
fn told(sandbox: &Sandbox, arguments: &[&str], input: &str) -> String {
    let output = users(sandbox, arguments, input);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a statement at a server; gives the exit status, the rows and the error.
fn ask(
    sandbox: &Sandbox,
    (url, environment): (&str, &[(&str, &str)]),
    arguments: &[&str],
) -> (i32, String, String) {
    let arguments = [&["sql", "--format", "csv", "--server", url], arguments].concat();
    let mut command = sandbox.command(&arguments);
    command.env_remove("SANITIZER_PASSWORD");
    command.envs(environment.iter().copied());
    let output = command.output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Users are added, listed, given other passwords and keys, and removed; mistakes are told.
#[test]
fn users_are_managed() {
    let sandbox = Sandbox::new();
    told(
        &sandbox,
        &["add", "ann", "--tenant", "a"],
        &format!("{PASSWORD}\n"),
    );
    told(
        &sandbox,
        &["add", "robot", "--tenant", "b", "--no-password"],
        "",
    );
    let key = told(&sandbox, &["key", "robot", "--expires", "90d"], "");
    assert_eq!(key.lines().count(), 1, "{key}");
    let list = told(&sandbox, &["list"], "");
    for (name, rest) in [("ann", "yes"), ("robot", "no")] {
        let line = list.lines().find(|line| line.contains(name)).unwrap();
        assert!(line.contains(rest), "{list}");
    }
    let keys = told(&sandbox, &["keys", "robot"], "");
    let id = key.split('_').nth(1).unwrap();
    assert!(keys.contains(id), "{keys}");
    let secret = key.trim().rsplit('_').next().unwrap();
    assert!(!keys.contains(secret), "a secret is shown once");
    told(&sandbox, &["remove-key", id], "");
    told(&sandbox, &["password", "ann"], "another of hers\n");
    told(&sandbox, &["remove", "robot"], "");
    assert!(!told(&sandbox, &["list"], "").contains("robot"));

    let cases: [(&[&str], &str, &str); 5] = [
        (&["add", "ann", "--tenant", "a"], "a password\n", "ann"),
        (&["add", "bob", "--tenant", "a"], "", "password"),
        (&["remove", "bob"], "", "bob"),
        (&["key", "bob"], "", "bob"),
        (&["key", "ann", "--expires", "soon"], "", "90d"),
    ];
    for (arguments, input, word) in cases {
        let output = users(&sandbox, arguments, input);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
}

/// People with a password and programs with a key see the tables of their tenant, and nobody else
/// sees anything; the service ends well when it is asked to.
#[test]
fn statements_run_at_a_server() {
    let sandbox = with_people();
    for (name, tenant) in [("ann", "a"), ("eve", "b")] {
        let input = format!("{PASSWORD}\n");
        told(&sandbox, &["add", name, "--tenant", tenant], &input);
    }
    let key = told(&sandbox, &["key", "ann"], "");
    let service = Service::start(&sandbox, &["--session-timeout", "5m"]);
    let url = format!("grpc://{}", service.address);
    let password = [("SANITIZER_PASSWORD", PASSWORD)];
    let made = "CREATE EXTERNAL TABLE people (id INT, name TEXT, age INT) \
        STORED AS CSV LOCATION 'people.csv'";
    let count = "SELECT count(*) AS n FROM people";
    let as_ann = |arguments: &[&str]| {
        ask(
            &sandbox,
            (&url, &password),
            &[&["--user", "ann"], arguments].concat(),
        )
    };
    assert_eq!(as_ann(&[made]), (0, String::new(), String::new()));
    let clean = as_ann(&["SELECT sanitize(*) FROM people ORDER BY id"]);
    assert_eq!(
        clean.1, "id,name,age\n1,Ann,31\n2,Bob,38\n3,Zoë,45\n",
        "{}",
        clean.2
    );
    let (status, columns, error) = as_ann(&["\\d people"]);
    assert_eq!(
        (status, columns.lines().count()),
        (0, 4),
        "{columns}{error}"
    );
    let (status, _, error) = as_ann(&["SELECT 1;\nSELECT * FROM nowhere"]);
    assert_eq!(status, 2, "{error}");
    assert!(
        error.contains("nowhere") && error.lines().count() == 1,
        "{error}"
    );

    let with_key = [("SANITIZER_API_KEY", key.trim())];
    assert_eq!(ask(&sandbox, (&url, &with_key), &[count]).1, "n\n4\n");
    let (status, _, error) = ask(&sandbox, (&url, &password), &["--user", "eve", count]);
    assert_eq!(status, 2, "another tenant: {error}");
    let wrong = [("SANITIZER_PASSWORD", "not her password")];
    let (status, _, error) = ask(&sandbox, (&url, &wrong), &["--user", "ann", count]);
    assert_eq!(status, 2, "{error}");
    assert!(error.contains("password is wrong"), "{error}");
    assert_eq!(
        ask(&sandbox, (&url, &[]), &[count]).0,
        2,
        "nobody in particular"
    );
    let (status, _, error) = as_ann(&["SELECT * FROM '/etc/passwd'"]);
    assert_eq!(status, 2, "{error}");

    assert!(service.stop(Signal::TERM));
    let (status, _, error) = as_ann(&[count]);
    assert_eq!(status, 1, "{error}");
    assert!(error.contains("does not answer"), "{error}");
}

/// With a certificate, rows travel encrypted, and the client knows whom it talks to.
#[test]
fn a_server_with_a_certificate() {
    let sandbox = with_people();
    let names = vec!["127.0.0.1".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    sandbox.write("cert.pem", &certified.cert.pem());
    sandbox.write("key.pem", &certified.signing_key.serialize_pem());
    sandbox.write("serve.toml", "tls_key = \"key.pem\"\nmax_sessions = 5\n");
    told(
        &sandbox,
        &["add", "ann", "--tenant", "a"],
        &format!("{PASSWORD}\n"),
    );
    let service = Service::start(
        &sandbox,
        &["--config", "serve.toml", "--tls-cert", "cert.pem"],
    );
    let url = format!("grpc+tls://{}", service.address);
    let password = [("SANITIZER_PASSWORD", PASSWORD)];
    let query = ["--user", "ann", "SELECT 1 AS a"];
    let trusting = [&["--ca", "cert.pem"], &query[..]].concat();
    let answer = ask(&sandbox, (&url, &password), &trusting);
    assert_eq!(answer.1, "a\n1\n", "{}", answer.2);
    let (status, _, error) = ask(&sandbox, (&url, &password), &query);
    assert_eq!(status, 1, "{error}");
    assert!(service.stop(Signal::INT));

    for wrong in [
        &["--tls-cert", "cert.pem"][..],
        &["--session-timeout", "soon"],
        &["--cluster", "localhost"],
    ] {
        let arguments = [
            &["serve", "--home", "home", "--flight-sql", "127.0.0.1:0"],
            wrong,
        ];
        assert_eq!(
            sandbox.run(&arguments.concat()).status.code(),
            Some(2),
            "{wrong:?}"
        );
    }
}

/// A service whose statements executors run gives the rows that one process gives.
#[test]
fn a_service_on_a_cluster() {
    let sandbox = Sandbox::with_customers(20_000);
    let cluster = sandbox.cluster(ClusterOptions::default());
    told(
        &sandbox,
        &["add", "ann", "--tenant", "default"],
        &format!("{PASSWORD}\n"),
    );
    let service = Service::start(&sandbox, &["--cluster", &cluster.url()]);
    let url = format!("grpc://{}", service.address);
    let ann = [("SANITIZER_PASSWORD", PASSWORD)];
    for statement in [
        "SELECT sanitize(*) FROM 'customers.csv'",
        "SELECT status, count(*) AS n FROM sanitize('customers.csv') AS c GROUP BY status ORDER BY status",
    ] {
        let (status, there, error) = ask(&sandbox, (&url, &ann), &["--user", "ann", statement]);
        assert_eq!(status, 0, "{error}");
        let here = printed(&sandbox, &["--format", "csv", statement], "");
        assert!(here.lines().count() > 3, "{here}");
        assert_eq!(there, here, "{statement}");
    }
    assert!(service.stop(Signal::TERM));
}
