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
//! Keys and the records of rows that may match travel; nothing else does. All that is decided rests
//! on sorted pairs, so it does not matter who compared them.

mod candidates;
mod decide;
mod matches;
mod merge;
mod need;
mod records;
mod report;
mod sample;
mod score;

pub use candidates::{CandidateLog, Candidates, CappedKeys, FoundPairs, find_pairs};
pub use decide::{Judge, decide};
pub use matches::{MatchedRow, Matches};
pub use merge::{MergeLog, MergeNeed, MergedColumn, merge};
pub use need::{KeepMatch, MatchingNeed, Meeting, Method};
pub(crate) use records::pair_buckets;
pub use records::{RecordLog, record_of};
pub use report::{FieldExplanation, MatchReport, PairEvidence, PairExplanation};
pub use sample::{Sample, SampleLog};
pub use score::{Scored, ScoredPair, Scorer};

#[cfg(test)]
mod tests;
