//! What a run of all benchmarks found: kept as data, shown as pages, compared with another run.

mod compare;
mod machine;
mod page;
mod tables;

use serde::{Deserialize, Serialize};

pub use compare::{Change, compare};
pub use machine::Machine;
pub use page::{html_page, markdown_page};
pub use tables::{FigureTable, tables_of};

/// A run of all benchmarks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// When it began (RFC 3339, UTC).
    pub begun_at: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was measured, by name and version.
    pub versions: Vec<(String, String)>,
    /// What each command found.
    pub sections: Vec<Section>,
}

/// What a command found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Section {
    /// Name of the command.
    pub name: String,
    /// What it measures.
    pub about: String,
    /// The command, as it was run.
    pub command: String,
    /// Seconds that it took.
    pub seconds: f64,
    /// Whether it came to its end.
    pub succeeded: bool,
    /// What it printed, the last of what it complained of where it failed.
    pub output: String,
    /// The tables in what it printed.
    pub tables: Vec<FigureTable>,
}
