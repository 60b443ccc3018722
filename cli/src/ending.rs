//! How a program ends: its exit status, and an error in one line.

use std::process::ExitCode;

/// A command line that cannot be carried out.
#[derive(Debug)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Tells an error; gives the exit status.
pub fn end(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::from(exit_status(&error))
        }
    }
}

/// Tells what is wrong with a command line, or the help that it asks for; gives the exit status.
pub fn end_early(error: &clap::Error) -> ExitCode {
    // Help and version are answers, not errors.
    let status = if error.use_stderr() { 2 } else { 0 };
    let _ = error.print();
    ExitCode::from(status)
}

/// The error and its causes in one line; some errors tell their cause themselves.
pub fn told(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        // An error of SQL tells in its own words what the engine says.
        if cause.is::<sql::Error>() {
            break;
        }
    }
    // The engine breaks some of its lines.
    let lines = line.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// 1 when the job failed, 2 when the command line, the spec or the statement is wrong.
fn exit_status(error: &anyhow::Error) -> u8 {
    use planner::ErrorKind;
    let kind = error.chain().find_map(|cause| {
        let own = cause
            .downcast_ref::<planner::Error>()
            .map(planner::Error::kind);
        own.or_else(|| cause.downcast_ref::<sql::Error>().map(sql::Error::kind))
            .or_else(|| {
                cause
                    .downcast_ref::<UsageError>()
                    .map(|_| ErrorKind::Invalid)
            })
    });
    match kind {
        Some(ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict) => 2,
        _ => 1,
    }
}
