//! A Flight SQL server that runs the statements.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementUpdate, DoPutUpdateResult, ProstMessageExt};
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo, PutResult};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use planner::cluster::MAX_MESSAGE_BYTES;
use prost::Message;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::arguments::SqlArguments;
use super::target::{Reply, Rows};
use crate::ending::UsageError;

/// Time for which a server may take to answer the call.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Where systems keep the certificates of authorities.
const SYSTEM_CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A connection to a server. Each statement has a client of its own, for a client does one thing at
/// a time.
#[derive(Clone)]
pub(crate) struct Remote {
    channel: Channel,
    token: Option<String>,
}

impl Remote {
    /// Calls a server and tells who we are.
    pub(crate) async fn connect(url: &str, arguments: &SqlArguments) -> anyhow::Result<Self> {
        let channel = endpoint(url, arguments.ca.as_deref())?
            .connect()
            .await
            .with_context(|| format!("{url} does not answer"))?;
        let mut remote = Self {
            channel,
            token: None,
        };
        if let Some(user) = &arguments.user {
            let password = crate::password::given(&format!("Password of {user}: "))?;
            remote.token = remote.shake_hands(user, &password).await?;
        } else if let Ok(key) = std::env::var("SANITIZER_API_KEY") {
            remote.token = Some(key);
        }
        Ok(remote)
    }

    /// Name and password against a token.
    async fn shake_hands(&self, user: &str, password: &str) -> anyhow::Result<Option<String>> {
        let mut request = Request::new(stream::empty());
        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let header = format!("Basic {pair}").parse();
        let header = header.map_err(|_| UsageError("the password cannot be sent".to_owned()))?;
        request.metadata_mut().insert("authorization", header);
        let mut client = self.client();
        let response = client.inner_mut().handshake(request).await;
        let response = response.map_err(refusal)?;
        let header = response.metadata().get("authorization");
        let token = header.and_then(|header| header.to_str().ok());
        let token = token.and_then(|text| text.strip_prefix("Bearer "));
        Ok(token.map(str::to_owned))
    }

    fn client(&self) -> FlightSqlServiceClient<Channel> {
        let inner = FlightServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let mut client = FlightSqlServiceClient::new_from_inner(inner);
        if let Some(token) = &self.token {
            client.set_token(token.clone());
        }
        client
    }

    /// Runs a statement at the server.
    pub(crate) fn run(&self, text: String) -> BoxFuture<'static, anyhow::Result<Reply>> {
        let mut client = self.client();
        Box::pin(async move {
            if gives_rows(&text) {
                let info = client.execute(text, None).await.map_err(told)?;
                return rows(client, info).await.map(Reply::Rows);
            }
            let counts = counts_rows(&text);
            let written = update(client, text).await?;
            Ok(match u64::try_from(written) {
                Ok(written) if counts || written > 0 => Reply::Written(written),
                _ => Reply::Done,
            })
        })
    }
}

/// Runs a statement that changes something; gives the number of rows that the server tells.
async fn update(mut client: FlightSqlServiceClient<Channel>, query: String) -> anyhow::Result<i64> {
    let command = CommandStatementUpdate {
        query,
        transaction_id: None,
    };
    let data = FlightData {
        flight_descriptor: Some(FlightDescriptor::new_cmd(command.as_any().encode_to_vec())),
        ..FlightData::default()
    };
    // The client's own method panics where a server gives no answer.
    let answers = client.do_put(stream::iter([data])).await.map_err(told)?;
    let answers: Vec<PutResult> = answers.try_collect().await.map_err(refusal)?;
    let Some(answer) = answers.first() else {
        return Ok(-1);
    };
    let result = DoPutUpdateResult::decode(&*answer.app_metadata);
    Ok(result.context("the server's answer is none")?.record_count)
}

