//! How well, and how fast, near duplicates are found where the true pairs are known.

mod customers;
mod documents;
mod find;
mod kernels;
mod score;
mod sets;
mod table;

pub use customers::{CustomerScore, CustomerTable};
pub use documents::DocumentSet;
pub use find::{Found, find_documents_with, find_with_sanitizer, find_with_splink};
pub use kernels::{KernelTime, time_kernels};
pub use score::{PairScore, RowPair};
pub use sets::LabelledTables;
pub use table::LabelledTable;
