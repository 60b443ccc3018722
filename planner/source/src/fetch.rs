//! Downloads of web documents, each fetched once and as a whole, within limits.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use backon::{BlockingRetryable, ExponentialBuilder};
use reqwest::{Client, StatusCode};
use url::Url;

use super::error::SourceError;
use super::stage::Stage;
use super::web;
use planner_storage::{ByteFile, WebAddress, transfer};

/// Timeout of connecting, and of a server that sends nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Number of retries of a download.
const RETRIES: usize = 4;

/// Limits of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Maximum size in bytes.
    pub bytes: u64,
    /// Maximum time, retries included.
    pub time: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            bytes: 100 << 30,
            time: Duration::from_secs(3600),
        }
    }
}

/// Why an attempt failed, and whether a retry may succeed.
struct Failure {
    error: SourceError,
    again: bool,
}

/// Downloads the document at an address into a stage file. The request is retried if the server is overloaded, drops
/// the connection, or sends nothing for half a minute.
pub(super) fn fetch(
    address: &WebAddress,
    shown: &str,
    limits: FetchLimits,
    stage: &Stage,
) -> Result<ByteFile, SourceError> {
    let url = address.url();
    web::check(address).map_err(|reason| SourceError::Location {
        location: shown.to_owned(),
        reason,
    })?;
    let client = web::guarded(Client::builder(), address)
        .user_agent(concat!("data-sanitizer/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(PATIENCE)
        .read_timeout(PATIENCE)
        .build()
        .map_err(|error| SourceError::io(shown, "fetch", io::Error::other(error)))?;
    let end = Instant::now() + limits.time;
    let attempt = || try_fetch(&client, url, shown, (limits, end), stage);
    let pause = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_times(RETRIES);
    let fetched = attempt
        .retry(pause)
        .when(|failure| failure.again && Instant::now() < end)
        .call();
    fetched.map_err(|failure| failure.error)
}

fn try_fetch(
    client: &Client,
    url: &Url,
    shown: &str,
    (limits, end): (FetchLimits, Instant),
    stage: &Stage,
) -> Result<ByteFile, Failure> {
    let unavailable = |error: reqwest::Error| Failure {
        error: SourceError::io(
            shown,
            "fetch",
            io::Error::other(chain(&error.without_url())),
        ),
        again: true,
    };
    let too_large = || Failure {
        error: SourceError::Options {
            path: shown.to_owned(),
            option: "max_bytes",
            reason: format!("the document has more than {} bytes", limits.bytes),
        },
        again: false,
    };
    let too_slow = || Failure {
        error: SourceError::io(
            shown,
            "fetch",
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "not complete after {} seconds (timeout_seconds)",
                    limits.time.as_secs()
                ),
            ),
        ),
        again: false,
    };
    let left = || end.saturating_duration_since(Instant::now());
    let request = client.get(url.clone()).send();
    let time = left();
    let answer = timed(time, request).ok_or_else(too_slow)?;
    let mut response = answer.map_err(unavailable)?;
    check_status(response.status(), shown)?;
    if response
        .content_length()
        .is_some_and(|size| size > limits.bytes)
    {
        return Err(too_large());
    }
    let mut failure = None;
    let staged = stage.write("fetched", |out| {
        let mut fetched = 0_u64;
        loop {
            let time = left();
            let next = transfer(async move {
                let chunk = tokio::time::timeout(time, response.chunk()).await.ok();
                Ok((response, chunk))
            });
            let (back, chunk) = next.map_err(|e| SourceError::io(shown, "fetch", e))?;
            response = back;
            let stop = match chunk {
                None => too_slow(),
                Some(Err(error)) => unavailable(error),
                Some(Ok(None)) => return Ok(()),
                Some(Ok(Some(bytes))) => {
                    fetched += bytes.len() as u64;
                    if fetched <= limits.bytes {
                        out.write_all(&bytes)
                            .map_err(|e| SourceError::io(shown, "write a staged copy of", e))?;
                        continue;
                    }
                    too_large()
                }
            };
            failure = Some(stop.again);
            return Err(stop.error);
        }
    });
    match staged {
        Ok((file, ())) => Ok(file),
        Err(error) => Err(Failure {
            error,
            again: failure.unwrap_or(false),
        }),
    }
}

fn check_status(status: StatusCode, shown: &str) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let again = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
    let told = format!("the server responded with {status}");
    let error = match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => SourceError::NotFound {
            location: shown.to_owned(),
            reason: told,
        },
        _ => SourceError::io(shown, "fetch", io::Error::other(told)),
    };
    Err(Failure { error, again })
}

/// Runs a request with a timeout.
fn timed<T: Send + 'static>(
    time: Duration,
    request: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    transfer(async move { Ok(tokio::time::timeout(time, request).await.ok()) })
        .ok()
        .flatten()
}

/// An error and its causes in one line.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
