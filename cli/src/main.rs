//! `sanitizer`: the command line of Data Sanitizer.

mod arguments;
mod clean;
mod describe;
mod draft;
mod lines;
mod member;
mod progress;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, Command, LogFormat};

// Columns are built and dropped by the million; the system's allocator was a tenth of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Freed memory goes back to the system after so many milliseconds. Batches and pages take it again
/// at once, and fresh memory has to be zeroed: with the default of 10 that was a twentieth of the time.
const GIVE_BACK_AFTER: std::ffi::c_long = 1_000;

/// Number of mimalloc's `mi_option_purge_delay`, which its bindings leave out.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    // SAFETY: the option is known to the allocator, and this is before any other thread begins.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, GIVE_BACK_AFTER) };
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not errors.
            let status = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    start_log(&arguments.command);
    let done = match arguments.command {
        Command::Run(arguments) => clean::run(&arguments),
        Command::Init(arguments) => draft::init(&arguments),
        Command::Profile(arguments) => describe::profile(&arguments),
        Command::Explain(arguments) => clean::explain(&arguments),
        Command::Schema(arguments) => describe::schema(&arguments),
        Command::Scheduler(arguments) => member::scheduler(&arguments),
        Command::Executor(arguments) => member::executor(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::from(exit_status(&error))
        }
    }
}

/// The log goes to stderr: of the members of a cluster what happens, else errors alone.
fn start_log(command: &Command) {
    let (level, format) = match command {
        Command::Scheduler(arguments) => ("info", arguments.log_format),
        Command::Executor(arguments) => ("info", arguments.log_format),
        _ => ("error", LogFormat::Text),
    };
    let filter = EnvFilter::try_from_env("SANITIZER_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// The error and its causes in one line; some errors tell their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

/// 1 when the job failed, 2 when the command line or the spec is wrong.
fn exit_status(error: &anyhow::Error) -> u8 {
    use planner::ErrorKind;
    let kind = error.chain().find_map(|cause| {
        let own = cause
            .downcast_ref::<planner::Error>()
            .map(planner::Error::kind);
        own.or_else(|| {
            cause
                .downcast_ref::<arguments::UsageError>()
                .map(|_| ErrorKind::Invalid)
        })
    });
    match kind {
        Some(ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict) => 2,
        _ => 1,
    }
}
