//! What a pass learns. A log takes down what an operation needs of each frame, split by split;
//! logs are Arrow batches, so that they travel between processes; summing them up in the order of
//! the splits gives the same answer whoever kept them.

mod figures;
mod gone;
mod keys;
mod log;
mod quantity;
mod values;

pub use figures::{FigureLog, sum_figures};
pub use gone::{GoneCursor, GoneRows};
pub use keys::{KEY_BUCKETS, KeyLog, find_repeats};
pub use log::{LogContext, LogEntry, SplitLog};
pub(crate) use quantity::{Quantity, quantities, quantity_array};
pub use values::{ValueLog, sum_values};
