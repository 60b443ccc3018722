//! The prompt of `sanitizer sql`, on a terminal that a program of Python pretends to be.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::json;

use super::sandbox::Sandbox;
use super::sql::{printed, with_people};

/// Starts the program on a terminal of its own; types each text of a list of pairs, then waits for
/// what must be shown. Prints the exit status.
const TERMINAL: &str = r#"
import fcntl, json, os, pty, select, struct, sys, termios, time
steps = json.load(sys.stdin)
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 90, 0, 0))
seen = b""
def read(end):
    global seen
    if not select.select([terminal], [], [], max(0, end - time.time()))[0]:
        return False
    try:
        more = os.read(terminal, 65536)
    except OSError:
        return False
    seen += more
    return bool(more)
for typed, shown in steps:
    os.write(terminal, typed.encode())
    end = time.time() + 90
    while shown.encode() not in seen:
        if not read(end):
            sys.exit(f"{shown!r} is not shown after {typed!r}, but {seen!r}")
    if shown:
        seen = seen.split(shown.encode(), 1)[1]
    else:
        time.sleep(0.3)
while read(time.time() + 90):
    pass
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// What a terminal is told when the prompt is about to read.
const READY: &str = "\x1b[?2004h";

/// Types at the prompt; it must end with status 0 when the last text was typed.
fn type_at(sandbox: &Sandbox, arguments: &[&str], steps: &[(&str, &str)]) {
    let program = sandbox.command(&[&["sql", "--home", "home"], arguments].concat());
    let mut child = std::process::Command::new("python3")
        .args(["-c", TERMINAL])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(sandbox.path(""))
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let steps = json!(steps).to_string();
    let mut input = child.stdin.take().unwrap();
    input.write_all(steps.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{error}");
}

/// Statements of several lines, completion, errors that end nothing, tables cut to the terminal and
/// to the limit, Ctrl-C for the statement and Ctrl-D for the end; the history is the person's own.
#[test]
fn the_prompt() {
    let sandbox = with_people();
    let made = "CREATE EXTERNAL TABLE people STORED AS CSV LOCATION 'people.csv'";
    printed(&sandbox, &[made], "");
    let endless = "SELECT count(*) AS n FROM generate_series(1, 100000000000000);\r";
    let steps = [
        ("", "sql> "),
        ("SELECT 40 +\r", ""),
        ("2 AS n;\r", " 42\r\n"),
        ("SELECT * FROM nowhere;\r", "error: "),
        ("SELECT nam\t FROM peo\t WHERE id = 3;\r", "Zoë\r\n"),
        ("CREATE VIEW strangers AS SELECT 7 AS seven;\r", "(done"),
        ("SELECT sev\t FROM stran\t;\r", " 7\r\n"),
        ("SELECT count(*) AS n FROM 'peop\t;\r", " 4\r\n"),
        ("SELECT repeat('x', 500) AS long;\r", "xxx…\r\n"),
        (
            "SELECT value FROM range(0, 1000);\r",
            "995 of them not shown",
        ),
        ("", READY),
        ("SELECT 1 \x03", READY),
    ];
    type_at(
        &sandbox,
        &["--limit", "5"],
        &[&steps[..], &[("\x04", "")]].concat(),
    );
    let steps = [
        ("", READY),
        // The prompt no longer reads, and the statement runs.
        (endless, "\x1b[?2004l"),
        ("", ""),
        ("\x03", "error: cancelled"),
        ("", READY),
        ("\\q\r", ""),
    ];
    type_at(&sandbox, &[], &steps);
    let history = sandbox.path("home/history");
    let mode = std::fs::metadata(&history).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(history).unwrap();
    assert!(text.contains("40 +") && text.contains("nowhere"), "{text}");
}
