//! The runtime of statements: what they keep busy is not what answers calls.

use tokio::runtime::{Builder, Handle, Runtime};

use crate::engine::STACK_BYTES;
use crate::error::{Error, Result};

/// A runtime that ends, without waiting, when it is dropped: also from within another one.
pub(super) struct Work(Option<Runtime>);

impl Work {
    /// Starts a runtime of so many threads.
    ///
    /// # Errors
    /// [`Error::Io`] where no threads can be started.
    pub(super) fn start(threads: usize) -> Result<(Self, Handle)> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(2))
            .thread_name("statement")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| Error::io("the runtime of statements", error))?;
        let handle = runtime.handle().clone();
        Ok((Self(Some(runtime)), handle))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
