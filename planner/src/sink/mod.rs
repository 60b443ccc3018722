//! What a job writes: tables in parts, an account of every changed cell and every lost row, and
//! the manifest that makes them an output.

mod account;
mod cells;
mod chunk;
mod file;
mod folder;
mod losses;
mod manifest;
mod part;
mod provenance;
mod table;

pub use account::{Account, CellCount, FlagCount, LossCount, Sample};
pub use file::PartFolder;
pub use folder::{Attempt, OutputFolder};
pub use manifest::{FileEntry, Manifest, Software};
pub use part::{PartWriter, SinkOrder, SinkPlan, SplitOutcome};
pub use table::TableWriter;
