//! The log, on stderr.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

pub(crate) fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_from_env("SANITIZER_LOG").unwrap_or_else(|_| EnvFilter::new(level))
}

/// Starts the log of a command: errors, unless `SANITIZER_LOG` asks for something else.
pub fn start_command() {
    tracing_subscriber::fmt()
        .with_env_filter(filter("error"))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
