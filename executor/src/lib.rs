//! Ballista's executor with the session of Data Sanitizer.

mod options;
mod process;

pub use options::ExecutorOptions;
pub use process::{Executor, ExecutorError};
