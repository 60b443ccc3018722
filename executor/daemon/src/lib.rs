//! An executor of a cluster as a program: what it takes on its command line, and its run. `sanitizer executor` is the same.

mod arguments;
mod run;

pub use arguments::ExecutorArguments;
pub use run::run;
