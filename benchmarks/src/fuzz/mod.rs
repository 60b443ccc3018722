//! Input that nobody meant well with: mutated seeds for every parser that strangers reach, and what each costs.

mod memory;
mod messages;
mod mutation;
mod seeds;
mod target;

pub use memory::Counting;
pub use mutation::Mutator;
pub use seeds::seeds;
pub use target::{Cost, Parsers, Target};

/// Most bytes of an input.
pub const MOST_BYTES: usize = 1 << 20;

/// Most bytes that an input may have the process hold.
pub const MOST_HELD: usize = 512 << 20;
