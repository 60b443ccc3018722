//! What a program says on standard output while it runs.

/// Says something on standard output, if anybody listens.
pub fn say(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
