//! What may stand on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
#[cfg(feature = "service")]
use executor_daemon::ExecutorArguments;
use planner::spec::PiiStrategy;
#[cfg(feature = "service")]
use scheduler_daemon::{MigrateArguments, SchedulerArguments};

use crate::surroundings::SurroundingsArguments;
#[cfg(feature = "service")]
use crate::{
    audit::AuditArguments,
    client::{
        CancelArguments, DownloadArguments, KeysArguments, ReportArguments, StatusArguments,
        SubmitArguments, TenantsArguments,
    },
    rotate::RotateTokensArguments,
    serve::ServeArguments,
    shell::SqlArguments,
    users::UsersArguments,
};

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
    /// Show why two rows were, or were not, taken for duplicates
    ExplainPair(PairArguments),
    /// Run SQL over files, tables and the cleaning functions
    #[cfg(feature = "service")]
    Sql(Box<SqlArguments>),
    /// Start the service of one machine: jobs over REST, and Flight SQL
    #[cfg(feature = "service")]
    Serve(Box<ServeArguments>),
    /// Manage Flight SQL users
    #[cfg(feature = "service")]
    Users(UsersArguments),
    /// Send a job to a service
    #[cfg(feature = "service")]
    Submit(SubmitArguments),
    /// Show a job of a service, or the last ones
    #[cfg(feature = "service")]
    Status(StatusArguments),
    /// Show the report of a job of a service
    #[cfg(feature = "service")]
    Report(ReportArguments),
    /// Download the results of a service job
    #[cfg(feature = "service")]
    Download(DownloadArguments),
    /// Stop a job of a service
    #[cfg(feature = "service")]
    Cancel(CancelArguments),
    /// List, create, revoke and rotate API keys of a service
    #[cfg(feature = "service")]
    Keys(KeysArguments),
    /// List, make and change tenants of a service
    #[cfg(feature = "service")]
    Tenants(TenantsArguments),
    /// Turn tokens of an output back into the values that they stand for
    Reveal(RevealArguments),
    /// Re-seal the token vault under a new key
    #[cfg(feature = "service")]
    RotateTokens(RotateTokensArguments),
    /// Export and verify the audit log
    #[cfg(feature = "service")]
    Audit(AuditArguments),
    /// Print the JSON Schema of a document
    Schema(SchemaArguments),
    /// Make the tables of the service, or bring them up to date
    #[cfg(feature = "service")]
    Migrate(MigrateArguments),
    /// Start the scheduler of a cluster
    #[cfg(feature = "service")]
    Scheduler(Box<SchedulerArguments>),
    /// Start an executor of a cluster
    #[cfg(feature = "service")]
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
    /// What is around the job.
    #[command(flatten)]
    pub(crate) surroundings: SurroundingsArguments,
    /// Print the report as JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// `sanitizer explain-pair`.
#[derive(Debug, Args)]
pub(crate) struct PairArguments {
    /// The output of the job: a folder or a URL
    pub(crate) output: String,
    /// A row of the source, counted from 0
    pub(crate) row: u64,
    /// The other row
    pub(crate) other: u64,
    /// Where the source is now, if not where the job found it
    #[arg(long, value_name = "LOCATION")]
    pub(crate) input: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `sanitizer reveal`. Outputs of a service hold no values of tokens; its API reveals them.
#[derive(Debug, Args)]
pub(crate) struct RevealArguments {
    /// The output of the job: a folder or a URL
    pub(crate) output: String,
    /// The tokens
    #[arg(required = true)]
    pub(crate) tokens: Vec<String>,
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
