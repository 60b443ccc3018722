//! Clients of object stores: one per bucket, with settings that each process looks up by name.

use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::Duration;

use hashbrown::HashMap;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ObjectStore, RetryConfig};
use tokio::runtime::Runtime;
use tracing::Instrument;

use super::metered::{MeteredConnector, MeteredStore};
use planner_base::Secret;

/// Number of threads that run requests to stores.
const THREADS: usize = 2;

/// Maximum number of attempts of a request, and their maximum total time.
const RETRIES: usize = 8;
const RETRY_FOR: Duration = Duration::from_secs(60);

static REQUESTS: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("storage")
        .enable_all()
        .build()
});

type Clients = HashMap<(String, Option<String>), Arc<dyn ObjectStore>>;

static CLIENTS: LazyLock<Mutex<Clients>> = LazyLock::new(Mutex::default);

/// Returns the runtime of requests.
pub(super) fn requests() -> io::Result<&'static Runtime> {
    REQUESTS
        .as_ref()
        .map_err(|error| io::Error::new(error.kind(), error.to_string()))
}

/// Runs a transfer on the request threads and waits for its result.
///
/// # Errors
/// When the transfer fails, or its thread ends without a result.
pub fn transfer<T: Send + 'static>(
    work: impl Future<Output = io::Result<T>> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let work = async move {
        // Nobody waits any more: the answer is as well lost.
        let _ = sender.send(work.await);
    };
    requests()?.spawn(work.in_current_span());
    receiver
        .recv()
        .map_err(|_| io::Error::other("a transfer ended without a result"))?
}

/// Runs a request to a store and waits for its response.
///
/// # Errors
/// When the store rejects the request or does not respond.
pub fn wait<T: Send + 'static>(
    request: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> io::Result<T> {
    transfer(async move { request.await.map_err(io_error) })
}

/// Converts an error of a store into an I/O error whose message is one line.
pub(super) fn io_error(error: object_store::Error) -> io::Error {
    use object_store::Error as Store;
    let kind = match &error {
        Store::NotFound { .. } => io::ErrorKind::NotFound,
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
            io::ErrorKind::PermissionDenied
        }
        Store::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
        Store::Precondition { .. } => io::ErrorKind::StaleNetworkFileHandle,
        _ => io::ErrorKind::Other,
    };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    io::Error::new(kind, text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns the client of a bucket (`s3://bucket`), created on first use.
pub(super) fn client(
    bucket: &str,
    credentials: Option<&Secret>,
) -> io::Result<Arc<dyn ObjectStore>> {
    let key = (bucket.to_owned(), credentials.map(ToString::to_string));
    let mut clients = CLIENTS
        .lock()
        .map_err(|_| io::Error::other("a lock was poisoned"))?;
    if let Some(known) = clients.get(&key) {
        return Ok(Arc::clone(known));
    }
    let made = build(bucket, &settings(credentials)?)?;
    let made: Arc<dyn ObjectStore> = Arc::new(MeteredStore(made));
    clients.insert(key, Arc::clone(&made));
    Ok(made)
}

/// Settings of a store: names such as `AWS_ACCESS_KEY_ID` and their values.
type Settings = Vec<(String, String)>;

/// Returns the settings that credentials name: the whole environment, the variables whose names begin with `NAME_` for
/// `env:NAME`, or the lines `NAME=VALUE` of a file.
fn settings(credentials: Option<&Secret>) -> io::Result<Settings> {
    match credentials {
        None => Ok(std::env::vars().collect()),
        Some(Secret::Env(prefix)) => {
            let named = std::env::vars().filter_map(|(name, value)| {
                let name = name.strip_prefix(prefix.as_str())?.strip_prefix('_')?;
                Some((name.to_owned(), value))
            });
            let named: Settings = named.collect();
            if named.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("credentials env:{prefix}: no variable {prefix}_… is set"),
                ));
            }
            Ok(named)
        }
        Some(Secret::File(path)) => read_settings(path),
        Some(derived @ Secret::Tenant { .. }) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("credentials {derived}: expected env:NAME or file:PATH"),
        )),
    }
}

fn read_settings(path: &Path) -> io::Result<Settings> {
    let named = |problem: String| {
        let text = format!("credentials file:{}: {problem}", path.display());
        io::Error::new(io::ErrorKind::NotFound, text)
    };
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.enumerate().map(|(number, line)| {
        let line = line.strip_prefix("export ").unwrap_or(line);
        // The line is not repeated: it may hold a secret.
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| named(format!("setting {}: NAME=VALUE is expected", number + 1)))?;
        let value = value.trim().trim_matches(['"', '\'']);
        Ok((name.trim().to_owned(), value.to_owned()))
    });
    pairs.collect()
}

