//! The progress bar: rows, rows a second, pass, time left. On a terminal only.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use planner::run::{Phase, Progress};

/// A bar that follows a job.
pub(crate) struct Bar {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    /// Follows `progress`, if there is a terminal to show it on.
    pub(crate) fn start(progress: Arc<Progress>) -> Self {
        Self::start_after(progress, Duration::ZERO)
    }

    /// Follows `progress` from some time on, for work that may be short.
    pub(crate) fn start_after(progress: Arc<Progress>, patience: Duration) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let thread = std::io::stderr().is_terminal().then(|| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                let begun = Instant::now();
                while begun.elapsed() < patience && !done.load(Ordering::Relaxed) {
                    std::thread::park_timeout(patience);
                }
                follow(&progress, &done);
            })
        });
        Self { done, thread }
    }

    /// Takes the bar away.
    pub(crate) fn stop(self) {}
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A bar that failed is no reason to fail.
            let _ = thread.join();
        }
    }
}

fn follow(progress: &Progress, done: &AtomicBool) {
    let bar = ProgressBar::new(0);
    let terminal = Term::stderr();
    let (mut shown_phase, mut shown_template) = (None, "");
    while !done.load(Ordering::Relaxed) {
        let (phase, rows, total) = progress.now();
        let template = template(terminal.size().1, total > 0);
        if template != shown_template {
            bar.set_style(style(template));
            shown_template = template;
        }
        if phase != shown_phase {
            bar.reset();
            bar.set_message(phase.map(words).unwrap_or_default());
            shown_phase = phase;
        }
        bar.set_length(total);
        bar.set_position(rows);
        std::thread::park_timeout(Duration::from_millis(100));
    }
    bar.finish_and_clear();
}

/// What fits a line of so many columns; a line that wraps cannot be taken away.
fn template(columns: u16, counted: bool) -> &'static str {
    match columns {
        80.. if counted => "{msg:10} {wide_bar} {rows} rows  {rate:>16}  {left:>8}",
        30.. if counted => "{msg:10} {wide_bar} {percent:>3}%  {left:>8}",
        _ => "{msg}",
    }
}

fn style(template: &str) -> ProgressStyle {
    // A key that cannot be written is left out.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key(
            "rows",
            |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                let total = HumanCount(state.len().unwrap_or_default()).to_string();
                let rows = HumanCount(state.pos()).to_string();
                let _ = write!(line, "{rows:>width$}/{total}", width = total.len());
            },
        )
        .with_key(
            "rate",
            |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                if state.pos() > 0 {
                    let _ = write!(line, "{} rows/s", HumanCount(state.per_sec() as u64));
                }
            },
        )
        .with_key(
            "left",
            |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                if state.pos() > 0 && state.len() != Some(state.pos()) {
                    let _ = write!(line, "{:#} left", HumanDuration(state.eta()));
                }
            },
        )
}

fn words(phase: Phase) -> String {
    match phase {
        Phase::Index => "indexing".to_owned(),
        Phase::Infer => "looking".to_owned(),
        Phase::Learn(pass) => format!("pass {pass}"),
        Phase::Write => "writing".to_owned(),
        Phase::Publish => "publishing".to_owned(),
    }
}
