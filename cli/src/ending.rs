//! How `sanitizer` ends: as every program does, with the errors of SQL among those that it knows.

use std::error::Error;
use std::process::ExitCode;

pub(crate) use cli_process::ending::{UsageError, end_early};
use planner::ErrorKind;

// Statements are planned on the threads of the programs' runtime too.
#[cfg(feature = "service")]
const _: () = assert!(cli_process::runtime::STACK_BYTES >= sql::STACK_BYTES);

/// Prints the error, if there is one; returns the exit status.
pub(crate) fn end(done: anyhow::Result<()>) -> ExitCode {
    cli_process::ending::end_with(done, kind_of_sql)
}

/// Returns an error and its causes in one line.
pub(crate) fn told(error: &anyhow::Error) -> String {
    cli_process::ending::told(error, kind_of_sql)
}

/// An error of SQL tells in its own words what the engine says.
#[cfg(feature = "service")]
fn kind_of_sql(cause: &(dyn Error + 'static)) -> Option<ErrorKind> {
    cause.downcast_ref::<sql::Error>().map(sql::Error::kind)
}

/// There is no SQL in this program.
#[cfg(not(feature = "service"))]
fn kind_of_sql(_: &(dyn Error + 'static)) -> Option<ErrorKind> {
    None
}
