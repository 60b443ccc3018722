//! How far a job is, for people who watch it, and the wish to stop it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use crate::error::{Error, Result};

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Finding rows and splits.
    Index,
    /// Looking at the values to complete the contract.
    Infer,
    /// A pass that learns, by number from 1.
    Learn(usize),
    /// The pass that writes.
    Write,
    /// Report and manifest.
    Publish,
}

impl Phase {
    /// Name of the phase, as in the report's timings.
    pub fn name(self) -> String {
        match self {
            Self::Index => "index".to_owned(),
            Self::Infer => "infer".to_owned(),
            Self::Learn(pass) => format!("pass_{pass}"),
            Self::Write => "write".to_owned(),
            Self::Publish => "publish".to_owned(),
        }
    }
}

/// Counters that a job keeps and anyone may read.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    total: AtomicU64,
    learning_passes: AtomicU64,
    cancelled: AtomicBool,
    phase: Mutex<Option<Phase>>,
    writing_since: OnceLock<Instant>,
}

impl Progress {
    /// Enters a phase that will see `total` rows, 0 if nobody knows.
    pub fn enter(&self, phase: Phase, total: u64) -> Result<()> {
        self.check()?;
        self.rows.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        if phase == Phase::Write {
            self.writing_since.get_or_init(Instant::now);
        }
        *self
            .phase
            .lock()
            .map_err(|_| Error::Bug("a progress lock was poisoned"))? = Some(phase);
        Ok(())
    }

    /// Tells how many passes will learn.
    pub(crate) fn expect_passes(&self, passes: usize) {
        self.learning_passes.store(passes as u64, Ordering::Relaxed);
    }

    /// Shares, 0 to 1, of learning and of writing that are done, as far as can be told.
    pub fn shares(&self) -> (f64, f64) {
        let (phase, rows, total) = self.now();
        let within = match total {
            0 => 0.0,
            total => (rows as f64 / total as f64).min(1.0),
        };
        let passes = self.learning_passes.load(Ordering::Relaxed) as f64;
        // Finding the rows and completing the contract count for one pass that learns.
        let of_all = |done: f64| (done / (passes + 1.0)).min(1.0);
        match phase {
            None | Some(Phase::Index) => (0.0, 0.0),
            // How many passes come is not known yet.
            Some(Phase::Infer) => (within * 0.1, 0.0),
            Some(Phase::Learn(pass)) => (of_all(pass as f64 + within), 0.0),
            Some(Phase::Write) => (1.0, within),
            Some(Phase::Publish) => (1.0, 1.0),
        }
    }

    /// Counts rows that the phase has done.
    pub fn add_rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Tells that so many of `all` equal parts of the phase are done.
    pub fn reach(&self, parts: usize, all: usize) {
        let total = u128::from(self.total.load(Ordering::Relaxed));
        let rows = total * parts.min(all) as u128 / all.max(1) as u128;
        // A share of the total, which is a u64.
        self.rows.fetch_max(rows as u64, Ordering::Relaxed);
    }

    /// The phase, rows done, and rows in all.
    pub fn now(&self) -> (Option<Phase>, u64, u64) {
        let phase = self.phase.lock().ok().and_then(|phase| *phase);
        (
            phase,
            self.rows.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        )
    }

    /// When it began to write, if it has.
    pub fn writing_since(&self) -> Option<Instant> {
        self.writing_since.get().copied()
    }

    /// Asks the job to stop at the next batch.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Fails when somebody asked the job to stop.
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}
