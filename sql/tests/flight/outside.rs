//! Clients that others wrote: ADBC in Python, and the command of arrow-flight.
//!
//! They are fetched once, to a cache outside of this repository.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::server::{ADA, BOB, Served, serve};

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");
const ARROW_FLIGHT: &str = "59.3.2";

fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::home_dir().unwrap().join(".cache");
    cache.unwrap_or_else(home).join("data-sanitizer")
}

/// Runs a command that must succeed.
fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// One process at a time makes what is not there; `done` is made last.
fn made(folder: &Path, done: &Path, make: impl FnOnce()) {
    std::fs::create_dir_all(folder).unwrap();
    let lock = std::fs::File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !done.exists() {
        make();
    }
    assert!(done.exists(), "{} was not made", done.display());
}

/// A Python that has what the requirements say.
fn python() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    REQUIREMENTS.hash(&mut hasher);
    let folder = cache().join(format!("python-{:016x}", hasher.finish()));
    let python = folder.join("bin/python");
    let done = folder.join("requirements.txt");
    made(&folder, &done, || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder));
        let wanted = folder.join("wanted.txt");
        std::fs::write(&wanted, REQUIREMENTS).unwrap();
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ];
        run(Command::new(&python).args(pip).arg(&wanted));
        std::fs::rename(&wanted, &done).unwrap();
    });
    python
}

/// The command of arrow-flight.
fn flight_sql_client() -> PathBuf {
    let folder = cache().join(format!("arrow-flight-{ARROW_FLIGHT}"));
    let program = folder.join("bin/flight_sql_client");
    made(&folder, &program, || {
        run(Command::new("cargo")
            .args([
                "install",
                "--locked",
                "arrow-flight",
                "--version",
                ARROW_FLIGHT,
            ])
            .args(["--features", "cli,flight-sql,tls-ring", "--debug", "--root"])
            .arg(&folder)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .env_remove("RUSTFLAGS"));
        let _ = std::fs::remove_dir_all(folder.join("target"));
    });
    program
}

/// Waits for a program without holding up the server.
async fn outside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// All that Python does with the server, in python/flight.py.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn python_uses_the_server() {
    let python = outside(python).await;
    let served = serve(|_| {}).await;
    let short = serve(|options| options.token_lifetime = Duration::from_secs(2)).await;
    let key = served.engine.users().add_key(ADA.0, None).await.unwrap();
    let uri = |served: &Served| format!("grpc://{}", served.address);
    let mut command = Command::new(python);
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/python/flight.py"
        ))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("FLIGHT_URI", uri(&served))
        .env("FLIGHT_SHORT_URI", uri(&short))
        .env("FLIGHT_ADA", ADA.1)
        .env("FLIGHT_BOB", BOB.1)
        .env("FLIGHT_KEY", key);
    let output = outside(move || run(&mut command)).await;
    println!("{}", String::from_utf8_lossy(&output.stdout));
    served.stop().await;
    short.stop().await;
}

/// The command of arrow-flight asks, with parameters and without, and lists what there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_command_uses_the_server() {
    let program = outside(flight_sql_client).await;
    let served = serve(|_| {}).await;
    let port = served.address.port().to_string();
    let call = async |password: &'static str, arguments: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(["--host", "127.0.0.1", "--port", &port])
            .args(["--username", ADA.0, "--password", password])
            .args(arguments);
        outside(move || command.output().unwrap()).await
    };
    let told = async |arguments: &[&str]| {
        let output = call(ADA.1, arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        text
    };
    told(&[
        "statement-query",
        "CREATE TABLE people AS SELECT 1 AS id, 'Ada' AS name",
    ])
    .await;
    let rows = told(&["statement-query", "SELECT * FROM people"]).await;
    assert_eq!(
        rows,
        "+----+------+\n| id | name |\n+----+------+\n| 1  | Ada  |\n+----+------+\n"
    );
    let sql = "SELECT name, $2 AS tag FROM people WHERE id = $1";
    let bound = [
        "prepared-statement-query",
        sql,
        "-p",
        "$1=1",
        "-p",
        "$2=yes",
    ];
    let rows = told(&bound).await;
    assert!(rows.contains("| Ada  | yes |"), "{rows}");
    let catalogs = told(&["catalogs"]).await;
    let name = catalogs
        .lines()
        .nth(3)
        .and_then(|line| line.split('|').nth(1))
        .map(str::trim);
    let mut found = String::new();
    for catalog in catalogs
        .lines()
        .skip(3)
        .filter_map(|line| line.split('|').nth(1))
    {
        found += &told(&["tables", catalog.trim()]).await;
        found += &told(&["db-schemas", catalog.trim()]).await;
    }
    assert!(name.is_some());
    assert!(found.contains("people") && found.contains("BASE TABLE") && found.contains("public"));
    assert!(told(&["table-types"]).await.contains("BASE TABLE"));

    let wrong = call("guess", &["catalogs"]).await;
    assert!(!wrong.status.success());
    let wrong = call(ADA.1, &["statement-query", "SELECT * FROM nowhere"]).await;
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("nowhere"));
    served.stop().await;
}
