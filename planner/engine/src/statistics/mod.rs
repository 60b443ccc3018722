//! Statistics that several steps ask for: rows that repeat a key, figures of columns, frequent values.
//!
//! Partial states are Arrow batches, so that they travel between processes; evaluating them in the order of the splits
//! gives the same value whoever gathered them.

mod figures;
mod quantity;
mod repeats;
mod values;

pub use figures::{ColumnFigures, Figure, Figures, GroupFigures};
pub use quantity::{Quantity, quantities, quantity_array};
pub use repeats::{Keep, RepeatedKeys, Repeats};
pub use values::{CanonicalValues, FrequentValues};
