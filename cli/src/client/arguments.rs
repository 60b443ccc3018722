//! What may stand on the command line for the REST API.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use cli_process::Period;
use serde_json::Value;

/// Where the API is, and who asks.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// Address of the service
    #[arg(
        long = "api",
        value_name = "URL",
        env = "SANITIZER_API_URL",
        default_value = "http://127.0.0.1:8080",
        global = true
    )]
    pub(crate) url: String,
    /// File with the API key; the key itself is taken from SANITIZER_API_KEY
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) key_file: Option<PathBuf>,
    /// Additional trusted CA certificate (PEM)
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) ca_cert: Option<PathBuf>,
}

/// `sanitizer submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// A job spec (.yaml, .yml, or .json with a `source`) or data; files of this machine are sent to the service
    pub(crate) job: String,
    /// The dataset of which the result is the next version [default: the spec's name, or the file's]
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Option<String>,
    /// Tenant rule to merge beneath the spec (repeatable)
    #[arg(long = "rule", value_name = "NAME")]
    pub(crate) rules: Vec<String>,
    /// Set a field of the spec, such as options.seed=7
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Jobs with a larger number come first, -100 to 100
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) priority: Option<i64>,
    /// Time after which the job fails where it has not finished, such as 2h
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<Period>,
    /// Makes a repeated command safe: the same key gives the same job [default: a new one for each command]
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Wait until the job has ended
    #[arg(long)]
    pub(crate) wait: bool,
    /// Wait, and write the cleaned rows to this file (.parquet, .csv or .jsonl)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `sanitizer status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// The job; the last ones when left out
    pub(crate) job: Option<String>,
    /// Wait until the job has ended
    #[arg(long, requires = "job")]
    pub(crate) wait: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `sanitizer report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// The job
    pub(crate) job: String,
    /// Write the page for people to this file, instead of printing JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Format of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DownloadFormat {
    Parquet,
    Csv,
    Jsonl,
}

/// A table of an output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DownloadTable {
    #[default]
    Data,
    Provenance,
    Removed,
    Quarantine,
    Clusters,
}

/// `sanitizer download`.
#[derive(Debug, Args)]
pub(crate) struct DownloadArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// The job
    pub(crate) job: String,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Format [default: that of the file's ending, or Parquet]
    #[arg(long, value_enum)]
    pub(crate) format: Option<DownloadFormat>,
    /// The table
    #[arg(long, value_enum, default_value_t)]
    pub(crate) table: DownloadTable,
    /// Leave texts in CSV that a spreadsheet would run as formulas as they are
    #[arg(long)]
    pub(crate) keep_formulas: bool,
}

/// `sanitizer cancel`.
#[derive(Debug, Args)]
pub(crate) struct CancelArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// The job
    pub(crate) job: String,
    /// Wait until the job has ended
    #[arg(long)]
    pub(crate) wait: bool,
}

/// `sanitizer keys`.
#[derive(Debug, Args)]
pub(crate) struct KeysArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys of the tenant
    List,
    /// Create a key and print it, this once
    ///
    /// A key has no action, role or operator's right that the key creating it lacks, and ends no later. It ends when the
    /// key or user that created it is revoked or suspended.
    Add {
        /// Name of the key
        name: String,
        /// Role: admin, data_engineer or reviewer
        #[arg(long, default_value = "data_engineer")]
        role: String,
        /// Limit to an action of the role or of operators, such as jobs:read (repeatable) [default: all of the role]
        #[arg(long = "action", value_name = "ACTION")]
        actions: Vec<String>,
        /// Limit to a dataset (repeatable) [default: all]
        #[arg(long = "dataset", value_name = "NAME")]
        datasets: Vec<String>,
        /// Lifetime, such as 90d [default: that of the key creating it]
        #[arg(long, value_name = "TIME")]
        expires: Option<Period>,
        /// Grant the rights of an operator: to manage tenants
        #[arg(long)]
        operator: bool,
        /// Create the key for another tenant; needs the action tenants:keys
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
    },
    /// Revoke a key and every key created with it
    Revoke {
        /// Public part of the key: what stands between dsk_ and the next _
        id: String,
    },
    /// Replace the secret of a key and print the new one, this once
    ///
    /// Its rights, its end and the keys created with it stay.
    Rotate {
        /// Public part of the key: what stands between dsk_ and the next _
        id: String,
    },
}

/// `sanitizer tenants`.
#[derive(Debug, Args)]
pub(crate) struct TenantsArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    #[command(subcommand)]
    pub(crate) command: TenantsCommand,
}

/// What a tenant may use.
#[derive(Debug, Args)]
pub(crate) struct LimitArguments {
    /// Jobs that run at the same time
    #[arg(long, value_name = "COUNT")]
    max_running: Option<i64>,
    /// Jobs that wait
    #[arg(long, value_name = "COUNT")]
    max_queued: Option<i64>,
    /// Share of the workers beside that of others
    #[arg(long)]
    weight: Option<f64>,
    /// Rows of sources in a month
    #[arg(long, value_name = "COUNT")]
    rows_per_month: Option<i64>,
    /// Bytes of uploads and outputs that are kept
    #[arg(long, value_name = "COUNT")]
    storage_bytes: Option<i64>,
    /// Calls of the API in a second, in the mean
    #[arg(long, value_name = "NUMBER")]
    calls_per_second: Option<f64>,
}

impl LimitArguments {
    /// As the API takes them.
    pub(crate) fn document(&self) -> Value {
        let mut limits = serde_json::Map::new();
        for (name, value) in [
            ("max_running", self.max_running.map(Value::from)),
            ("max_queued", self.max_queued.map(Value::from)),
            ("weight", self.weight.map(Value::from)),
            ("rows_per_month", self.rows_per_month.map(Value::from)),
            ("storage_bytes", self.storage_bytes.map(Value::from)),
            ("calls_per_second", self.calls_per_second.map(Value::from)),
        ] {
            if let Some(value) = value {
                limits.insert(name.to_owned(), value);
            }
        }
        Value::Object(limits)
    }
}

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantsCommand {
    /// List the tenants
    List,
    /// Make a tenant
    Add {
        /// Name: letters, digits, _ and -
        name: String,
        #[command(flatten)]
        limits: LimitArguments,
    },
    /// Change what a tenant may use
    Set {
        /// The tenant
        name: String,
        #[command(flatten)]
        limits: LimitArguments,
        /// Nobody comes in for it any more, and its jobs wait
        #[arg(long, conflicts_with = "resume")]
        suspend: bool,
        /// It goes on
        #[arg(long)]
        resume: bool,
    },
    /// What one's own tenant has used, and may use
    Usage,
}
