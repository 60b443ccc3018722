//! The program `sanitizer-executor` as images start it. Cargo builds it for this test, and so for those of `cli` too.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn run(argument: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_sanitizer-executor");
    Command::new(program).arg(argument).output().unwrap()
}

/// The program says what it is, and refuses what it does not know with the status of a wrong command line.
#[test]
fn command_line() {
    let version = run("--version");
    assert!(version.status.success());
    let text = String::from_utf8(version.stdout).unwrap();
    assert_eq!(
        text.trim(),
        concat!("sanitizer-executor ", env!("CARGO_PKG_VERSION"))
    );
    let wrong = run("--no-such-flag");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stdout.is_empty());
}
