//! `sanitizer sql`: statements, scripts, and a prompt.

mod arguments;
mod complete;
mod interrupt;
mod meta;
mod output;
mod prompt;
mod remote;
mod runner;
mod script;
mod table;
mod target;

use std::io::IsTerminal;

use anyhow::Context;

use self::arguments::Format;
pub(crate) use self::arguments::SqlArguments;
use self::output::{NobodyReads, Output};
use self::runner::{Origin, Shell, View};
use self::target::Target;

/// Runs what the command line asks for.
pub(crate) fn run(arguments: &SqlArguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(target::threads(arguments))
        // Statements are planned on these threads.
        .thread_stack_size(sql::STACK_BYTES)
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let done = carry_out(arguments, &runtime);
    // What was interrupted must not keep the program.
    runtime.shutdown_background();
    match done {
        Err(error) if error.is::<NobodyReads>() => Ok(()),
        done => done,
    }
}

fn carry_out(arguments: &SqlArguments, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    let reads = arguments.statements.is_none() && arguments.files.is_empty();
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let prompt = reads && terminal;
    let promised = arguments.output.as_deref().and_then(Format::of_name);
    let view = View {
        format: arguments.format.or(promised).unwrap_or(Format::Table),
        expanded: false,
        timing: true,
        quiet: arguments.quiet,
        prompt,
        limit: Some(arguments.limit).filter(|limit| prompt && *limit > 0),
    };
    let mut shell = runtime.block_on(async {
        let target = Target::open(arguments).await?;
        let output = match &arguments.output {
            Some(file) => Output::file(file)?,
            None => Output::Standard,
        };
        anyhow::Ok(Shell::new(target, output, view))
    })?;
    if prompt {
        return prompt::run(runtime, &mut shell, &arguments.home.path()?);
    }
    runtime.block_on(async {
        if let Some(text) = &arguments.statements {
            shell.text(text, Origin::Typed).await?;
        }
        for file in &arguments.files {
            shell.script(file).await?;
        }
        if reads {
            shell.standard_input().await?;
        }
        Ok(())
    })
}
