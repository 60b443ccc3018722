//! The progress bar: rows, rows a second, pass, time left. On a terminal only.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use planner::run::{Phase, Progress};

/// A bar that follows a job.
pub(crate) struct Bar {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    /// Follows `progress`, if there is a terminal to show it on.
    pub(crate) fn start(progress: Arc<Progress>) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let thread = std::io::stderr().is_terminal().then(|| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || follow(&progress, &done))
        });
        Self { done, thread }
    }

    /// Takes the bar away.
    pub(crate) fn stop(self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread {
            // A bar that failed is no reason to fail.
            let _ = thread.join();
        }
    }
}

fn follow(progress: &Progress, done: &AtomicBool) {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template(
        "{msg:12} {wide_bar} {human_pos}/{human_len} rows  {per_sec}  {eta} left",
    );
    if let Ok(style) = style {
        bar.set_style(style);
    }
    let mut shown = None;
    while !done.load(Ordering::Relaxed) {
        let (phase, rows, total) = progress.now();
        if phase != shown {
            bar.reset();
            bar.set_message(phase.map(words).unwrap_or_default());
            shown = phase;
        }
        bar.set_length(total);
        bar.set_position(rows);
        std::thread::sleep(Duration::from_millis(100));
    }
    bar.finish_and_clear();
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
