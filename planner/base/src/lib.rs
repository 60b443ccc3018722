//! Basics of all other crates of the planner: names of secrets, sizes, owner-only files, networks of addresses, and
//! threads.

mod byte_size;
mod document;
pub mod peer;
pub mod private;
mod secret;
mod threads;

pub use byte_size::{ByteSize, NumberOrText};
pub use document::DocumentLimits;
pub use secret::Secret;
pub use threads::{ThreadDied, in_threads};
