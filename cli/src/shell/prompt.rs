//! The prompt: reads statements from a person, and goes on after errors.

use std::path::Path;

use anyhow::Context;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::runtime::Runtime;

use super::complete::{Names, PromptHelper};
use super::output::NobodyReads;
use super::runner::{Flow, Origin, Shell};
use super::script::{Piece, PieceKind, ScriptReader};
use crate::ending::told;

/// Statements that are remembered.
const MOST_REMEMBERED: usize = 10_000;

/// Reads and carries out statements until the person leaves.
pub(crate) fn run(runtime: &Runtime, shell: &mut Shell, home: &Path) -> anyhow::Result<()> {
    let mut editor = editor(runtime.block_on(Names::look_up(&shell.target)))?;
    planner::private::folder(home).with_context(|| home.display().to_string())?;
    let history = home.join("history");
    // There is none at the first time.
    let _ = editor.load_history(&history);
    let version = env!("CARGO_PKG_VERSION");
    shell.say(&format!(
        "Data Sanitizer {version}. Statements end with a semicolon; \\? lists the commands."
    ))?;
    loop {
        let text = match editor.readline("sql> ") {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error).context("the terminal cannot be read"),
        };
        if text.trim().is_empty() {
            continue;
        }
        if editor.add_history_entry(text.trim_end()).unwrap_or(false) {
            // A history that cannot be kept is no reason to stop.
            let _ = editor.append_history(&history);
        }
        let pieces = ScriptReader::pieces(&text);
        if runtime.block_on(carry_out(shell, &pieces))? == Flow::Leave {
            return Ok(());
        }
        if pieces.iter().any(changes_names)
            && let Some(helper) = editor.helper_mut()
        {
            helper.names = runtime.block_on(Names::look_up(&shell.target));
        }
    }
}

fn editor(names: Names) -> anyhow::Result<Editor<PromptHelper, FileHistory>> {
    let config = Config::builder()
        .max_history_size(MOST_REMEMBERED)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config).context("the terminal cannot be used")?;
    editor.set_helper(Some(PromptHelper::new(names)));
    Ok(editor)
}

/// Carries out what was typed up to the first error.
async fn carry_out(shell: &mut Shell, pieces: &[Piece]) -> anyhow::Result<Flow> {
    for piece in pieces {
        match shell.piece(piece, Origin::Typed).await {
            Ok(Flow::GoOn) => {}
            Ok(Flow::Leave) => return Ok(Flow::Leave),
            Err(error) if error.is::<NobodyReads>() => return Err(error),
            Err(error) => {
                eprintln!("error: {}", told(&error));
                break;
            }
        }
    }
    Ok(Flow::GoOn)
}

/// Whether other names may be there afterwards.
fn changes_names(piece: &Piece) -> bool {
    let begins = |word: &str| {
        let start = piece.text.get(..word.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    match piece.kind {
        PieceKind::Statement => ["create", "drop", "alter", "set"].into_iter().any(begins),
        PieceKind::Command => begins("i"),
    }
}
