//! What a pass learns. A log takes down what an operation needs of each frame, split by split;
//! logs are Arrow batches, so that they travel between processes; summing them up in the order of
//! the splits gives the same answer whoever kept them.

mod figures;
mod keys;
mod log;
mod quantity;
mod removed_rows;
mod values;

pub use figures::{FigureLog, sum_figures};
pub use keys::{KEY_BUCKETS, KeyLog, find_repeats};
pub use log::{Accumulator, LogContext, LogEntry};
pub(crate) use quantity::{Quantity, quantities, quantity_array};
pub use removed_rows::{RemovedCursor, RemovedRows};
pub use values::{ValueLog, sum_values};
