//! Postgres for tests: a database of a server that answers, and a server of a test's own, which it may stop.

use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

fn now<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// A database of its own for a test, until it is dropped.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// A database of the server that `SANITIZER_TEST_POSTGRES` names, or of one on this machine.
    pub fn new() -> Self {
        let named = std::env::var("SANITIZER_TEST_POSTGRES").ok();
        let usual = ["postgres", "root"].map(|user| format!("postgres://{user}@127.0.0.1:5432"));
        let mut servers = named.into_iter().chain(usual);
        let answers =
            |server: &String| now(PgConnection::connect(&format!("{server}/postgres"))).is_ok();
        let server = servers
            .find(answers)
            .expect("no Postgres server answers; see test.sh");
        Self::of(&server)
    }

    /// A database of a server.
    pub fn of(server: &str) -> Self {
        let database = Self {
            server: server.to_owned(),
            name: format!("ds_test_{}", Uuid::new_v4().simple()),
        };
        database.administrate(&format!("CREATE DATABASE {}", database.name));
        database
    }

    fn administrate(&self, statement: &str) {
        now(async {
            let url = format!("{}/postgres", self.server);
            let mut connection = PgConnection::connect(&url).await.unwrap();
            let statement = AssertSqlSafe(statement.to_owned());
            connection.execute(statement).await.unwrap();
        });
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// Runs a statement in it.
    pub fn execute(&self, statement: &str) {
        now(async {
            let mut connection = PgConnection::connect(&self.url()).await.unwrap();
            let statement = AssertSqlSafe(statement.to_owned());
            connection.execute(statement).await.unwrap();
        });
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        self.administrate(&drop);
    }
}

/// A server of its own for a test, until it is dropped.
pub struct PostgresServer {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    root: bool,
}

impl PostgresServer {
    /// Makes and starts a server.
    pub fn start() -> Self {
        let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .expect("Postgres is not installed; see test.sh")
            .flatten()
            .map(|entry| entry.path().join("bin"))
            .collect();
        versions.sort();
        let root = run(Path::new("id"), &["-u"]).trim() == "0";
        let folder = tempfile::tempdir().unwrap().keep();
        if root {
            run(Path::new("chown"), &["postgres", folder.to_str().unwrap()]);
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            programs: versions.pop().unwrap(),
            folder,
            root,
        };
        drop(listener);
        let data = server.folder.join("data");
        let data = data.to_str().unwrap();
        server.as_owner(
            "initdb",
            &["-D", data, "-U", "postgres", "-A", "trust", "-N"],
        );
        server.go_on();
        server
    }

    /// Postgres does not run as root.
    fn as_owner(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        match self.root {
            true => {
                let program = program.to_str().unwrap();
                let as_postgres = ["-u", "postgres", "--", program];
                run(Path::new("runuser"), &[&as_postgres, arguments].concat());
            }
            false => {
                run(&program, arguments);
            }
        }
    }

    fn control(&self, arguments: &[&str]) {
        let data = self.folder.join("data");
        let all = [&["-D", data.to_str().unwrap(), "-w"], arguments].concat();
        self.as_owner("pg_ctl", &all);
    }

    /// Starts it (again).
    pub fn go_on(&self) {
        let folder = self.folder.to_str().unwrap();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}",
            self.port
        );
        let log = format!("{folder}/log");
        self.control(&["-o", &options, "-l", &log, "start"]);
    }

    /// Ends it as a power cut would.
    pub fn crash(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, without a database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let data = self.folder.join("data");
        let mut command = match self.root {
            true => {
                let mut command = Command::new("runuser");
                command
                    .args(["-u", "postgres", "--"])
                    .arg(self.programs.join("pg_ctl"));
                command
            }
            false => Command::new(self.programs.join("pg_ctl")),
        };
        let _ = command
            .arg("-D")
            .arg(data)
            .args(["-m", "immediate", "stop"])
            .output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn run(program: &Path, arguments: &[&str]) -> String {
    // A server that goes on holds what it was given.
    let output = tempfile::tempfile().unwrap();
    let errors = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new(program)
        .args(arguments)
        .stdout(output.try_clone().unwrap())
        .stderr(errors.reopen().unwrap())
        .status()
        .unwrap();
    let error = std::fs::read_to_string(errors.path()).unwrap();
    assert!(status.success(), "{program:?} {arguments:?}: {error}");
    use std::io::{Read, Seek};
    let mut output = output;
    output.rewind().unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    text
}
