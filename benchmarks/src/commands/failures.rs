//! Going on after a failure, and saying so at the end.

use anyhow::{Result, ensure};

/// Jobs that failed: the others are measured all the same.
#[derive(Default)]
pub(super) struct Failures(usize);

impl Failures {
    /// The result, or nothing and a word about what failed.
    pub(super) fn note<T>(&mut self, name: &str, result: Result<T>) -> Option<T> {
        result
            .inspect_err(|error| {
                self.0 += 1;
                println!("failed: {name}: {error:#}");
            })
            .ok()
    }

    /// An error if anything failed.
    pub(super) fn into_result(self) -> Result<()> {
        ensure!(
            self.0 == 0,
            "{} jobs failed: the figures above are without them",
            self.0
        );
        Ok(())
    }
}
