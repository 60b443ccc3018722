//! What a job writes: tables in parts, an account of every changed cell and every lost row, and
//! the manifest that makes them an output.

mod account;
mod cells;
mod chunk;
mod file;
mod folder;
mod index;
mod lease;
mod losses;
mod manifest;
mod output;
mod part;
mod prefix;
mod provenance;
mod table;
mod tokens;

pub use account::{Account, CellCount, FlagCount, LossCount, Sample};
pub use file::PartFolder;
pub use manifest::{FileEntry, Manifest, Software};
pub use output::{Attempt, Output};
pub(crate) use part::properties;
pub use part::{PartWriter, SinkOrder, SinkPlan, SplitOutcome};
pub use table::TableWriter;
pub use tokens::detach_tokens;
