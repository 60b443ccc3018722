//! Running a program and measuring what it used.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use benchmarks_harness::peak_bytes;

/// How often the memory of a running program is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Linux counts the time of processes in hundredths of a second towards user space (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What one run of a program used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Seconds from start to end.
    pub wall_seconds: f64,
    /// Processor seconds, user and system together; `None` where there is no `/proc`.
    pub cpu_seconds: Option<f64>,
    /// The high-water mark of resident memory in bytes; `None` where there is no `/proc`.
    pub peak_bytes: Option<u64>,
}

/// Runs a program to its end with its output in a file, and returns that output.
///
/// A program that fails is an error that shows the end of what it wrote to standard error.
pub fn run_measured(command: &mut Command, log_folder: &Path) -> Result<(Usage, String)> {
    let program = command.get_program().to_string_lossy().into_owned();
    // Files and not pipes, so that a program that writes a lot never waits for us.
    let stdout = log_folder.join("stdout.txt");
    let stderr = log_folder.join("stderr.txt");
    command.stdin(Stdio::null());
    command.stdout(
        File::create(&stdout).with_context(|| format!("cannot create {}", stdout.display()))?,
    );
    command.stderr(
        File::create(&stderr).with_context(|| format!("cannot create {}", stderr.display()))?,
    );
    let cpu_before = cpu_seconds_of_children();
    let started = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let (status, peak_bytes) = wait(&mut child).with_context(|| format!("lost {program}"))?;
    let wall_seconds = started.elapsed().as_secs_f64();
    let cpu_seconds = cpu_before
        .zip(cpu_seconds_of_children())
        .map(|(before, after)| after - before);
    if !status.success() {
        let messages = std::fs::read_to_string(&stderr).unwrap_or_default();
        let last: Vec<_> = messages.lines().rev().take(5).collect();
        let last: Vec<_> = last.into_iter().rev().collect();
        bail!("{program} ended with {status}: {}", last.join("\n"));
    }
    let output = std::fs::read_to_string(&stdout)
        .with_context(|| format!("cannot read {}", stdout.display()))?;
    Ok((
        Usage {
            wall_seconds,
            cpu_seconds,
            peak_bytes,
        },
        output,
    ))
}

fn wait(child: &mut Child) -> std::io::Result<(ExitStatus, Option<u64>)> {
    let mut peak = None;
    loop {
        // The mark only rises, so the last look before the end is all that counts.
        peak = peak_bytes(child.id()).max(peak);
        if let Some(status) = child.try_wait()? {
            return Ok((status, peak));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// The processor time of all children that have ended: `cutime` and `cstime` of `/proc/self/stat`, see proc(5).
fn cpu_seconds_of_children() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(13);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    /// A program's output comes back with what it used, and a failure with its message.
    #[test]
    fn measures_and_reports_failures() {
        let folder = tempfile::tempdir().unwrap();
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            run_measured(&mut command, folder.path())
        };
        let (usage, output) = shell("sleep 0.05; echo done").unwrap();
        assert_eq!(output.trim(), "done");
        assert!(usage.wall_seconds >= 0.05);
        assert_eq!(
            usage.peak_bytes.is_some(),
            Path::new("/proc/self/status").exists()
        );
        let error = shell("echo broken >&2; exit 3").unwrap_err().to_string();
        assert!(error.contains("broken"), "{error}");
    }
}
