//! How a program ends: its exit status, and an error in one line.

use std::error::Error;
use std::process::ExitCode;

use planner::ErrorKind;

/// A command line that cannot be carried out.
#[derive(Debug)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for UsageError {}

/// Returns the kind of an error that only the program at hand knows. Such an error tells its causes in its own words.
pub type KindOf = fn(&(dyn Error + 'static)) -> Option<ErrorKind>;

/// Prints the error, if there is one; returns the exit status.
pub fn end(done: anyhow::Result<()>) -> ExitCode {
    end_with(done, |_| None)
}

/// Prints the error, if there is one; returns the exit status. The program knows the kinds of some errors itself.
pub fn end_with(done: anyhow::Result<()>, own: KindOf) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", told(&error, own));
            ExitCode::from(exit_status(&error, own))
        }
    }
}

/// Prints what is wrong with a command line, or the help that it asks for; returns the exit status.
pub fn end_early(error: &clap::Error) -> ExitCode {
    // Help and version are answers, not errors.
    let status = if error.use_stderr() { 2 } else { 0 };
    let _ = error.print();
    ExitCode::from(status)
}

/// Returns the error and its causes in one line; some errors tell their cause themselves.
pub fn told(error: &anyhow::Error, own: KindOf) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        if own(cause).is_some() {
            break;
        }
    }
    // The engine breaks some of its lines.
    let lines = line.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// 1 when the job failed, 2 when the command line, the spec or the statement is wrong.
fn exit_status(error: &anyhow::Error, own: KindOf) -> u8 {
    let kind = error.chain().find_map(|cause| {
        let planner = cause.downcast_ref::<planner::Error>();
        let usage = cause.downcast_ref::<UsageError>();
        planner
            .map(planner::Error::kind)
            .or_else(|| own(cause))
            .or_else(|| usage.map(|_| ErrorKind::Invalid))
    });
    match kind {
        Some(ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict) => 2,
        _ => 1,
    }
}