/// Passes each setting to the builder whose name has the prefix of the provider and is known to it.
macro_rules! configured {
    ($builder:expr, $settings:expr, $prefix:literal) => {{
        let mut builder = $builder;
        for (name, value) in $settings {
            if name.starts_with($prefix)
                && let Ok(key) = name.to_ascii_lowercase().parse()
            {
                builder = builder.with_config(key, value);
            }
        }
        builder
    }};
}

fn build(bucket: &str, settings: &Settings) -> io::Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRY_FOR,
        ..RetryConfig::default()
    };
    let (scheme, name) = bucket.split_once("://").unwrap_or((bucket, ""));
    Ok(match scheme {
        "s3" | "s3a" => {
            let builder = configured!(AmazonS3Builder::new(), settings, "AWS_");
            let builder = builder.with_bucket_name(name).with_retry(retry);
            let store = builder.with_http_connector(MeteredConnector).build();
            Arc::new(store.map_err(io_error)?)
        }
        "gs" => {
            let builder = configured!(GoogleCloudStorageBuilder::new(), settings, "GOOGLE_");
            let builder = builder.with_bucket_name(name).with_retry(retry);
            let store = builder.with_http_connector(MeteredConnector).build();
            Arc::new(store.map_err(io_error)?)
        }
        "az" | "azure" | "abfs" | "abfss" => {
            let builder = configured!(MicrosoftAzureBuilder::new(), settings, "AZURE_");
            let builder = builder.with_url(bucket).with_retry(retry);
            let store = builder.with_http_connector(MeteredConnector).build();
            Arc::new(store.map_err(io_error)?)
        }
        _ => {
            let text = format!("the scheme {scheme}:// is not supported");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use object_store::ObjectStoreExt;
    use object_store::path::Path as ObjectPath;

    use super::*;
    use planner_telemetry::METRICS;

    /// A request that the store throttles, fails and drops succeeds in the end, and each retry is counted.
    #[test]
    fn tries_are_counted() {
        const ANSWERS: [&str; 4] = ["503 Slow Down", "500 Internal Server Error", "", "200 OK"];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let store = std::thread::spawn(move || {
            for answer in ANSWERS {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head = lines
                    .map(Result::unwrap)
                    .take_while(|line| !line.is_empty());
                assert!(head.count() > 0);
                if !answer.is_empty() {
                    let about = "Last-Modified: Thu, 26 Nov 2026 10:00:00 GMT\r\nContent-Length: 7";
                    write!(
                        stream,
                        "HTTP/1.1 {answer}\r\n{about}\r\nConnection: close\r\n\r\n"
                    )
                    .unwrap();
                }
            }
        });
        let endpoint = format!("http://{address}");
        let settings = [
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ENDPOINT_URL", &endpoint),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let client = build("s3://bucket", &settings.to_vec()).unwrap();
        let found = wait(async move { client.head(&ObjectPath::from("table.csv")).await }).unwrap();
        store.join().unwrap();
        assert_eq!(found.size, 7);
        let counted = METRICS.text();
        for reason in ["throttled", "server_error", "connection"] {
            let series = "data_sanitizer_object_store_retries_total{reason=\"";
            let line = format!("{series}{reason}\"}} 1\n");
            assert!(counted.contains(&line), "{line}: {counted}");
        }
    }

    /// Settings come from a file of assignments, quoted or exported, and an error names no value.
    #[test]
    fn settings_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s3.env");
        std::fs::write(&path, "# a\nexport AWS_A='x y'\n\nAWS_B = \"z=1\"\n").unwrap();
        let secret = Secret::File(path.clone());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            settings(Some(&secret)).unwrap(),
            [pair("AWS_A", "x y"), pair("AWS_B", "z=1")]
        );
        std::fs::write(&path, "AWS_A=1\nhunter2\n").unwrap();
        let error = settings(Some(&secret)).unwrap_err().to_string();
        assert!(error.contains("setting 2"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let missing = settings(Some(&Secret::Env("NO_SUCH_PREFIX".to_owned())));
        assert!(missing.unwrap_err().to_string().contains("NO_SUCH_PREFIX_"));
    }

    /// Every provider's settings are understood under their usual names.
    #[test]
    fn providers() {
        let settings = [
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("GOOGLE_SKIP_SIGNATURE", "true"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5"),
            ("PATH", "/bin"),
        ];
        let settings: Settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        for bucket in [
            "s3://b",
            "gs://b",
            "az://b",
            "abfss://b@c.dfs.core.windows.net",
        ] {
            let store = build(bucket, &settings);
            assert!(store.is_ok(), "{bucket}: {:?}", store.err());
        }
        let unknown = build("ftp://b", &settings).unwrap_err();
        assert_eq!(unknown.kind(), io::ErrorKind::Unsupported);
    }
}
