//! Ballista's executor with the session of Data Sanitizer.

mod engine;
mod options;
mod pool;
mod process;

pub use options::ExecutorOptions;
pub use process::{Executor, ExecutorError};
