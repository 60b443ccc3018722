//! `sanitizer`: the command line of Data Sanitizer.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
mod audit;
mod clean;
mod client;
mod describe;
mod draft;
mod ending;
mod home;
mod lines;
mod pair;
mod password;
mod progress;
mod reveal;
mod rotate;
mod serve;
mod shell;
mod users;

use std::process::ExitCode;

use clap::Parser;
use cli_process::{allocator, log};

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    allocator::set_up();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return ending::end_early(&error),
    };
    let traces = match &arguments.command {
        Command::Scheduler(arguments) => log::start_process("scheduler", arguments.log_format),
        Command::Executor(arguments) => log::start_process("executor", arguments.log_format),
        Command::Serve(arguments) => log::start_process("serve", arguments.log_format),
        _ => Ok(log::start_command()),
    };
    let _traces = match traces {
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
        Command::RotateTokens(arguments) => rotate::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Schema(arguments) => describe::schema(&arguments),
        Command::Sql(arguments) => shell::run(&arguments),
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Users(arguments) => users::run(&arguments),
        Command::Submit(arguments) => client::submit(&arguments),
        Command::Status(arguments) => client::status(&arguments),
        Command::Report(arguments) => client::report(&arguments),
        Command::Download(arguments) => client::download(&arguments),
        Command::Cancel(arguments) => client::cancel(&arguments),
        Command::Keys(arguments) => client::keys(&arguments),
        Command::Tenants(arguments) => client::tenants(&arguments),
        Command::Migrate(arguments) => scheduler_daemon::migrate(&arguments),
        Command::Scheduler(arguments) => scheduler_daemon::run(&arguments),
        Command::Executor(arguments) => executor_daemon::run(&arguments),
    })
}
