//! Ballista's executor with the session of Data Sanitizer, on ports that only members of the cluster may use.

mod engine;
mod error;
mod membership;
mod memory;
mod options;
mod pool;
mod process;
mod runtime;
mod service;
mod tasks;
mod work;

pub use error::ExecutorError;
pub use memory::TaskMemory;
pub use options::ExecutorOptions;
pub use process::Executor;
