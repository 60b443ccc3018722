//! `sanitizer-scheduler`: `sanitizer scheduler` as a program of its own, for images.

use std::process::ExitCode;

use clap::Parser;
use cli_process::{allocator, ending, traces};
use scheduler_daemon::SchedulerArguments;

/// Start the scheduler of a cluster.
#[derive(Debug, Parser)]
#[command(name = "sanitizer-scheduler", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    member: SchedulerArguments,
}

fn main() -> ExitCode {
    allocator::set_up();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments.member,
        Err(error) => return ending::end_early(&error),
    };
    let _traces = match traces::start_process("scheduler", arguments.log_format) {
        Ok(traces) => traces,
        Err(error) => return ending::end(Err(error)),
    };
    ending::end(scheduler_daemon::run(&arguments))
}
