//! Near duplicates, across the rows of a table: what the kernels of `udfs::kernels::matching` need of
//! all rows, and in which order.
//!
//! ```text
//!  pass A   a sample of the rows ────────────────► how rows meet, what fields are like  (sample.rs)
//!  pass B   keys of every row ──shuffled by key──► pairs with keys in common    (candidates.rs, pairs.rs)
//!  pass C   records of the rows in a pair ──shuffled by pair──► compared pairs  (records.rs, score.rs)
//!  driver   compared pairs ──► weights ──► clusters ──► who stays               (clusters.rs, decide.rs)
//! ```
//!
//! With `against`, the rows of an earlier output take part by the index that it has (index.rs, earlier.rs).
//!
//! Keys and the records of rows that may match travel; nothing else does. All that is decided rests
//! on sorted pairs, so it does not matter who compared them.

mod candidates;
mod clusters;
mod decide;
mod earlier;
mod found;
mod index;
mod matches;
mod merge;
mod options;
mod pairs;
mod records;
mod report;
mod rows;
mod sample;
mod score;

pub use candidates::{CandidatePairs, KeysOfRows};
pub use clusters::Clusters;
pub use earlier::{EarlierIndex, IndexPart};
pub use found::EarlierOutput;
pub use index::{
    FieldAgreement, IndexHead, Indexed, IndexedRows, clusters_of, files as index_files,
    index_keys_schema, index_rows_schema, indexes,
};
pub use matches::Matches;
pub use merge::{MergedColumn, MergedValues};
pub use options::{IndexNeed, KeepMatch, MatchingNeed, Meeting, Method};
pub use pairs::{Candidates, CappedKeys};
pub use report::{FieldExplanation, MatchReport, PairEvidence, PairExplanation};
pub use rows::EARLIER;
pub use sample::KeySample;

#[cfg(test)]
mod tests;
