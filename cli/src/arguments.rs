//! What may stand on the command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use planner::cluster::ClusterAddress;
use planner::spec::{ByteSize, PiiStrategy};
use serde::Serialize;

/// Clean dirty tables, with an account of every cell changed and every row dropped.
#[derive(Debug, Parser)]
#[command(name = "sanitizer", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a job, or the default pipeline on a file
    Run(RunArguments),
    /// Look at a file and print a commented job spec to start from
    Init(InitArguments),
    /// Show the columns of a file: type, nulls, distinct values, range, personal data
    Profile(ProfileArguments),
    /// Show the passes of a job
    Explain(JobArguments),
    /// Print the JSON Schema of a document
    Schema(SchemaArguments),
    /// Start the scheduler of a cluster
    Scheduler(SchedulerArguments),
    /// Start an executor of a cluster
    Executor(ExecutorArguments),
}

/// A job, from a spec or from data.
#[derive(Debug, Args)]
pub(crate) struct JobArguments {
    /// A job spec (.yaml, .yml, or .json with a `source`), or data to clean with the default pipeline
    pub(crate) job: String,
    /// Data to read instead of the spec's source
    #[arg(long, value_name = "LOCATION")]
    pub(crate) input: Option<String>,
    /// Directory to write to
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<String>,
    /// What becomes of personal data, found or declared
    #[arg(long, value_enum)]
    pub(crate) pii: Option<PiiChoice>,
    /// Set a field of the spec, such as options.partitions=2
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Identifier of the job; a new one for each run when left out
    #[arg(long, value_name = "ID")]
    pub(crate) job_id: Option<String>,
}

/// `sanitizer run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The job.
    #[command(flatten)]
    pub(crate) job: JobArguments,
    /// Ballista scheduler whose executors do the work: df://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub(crate) cluster: Option<ClusterAddress>,
    /// Print the report as JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// `sanitizer scheduler`. What is left out comes from the environment (SANITIZER_SCHEDULER_BIND and
/// so on), the file, or the defaults.
#[derive(Debug, Args, Serialize)]
pub(crate) struct SchedulerArguments {
    /// Settings in TOML
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// How the log is written
    #[arg(long, value_enum, default_value_t, env = "SANITIZER_LOG_FORMAT")]
    #[serde(skip)]
    pub(crate) log_format: LogFormat,
    /// Address to listen on; port 0 takes a free one [default: 0.0.0.0:50050]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<SocketAddr>,
    /// Host under which executors and drivers reach the scheduler [default: localhost]
    #[arg(long, value_name = "HOST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    external_host: Option<String>,
    /// Silence after which an executor is given up [default: 60]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    executor_timeout_seconds: Option<u64>,
    /// Time for which jobs wait for an executor when there is none [default: 120]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    no_executors_grace_seconds: Option<u64>,
    /// How often a task is tried before its job fails [default: 4]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    task_attempts: Option<usize>,
    /// Time for which executors keep the results of a finished job [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_results_seconds: Option<u64>,
}

/// `sanitizer executor`. What is left out comes from the environment (SANITIZER_EXECUTOR_SLOTS and
/// so on), the file, or the defaults.
#[derive(Debug, Args, Serialize)]
pub(crate) struct ExecutorArguments {
    /// Settings in TOML
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// How the log is written
    #[arg(long, value_enum, default_value_t, env = "SANITIZER_LOG_FORMAT")]
    #[serde(skip)]
    pub(crate) log_format: LogFormat,
    /// The scheduler [default: df://localhost:50050]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<String>,
    /// Address to listen on [default: 0.0.0.0]
    #[arg(long, value_name = "IP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bind_host: Option<IpAddr>,
    /// Port that gives results and tells of the executor's health; 0 takes a free one [default: 50051]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Port that takes tasks; 0 takes a free one [default: 50052]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    task_port: Option<u16>,
    /// Host under which scheduler and drivers reach the executor [default: localhost]
    #[arg(long, value_name = "HOST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    external_host: Option<String>,
    /// Tasks at the same time; 0 for as many as there are cores [default: 0]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<usize>,
    /// Memory of all tasks together, such as 2GiB [default: three quarters of all]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_limit: Option<ByteSize>,
    /// Folder of results that nobody has fetched yet [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    work_dir: Option<PathBuf>,
    /// Time between two signs of life [default: 10]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_seconds: Option<u64>,
    /// Time to wait for the scheduler when starting [default: 60]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_seconds: Option<u16>,
}

/// `sanitizer init`.
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Data to look at
    pub(crate) data: String,
}

/// `sanitizer profile`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArguments {
    /// Data to look at
    pub(crate) data: String,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `sanitizer schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// The document
    #[arg(value_enum)]
    pub(crate) document: SchemaDocument,
    /// Print a page for people instead, in Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
}

/// Documents with a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SchemaDocument {
    /// The job spec
    Job,
}

/// What becomes of personal data.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PiiChoice {
    Hash,
    Redact,
    Exclude,
    Tokenize,
}

impl From<PiiChoice> for PiiStrategy {
    fn from(choice: PiiChoice) -> Self {
        match choice {
            PiiChoice::Hash => Self::Hash,
            PiiChoice::Redact => Self::Redact,
            PiiChoice::Exclude => Self::Exclude,
            PiiChoice::Tokenize => Self::Tokenize,
        }
    }
}

/// A command line that cannot be carried out.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl JobArguments {
    /// The path, if the job is a spec rather than data.
    pub(crate) fn spec_path(&self) -> Option<PathBuf> {
        let path = PathBuf::from(&self.job);
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(path),
            // A JSON file is a spec if it says where its data is.
            "json" => {
                let text = std::fs::read_to_string(&path).ok()?;
                let document: serde_json::Value = serde_json::from_str(&text).ok()?;
                document.get("source")?.get("location").map(|_| path)
            }
            _ => None,
        }
    }
}
