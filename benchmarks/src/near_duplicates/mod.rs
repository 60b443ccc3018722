//! How well near-duplicate rows are found in tables whose true pairs are known.

mod find;
mod score;
mod sets;
mod table;

pub use find::{Found, find_with_sanitizer, find_with_splink};
pub use score::{PairScore, RowPair};
pub use sets::LabelledTables;
pub use table::LabelledTable;
