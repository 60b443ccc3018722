//! Passwords: from the environment, the terminal, or a line of standard input.

use std::io::IsTerminal;

use anyhow::Context;
use console::Term;

use crate::ending::UsageError;

/// The variable that holds a password.
const VARIABLE: &str = "SANITIZER_PASSWORD";

/// A password, from the environment or asked for on the terminal.
pub(crate) fn given(question: &str) -> anyhow::Result<String> {
    if let Ok(password) = std::env::var(VARIABLE) {
        return Ok(password);
    }
    if std::io::stdin().is_terminal() {
        return ask(question);
    }
    let text = format!("no password; put it into {VARIABLE}");
    Err(UsageError(text).into())
}

/// A new password: from the environment, asked for twice on the terminal, or a line of standard
/// input.
pub(crate) fn new() -> anyhow::Result<String> {
    let password = if let Ok(password) = std::env::var(VARIABLE) {
        password
    } else if std::io::stdin().is_terminal() {
        let password = ask("New password: ")?;
        if ask("Once more: ")? != password {
            return Err(UsageError("the two passwords differ".to_owned()).into());
        }
        password
    } else {
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .context("no password could be read")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        return Err(UsageError("the password is empty".to_owned()).into());
    }
    Ok(password)
}

fn ask(question: &str) -> anyhow::Result<String> {
    let terminal = Term::stderr();
    terminal.write_str(question)?;
    Ok(terminal.read_secure_line()?)
}
