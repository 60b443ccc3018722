//! What may stand on the command line for the REST service.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use cli_process::Period;
use planner::spec::ByteSize;
use serde::Serialize;

/// The REST service. What is left out comes from the environment (SANITIZER_API_ADDRESS and so on), the section
/// `api` of the file, or the defaults.
#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "REST API")]
pub struct ApiArguments {
    /// Address of the REST API; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long = "http", value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    /// Where jobs, keys and the audit log are kept: postgres://USER@HOST/NAME or sqlite:PATH; a password is better
    /// left to SANITIZER_API_DATABASE [default of serve: a SQLite file in --home]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// Database URL of the token vault, whose values are encrypted: postgres://USER@HOST/NAME or sqlite:PATH [default: the schema
    /// token_vault of --database where that is Postgres, else a SQLite file in --home, or beside a scheduler's --database]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_database: Option<String>,
    /// Key of the token vault, of 16 bytes or more: env:NAME or file:PATH [default: env:SANITIZER_TOKEN_KEY]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_key: Option<String>,
    /// Replaced key of the token vault, which is still read (repeatable)
    #[arg(long = "old-token-key", value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    old_token_keys: Vec<String>,
    /// Key that signs audit checkpoints, Ed25519 in PEM: env:NAME or file:PATH [default of serve: audit-key.pem in
    /// --home, created at the first start]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_key: Option<String>,
    /// Public key in PEM of a replaced audit key, whose checkpoints are trusted too (repeatable)
    #[arg(long = "audit-public-key", value_name = "FILE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audit_public_keys: Vec<PathBuf>,
    /// Folder or URL where uploads and outputs are kept [default of serve: a folder in --home]
    #[arg(long, value_name = "LOCATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// Folder or URL that the jobs of a tenant, or of all, may read from, beside uploads (repeatable)
    #[arg(long = "source", value_name = "[TENANT=]LOCATION")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    /// Jobs may also read from servers of private networks, where --source names them
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    private_addresses: bool,
    /// Secret that jobs and statements may name; each tenant gets one derived from it (repeatable) [default:
    /// env:SANITIZER_SALT]
    #[arg(long = "secret", value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
    /// Jobs that are worked on at the same time; 0 for none, where other processes work [default: 2]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<usize>,
    /// Threads of all jobs together [default: one a core]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    job_threads: Option<NonZeroUsize>,
    /// Memory of all jobs together [default: 4GiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    job_memory: Option<ByteSize>,
    /// Silence of a worker after which its job goes to another one [default: 20s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Period>,
    /// How often a job is tried when something that it needs fails [default: 3]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    /// Most bytes of a file that is sent [default: 1024GiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_upload: Option<ByteSize>,
    /// Silence of a sender after which its request is given up [default: 60s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    body_timeout: Option<Period>,
    /// Most bytes of a file once its compression is taken off [default: 1024GiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_decompressed: Option<ByteSize>,
    /// Most connections at the same time [default: 4096]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<usize>,
    /// Most connections of one address at the same time; raise it behind a proxy [default: 1024]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections_per_address: Option<usize>,
    /// Most request bodies of one tenant that are received at the same time; each key has half as many [default: 64]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bodies: Option<usize>,
    /// Least bytes a second of a request body, averaged over ten seconds [default: 1KiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    min_body_rate: Option<ByteSize>,
    /// JWKS URL of an identity provider whose tokens are accepted (https); requires --jwt-issuer and --jwt-audience
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_url: Option<String>,
    /// Required issuer (iss) of tokens
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_issuer: Option<String>,
    /// Required audience (aud) of tokens
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_audience: Option<String>,
}