/// The rows of all endpoints of an answer, one after another.
async fn rows(
    mut client: FlightSqlServiceClient<Channel>,
    info: FlightInfo,
) -> anyhow::Result<Rows> {
    let schema = info.clone().try_decode_schema()?;
    let mut streams = Vec::with_capacity(info.endpoint.len());
    for ticket in info.endpoint.into_iter().filter_map(|end| end.ticket) {
        streams.push(client.do_get(ticket).await.map_err(told)?);
    }
    let batches = stream::iter(streams).flatten().map_err(told).boxed();
    Ok(Rows {
        schema: schema.into(),
        batches,
    })
}

/// Where a server is, and how to talk to it.
fn endpoint(url: &str, ca: Option<&Path>) -> anyhow::Result<Endpoint> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (address, encrypted) = match scheme {
        "grpc" | "grpc+tcp" | "http" => (format!("http://{rest}"), false),
        "grpc+tls" | "grpcs" | "https" => (format!("https://{rest}"), true),
        _ => (String::new(), false),
    };
    let endpoint = Endpoint::from_shared(address).ok();
    let endpoint = endpoint.filter(|endpoint| endpoint.uri().port().is_some());
    let Some(endpoint) = endpoint else {
        let text = format!("{url}: expected grpc://HOST:PORT or grpc+tls://HOST:PORT");
        return Err(UsageError(text).into());
    };
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .tcp_nodelay(true);
    if !encrypted {
        return Ok(endpoint);
    }
    let file = match ca {
        Some(file) => file.to_owned(),
        None => system_certificates()?,
    };
    let certificates = std::fs::read(&file).map_err(|error| {
        let text = format!("{}: {error}", file.display());
        UsageError(text)
    })?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificates));
    Ok(endpoint.tls_config(tls)?)
}

fn system_certificates() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = SYSTEM_CERTIFICATES.map(PathBuf::from);
    let found = named.into_iter().chain(usual).find(|file| file.is_file());
    found.ok_or_else(|| {
        let text = "the certificates of this system were not found; name a file with --ca";
        UsageError(text.to_owned()).into()
    })
}

/// Whether a statement gives rows, by its first word: the protocol asks for the two in different
/// ways.
fn gives_rows(text: &str) -> bool {
    const QUERIES: [&str; 9] = [
        "SELECT", "WITH", "VALUES", "FROM", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN",
    ];
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    is_one_of(text, &QUERIES)
}

/// Whether a statement tells how many rows it has written.
fn counts_rows(text: &str) -> bool {
    is_one_of(text, &["INSERT", "COPY", "UPDATE", "DELETE"])
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    let end = text.find(|c: char| !c.is_ascii_alphabetic());
    let first = &text[..end.unwrap_or(text.len())];
    words.iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// An error of the protocol, without the protocol's words where the server tells one of its own.
fn told(error: FlightError) -> anyhow::Error {
    match error {
        FlightError::Tonic(status) => refusal(*status),
        FlightError::ExternalError(inner) => match inner.downcast::<Status>() {
            Ok(status) => refusal(*status),
            Err(inner) => anyhow::anyhow!("{inner}"),
        },
        other => other.into(),
    }
}

/// What the server says; whose fault it is decides the exit status.
fn refusal(status: Status) -> anyhow::Error {
    let message = match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    };
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::OutOfRange
        | Code::Unimplemented => UsageError(message).into(),
        _ => anyhow::Error::msg(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queries are told from statements that change something.
    #[test]
    fn queries_are_known_by_their_first_word() {
        for query in [
            "select 1",
            "((SELECT 1))",
            "WITH a AS (SELECT 1) SELECT 1",
            "show\ntables",
        ] {
            assert!(gives_rows(query), "{query}");
        }
        for change in [
            "INSERT INTO a SELECT 1",
            "selection",
            "",
            "CREATE TABLE a AS SELECT 1",
        ] {
            assert!(!gives_rows(change), "{change}");
        }
    }

    /// An address says how to talk to the server; what is none is refused.
    #[test]
    fn addresses() {
        let uri = |url| endpoint(url, None).map(|endpoint| endpoint.uri().to_string());
        assert_eq!(uri("grpc://a:1").unwrap(), "http://a:1/");
        for wrong in ["a:1", "grpc://a", "df://a:1", "grpc://", "://a:1"] {
            assert!(uri(wrong).is_err(), "{wrong}");
        }
    }
}
