//! Ballista's executor with the session of Data Sanitizer.

mod engine;
mod memory;
mod options;
mod pool;
mod process;

pub use memory::TaskMemory;
pub use options::ExecutorOptions;
pub use process::{Executor, ExecutorError};
