//! Ctrl-C: it ends the statement that runs, not the program.

use std::sync::Arc;

use planner::run::Progress;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Counts how often the person wished to stop.
pub(crate) struct Interrupts {
    count: watch::Receiver<u64>,
}

impl Interrupts {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        let (sender, count) = watch::channel(0);
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                sender.send_modify(|count| *count += 1);
            }
        });
        Self { count }
    }

    /// Watches for the next wish, which is told to `progress`.
    pub(crate) fn watch(&self, progress: Option<Arc<Progress>>) -> Watch {
        let mut count = self.count.clone();
        count.mark_unchanged();
        let mut told = count.clone();
        // A task of its own: the statement may keep the thread that waits for it busy.
        let teller = tokio::spawn(async move {
            if told.changed().await.is_ok()
                && let Some(progress) = progress
            {
                progress.cancel();
            }
        });
        Watch { count, teller }
    }
}

/// Watches over one statement.
pub(crate) struct Watch {
    count: watch::Receiver<u64>,
    teller: JoinHandle<()>,
}

impl Watch {
    /// Waits until the person wishes to stop.
    pub(crate) async fn wish(&mut self) {
        if self.count.changed().await.is_err() {
            // Nobody listens to the terminal.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.teller.abort();
    }
}
