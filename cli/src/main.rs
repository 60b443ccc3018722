//! `sanitizer`: the command line of Data Sanitizer.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
#[cfg(feature = "service")]
mod audit;
mod clean;
#[cfg(feature = "service")]
mod client;
mod describe;
mod draft;
mod ending;
#[cfg(feature = "service")]
mod home;
mod lines;
mod pair;
#[cfg(feature = "service")]
mod password;
mod progress;
mod reveal;
#[cfg(feature = "service")]
mod rotate;
#[cfg(feature = "service")]
mod serve;
#[cfg(feature = "service")]
mod shell;
mod surroundings;
#[cfg(feature = "service")]
mod users;

use std::process::ExitCode;

use clap::Parser;
#[cfg(feature = "service")]
use cli_process::traces::start_process;
use cli_process::{allocator, log};

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    allocator::set_up();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return ending::end_early(&error),
    };
    let _traces = match start_log(&arguments.command) {
        Ok(traces) => traces,
        Err(error) => return ending::end(Err(error)),
    };
    ending::end(match arguments.command {
        Command::Run(arguments) => clean::run(&arguments),
        Command::Init(arguments) => draft::init(&arguments),
        Command::Profile(arguments) => describe::profile(&arguments),
        Command::Explain(arguments) => clean::explain(&arguments),
        Command::ExplainPair(arguments) => pair::explain(&arguments),
        Command::Reveal(arguments) => reveal::run(&arguments),
        #[cfg(feature = "service")]
        Command::RotateTokens(arguments) => rotate::run(&arguments),
        #[cfg(feature = "service")]
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Schema(arguments) => describe::schema(&arguments),
        #[cfg(feature = "service")]
        Command::Sql(arguments) => shell::run(&arguments),
        #[cfg(feature = "service")]
        Command::Serve(arguments) => serve::serve(&arguments),
        #[cfg(feature = "service")]
        Command::Users(arguments) => users::run(&arguments),
        #[cfg(feature = "service")]
        Command::Submit(arguments) => client::submit(&arguments),
        #[cfg(feature = "service")]
        Command::Status(arguments) => client::status(&arguments),
        #[cfg(feature = "service")]
        Command::Report(arguments) => client::report(&arguments),
        #[cfg(feature = "service")]
        Command::Download(arguments) => client::download(&arguments),
        #[cfg(feature = "service")]
        Command::Cancel(arguments) => client::cancel(&arguments),
        #[cfg(feature = "service")]
        Command::Keys(arguments) => client::keys(&arguments),
        #[cfg(feature = "service")]
        Command::Tenants(arguments) => client::tenants(&arguments),
        #[cfg(feature = "service")]
        Command::Migrate(arguments) => scheduler_daemon::migrate(&arguments),
        #[cfg(feature = "service")]
        Command::Scheduler(arguments) => scheduler_daemon::run(&arguments),
        #[cfg(feature = "service")]
        Command::Executor(arguments) => executor_daemon::run(&arguments),
    })
}

/// What sends traces, until it is dropped.
#[cfg(feature = "service")]
type Traces = cli_process::traces::Traces;

/// Nothing sends traces.
#[cfg(not(feature = "service"))]
type Traces = ();

/// Starts the log that the command asks for, and the traces of programs that run for long.
fn start_log(command: &Command) -> anyhow::Result<Option<Traces>> {
    match command {
        #[cfg(feature = "service")]
        Command::Scheduler(arguments) => start_process("scheduler", arguments.log_format),
        #[cfg(feature = "service")]
        Command::Executor(arguments) => start_process("executor", arguments.log_format),
        #[cfg(feature = "service")]
        Command::Serve(arguments) => start_process("serve", arguments.log_format),
        _ => {
            log::start_command();
            Ok(None)
        }
    }
}
