//! What may stand on the command line of `sanitizer sql`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cli_process::ClusterTlsArguments;
use planner::cluster::ClusterAddress;
use planner::spec::ByteSize;

use crate::home::HomeArguments;

/// Run SQL over files, tables and the cleaning functions: statements, a script, or a prompt.
#[derive(Debug, Args)]
pub(crate) struct SqlArguments {
    /// Statements, with semicolons between them. Without any: a prompt on a terminal, otherwise
    /// statements are read from standard input
    #[arg(value_name = "STATEMENTS", conflicts_with = "files")]
    pub(crate) statements: Option<String>,
    /// Run the statements of a file; may be given again
    #[arg(short, long = "file", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Output format [default: inferred from --output, otherwise table]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Write the rows to a file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Say nothing but rows and errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Most rows that the prompt shows of a table; 0 for all
    #[arg(long, value_name = "ROWS", default_value_t = 100)]
    pub(crate) limit: usize,
    /// The folder of the catalog.
    #[command(flatten)]
    pub(crate) home: HomeArguments,
    /// Whose tables and specs are seen
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) tenant: String,
    /// Ballista scheduler whose executors do the work: df://HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with = "server")]
    pub(crate) cluster: Option<ClusterAddress>,
    /// Certificates of the cluster.
    #[command(flatten)]
    pub(crate) cluster_tls: ClusterTlsArguments,
    /// Memory of the statements, such as 2GiB [default: 4GiB]
    #[arg(long, value_name = "SIZE", conflicts_with = "server")]
    pub(crate) memory_limit: Option<ByteSize>,
    /// Threads that a statement uses [default: one a core]
    #[arg(long, value_name = "COUNT", conflicts_with = "server")]
    pub(crate) threads: Option<std::num::NonZeroUsize>,
    /// Flight SQL server that runs the statements: grpc://HOST:PORT or grpc+tls://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Name at the server; the password comes from SANITIZER_PASSWORD or is asked for. An API key
    /// comes from SANITIZER_API_KEY
    #[arg(long, value_name = "NAME", requires = "server")]
    pub(crate) user: Option<String>,
    /// Certificates of the authorities that the server's may come from, in PEM [default: the
    /// system's]
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(crate) ca: Option<PathBuf>,
}

/// The output format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, for people
    Table,
    /// Comma-separated values with a header
    Csv,
    /// Tab-separated values with a header
    Tsv,
    /// One array of objects
    Json,
    /// One object a line
    Jsonl,
}

impl Format {
    /// The format that the name of a file promises.
    pub(crate) fn of_name(path: &std::path::Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "json" => Some(Self::Json),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }
}
