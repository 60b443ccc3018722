//! Near duplicates, across the rows of a table: what the kernels of `udfs::kernels::matching` need of
//! all rows, and in which order.
//!
//! ```text
//!  pass A   a sample of the rows ────────────────► how rows meet, what fields are like  (sample.rs)
//!  pass B   keys of every row ──shuffled by key──► pairs with keys in common    (candidates.rs)
//!  pass C   records of the rows in a pair ──shuffled by pair──► compared pairs  (records.rs, score.rs)
//!  driver   compared pairs ──► weights ──► clusters ──► who stays               (decide.rs)
//! ```
//!
//! With `against`, the rows of an earlier output take part by the index that it has (index.rs, earlier.rs).
//!
//! Keys and the records of rows that may match travel; nothing else does. All that is decided rests
//! on sorted pairs, so it does not matter who compared them.

mod candidates;
mod decide;
mod earlier;
mod index;
mod matches;
mod merge;
mod need;
mod records;
mod report;
mod rows;
mod sample;
mod score;

pub use candidates::{CandidateLog, Candidates, CappedKeys, FoundPairs, find_pairs};
pub use decide::{Judge, decide};
pub use earlier::{EarlierIndex, IndexPart};
pub use index::{
    FieldAgreement, IndexHead, IndexedRows, files as index_files, index_keys_schema,
    index_rows_schema,
};
pub use matches::{MatchedRow, Matches};
pub use merge::{MergeLog, MergeNeed, MergedColumn, merge};
pub use need::{IndexNeed, KeepMatch, MatchingNeed, Meeting, Method};
pub(crate) use records::pair_buckets;
pub use records::{RecordLog, record_of};
pub use report::{FieldExplanation, MatchReport, PairEvidence, PairExplanation};
pub use rows::EARLIER;
pub use sample::{Sample, SampleLog};
pub use score::{Scored, ScoredPair, Scorer};

#[cfg(test)]
mod tests;
