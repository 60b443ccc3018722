//! Sources that are fetched from the web, from servers that behave and from those that do not.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use benchmarks_harness::ClusterOptions;

use super::output::content;
use super::sandbox::Sandbox;
use super::sql::printed;

/// What a server does with a request.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers with the document.
    Whole,
    /// Answers without telling the document's length.
    Unmeasured,
    /// Answers with this status and nothing else.
    Status(u16),
    /// Ends the connection in the middle of the document.
    Breaks,
    /// Sends half of the document, and then nothing for a long time.
    Stalls,
}

/// A server of one document, whose answers follow a list; the last one is repeated.
struct WebServer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl WebServer {
    fn start(document: Vec<u8>, manners: &'static [Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let manner = manners[number.min(manners.len() - 1)];
                let document = document.clone();
                std::thread::spawn(move || {
                    // The client may have gone.
                    let _ = answer(stream?, &document, manner);
                    std::io::Result::Ok(())
                });
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!(
            "http://{}/data/customers.csv?key=of-nobody-else",
            self.address
        )
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, document: &[u8], manner: Manner) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let length = match manner {
        Manner::Unmeasured => String::new(),
        Manner::Status(_) => "Content-Length: 0\r\n".to_owned(),
        _ => format!("Content-Length: {}\r\n", document.len()),
    };
    let status = match manner {
        Manner::Status(status) => status,
        _ => 200,
    };
    write!(
        stream,
        "HTTP/1.1 {status} .\r\n{length}Connection: close\r\n\r\n"
    )?;
    match manner {
        Manner::Whole | Manner::Unmeasured => stream.write_all(document),
        Manner::Status(_) => Ok(()),
        Manner::Breaks => stream.write_all(&document[..document.len() / 2]),
        Manner::Stalls => {
            stream.write_all(&document[..document.len() / 2])?;
            std::thread::sleep(Duration::from_secs(120));
            Ok(())
        }
    }
}

fn document(sandbox: &Sandbox) -> Vec<u8> {
    std::fs::read(sandbox.path("customers.csv")).unwrap()
}

/// A document of the web gives what the same file gives, though its server is busy, does not tell its
/// length or breaks off at first, in one process and on a cluster.
#[test]
fn the_web_is_like_a_disk() {
    let sandbox = Sandbox::with_customers(9_000);
    sandbox.succeed(&["run", "job.yaml", "--job-id", "j", "--output", "right"]);
    let tables = |name: &str| {
        let mut content = content(&sandbox.path(name));
        content.retain(|name, _| name.contains('/') && !name.starts_with("quarantine/"));
        content
    };
    let right = tables("right");
    let cluster = sandbox.cluster(ClusterOptions::default());
    let manners: [(&[Manner], usize); 4] = [
        (&[Manner::Whole], 1),
        (&[Manner::Unmeasured], 1),
        (
            &[Manner::Status(500), Manner::Status(503), Manner::Whole],
            3,
        ),
        (&[Manner::Breaks, Manner::Whole], 2),
    ];
    for (manners, times) in manners {
        let server = WebServer::start(document(&sandbox), manners);
        let job = ["run", "job.yaml", "--job-id", "j", "--output", "out"];
        sandbox.succeed(&[&job[..], &["--input", &server.url()]].concat());
        assert_eq!(tables("out"), right);
        assert_eq!(server.asked(), times);
        let url = cluster.url();
        let server = WebServer::start(document(&sandbox), manners);
        sandbox.succeed(&[&job[..], &["--input", &server.url(), "--cluster", &url]].concat());
        assert_eq!(tables("out"), right);
    }
}

/// A document of the web is a table in SQL, also one with a name of its own.
#[test]
fn tables_of_the_web() {
    let sandbox = Sandbox::with_customers(2_000);
    let server = WebServer::start(document(&sandbox), &[Manner::Whole]);
    let url = server.url();
    let asked = |table: &str| {
        let script = format!(
            "SELECT count(*) AS n FROM {table}; SELECT sanitize(*) FROM {table} ORDER BY customer_id"
        );
        printed(&sandbox, &["--format", "csv", &script], "")
    };
    let right = asked("'customers.csv'");
    assert!(right.lines().count() > 1_000, "{right}");
    assert_eq!(asked(&format!("'{url}'")), right);
    let made = format!("CREATE EXTERNAL TABLE far STORED AS CSV LOCATION '{url}'");
    printed(&sandbox, &[&made], "");
    assert_eq!(asked("far"), right);
}

/// A server that is never well, a document that is not there, one that is too large and one that does
/// not come in time end the job with a line that tells so, and nothing is left.
#[test]
fn servers_that_fail() {
    let sandbox = Sandbox::with_customers(2_000);
    let cases: [(&[Manner], &[&str], &str, i32); 4] = [
        (&[Manner::Status(500)], &[], "responded with 500", 1),
        (&[Manner::Status(404)], &[], "responded with 404", 2),
        (
            &[Manner::Whole],
            &["--set", "source.options.max_bytes=1KiB"],
            "max_bytes",
            2,
        ),
        (
            &[Manner::Stalls],
            &["--set", "source.options.timeout_seconds=2"],
            "timeout_seconds",
            1,
        ),
    ];
    for (manners, more, why, status) in cases {
        let server = WebServer::start(document(&sandbox), manners);
        let begun = Instant::now();
        let output = sandbox.run(&[&["run", "job.yaml", "--input", &server.url()], more].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{error}");
        assert!(error.contains(why), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            !error.contains("of-nobody-else"),
            "a key in the address is not told: {error}"
        );
        assert!(!sandbox.path("out").exists());
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    let output = sandbox.run(&[
        "run",
        "job.yaml",
        "--input",
        "http://me:secret@127.0.0.1:1/x.csv",
    ]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("no password"), "{error}");
}
