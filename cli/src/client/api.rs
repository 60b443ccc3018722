//! The client of the REST API.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::arguments::ServerArguments;
use crate::ending::UsageError;

/// Time to connect, and for which a server may send nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a request is sent again that did not get through.
const TRIES: u32 = 6;

/// A connection to a service.
pub(crate) struct ApiClient {
    client: Client,
    base: String,
    key: String,
}

/// What a service says is wrong.
#[derive(Debug)]
pub(crate) struct Refused {
    text: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Refused {}

impl ApiClient {
    /// The client that the command line asks for.
    pub(crate) fn open(arguments: &ServerArguments) -> anyhow::Result<Self> {
        let key = match &arguments.key_file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("{}", path.display()))?
                .trim()
                .to_owned(),
            None => std::env::var("SANITIZER_API_KEY").unwrap_or_default(),
        };
        if key.is_empty() {
            let text = "no API key is known: set SANITIZER_API_KEY, or name a file with --key-file";
            return Err(UsageError(text.to_owned()).into());
        }
        let url = url::Url::parse(&arguments.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
        if url.is_none() {
            let text = format!("--api: expected http://HOST:PORT, not {:?}", arguments.url);
            return Err(UsageError(text).into());
        }
        let mut builder = Client::builder()
            .user_agent(concat!("data-sanitizer/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE);
        if let Some(path) = &arguments.ca_cert {
            let text = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
            let certificate = reqwest::Certificate::from_pem(&text)
                .with_context(|| format!("{}", path.display()))?;
            builder = builder.add_root_certificate(certificate);
        }
        Ok(Self {
            client: builder.build().context("no HTTP client can be made")?,
            base: arguments.url.trim_end_matches('/').to_owned(),
            key,
        })
    }

    /// A request for a path below `/api/v1`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1{path}", self.base);
        self.client.request(method, url).bearer_auth(&self.key)
    }

    /// Sends what `request` makes until it gets through, and gives the answer, if it is a good one. Only for
    /// requests that may be sent twice.
    pub(crate) async fn send(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> anyhow::Result<Response> {
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = request().send().await;
            let (wait, failure) = match answer {
                Ok(answer) => match checked(answer).await {
                    Ok(answer) => return Ok(answer),
                    Err((refused, wait)) => (wait, anyhow::Error::new(refused)),
                },
                Err(error) => {
                    let shown = error.without_url();
                    let failure = anyhow::Error::new(shown).context(self.base.clone());
                    (Some(Duration::from_millis(250) * 2_u32.pow(tries)), failure)
                }
            };
            match wait {
                Some(wait) if tries < TRIES => tokio::time::sleep(wait).await,
                _ => return Err(failure),
            }
        }
    }

    /// A document.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.send(|| self.request(Method::GET, path)).await?;
        Ok(answer.json().await?)
    }

    /// Sends a document and gives the answer.
    pub(crate) async fn post(&self, path: &str, document: &Value) -> anyhow::Result<Value> {
        let answer = self.request(Method::POST, path).json(document).send();
        let answer = answer.await.map_err(reqwest::Error::without_url);
        let answer = answer.with_context(|| self.base.clone())?;
        let answer = checked(answer).await.map_err(|(refused, _)| refused)?;
        Ok(answer.json().await?)
    }

    /// The name of the tenant that the key is of.
    pub(crate) async fn tenant(&self) -> anyhow::Result<String> {
        let me = self.get("/me").await?;
        match me["tenant"].as_str() {
            Some(name) => Ok(name.to_owned()),
            None => bail!("the service does not say whose the key is"),
        }
    }
}

/// An answer, if it is a good one; else what is wrong, and when another try may help.
pub(crate) async fn checked(answer: Response) -> Result<Response, (Refused, Option<Duration>)> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let after = answer.headers().get("retry-after");
    let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
    let wait = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => after
            .filter(|seconds| *seconds <= 60)
            .map(Duration::from_secs),
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Some(Duration::from_secs(2)),
        _ => None,
    };
    let problem: Value = answer.json().await.unwrap_or_default();
    let detail = problem["detail"].as_str().or(problem["title"].as_str());
    let text = match (problem["field"].as_str(), detail) {
        (Some(field), Some(detail)) => format!("{field}: {detail}"),
        (None, Some(detail)) => detail.to_owned(),
        _ => format!("the service answers {status}"),
    };
    Err((Refused { text }, wait))
}
