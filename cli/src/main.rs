//! `sanitizer`: the command line of Data Sanitizer.

mod arguments;
mod clean;
mod describe;
mod draft;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

// Columns are built and dropped by the million; the system's allocator was a tenth of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not errors.
            let status = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SANITIZER_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error")),
        )
        .with_writer(std::io::stderr)
        .init();
    let done = match arguments.command {
        Command::Run(arguments) => clean::run(&arguments),
        Command::Init(arguments) => draft::init(&arguments),
        Command::Profile(arguments) => describe::profile(&arguments),
        Command::Explain(arguments) => clean::explain(&arguments),
        Command::Schema(arguments) => describe::schema(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit_status(&error))
        }
    }
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
