//! What a search for near duplicates must know.

use serde::{Deserialize, Serialize};

/// What a search for near duplicates must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatchingNeed {
    /// Columns that are compared.
    pub columns: Vec<usize>,
    /// Whether the values of each of these are keys by themselves.
    pub keys: Vec<bool>,
    /// How rows are compared.
    pub method: Method,
    /// Only rows that differ in this column are compared, and each has one partner at most.
    pub link_by: Option<usize>,
    /// Which row of a cluster stays.
    pub keep: KeepMatch,
}

impl MatchingNeed {
    /// A key of more rows than this tells nothing. That of records is of pieces of words, many of which
    /// are common; that of texts is of texts that are alike.
    pub fn most_rows(&self) -> usize {
        match self.method {
            Method::Records { .. } => 1_000,
            Method::Texts { .. } => 10_000,
        }
    }
}

/// How rows are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Method {
    /// Field by field, with weights that are learned; rows match from this probability on.
    Records {
        /// The probability; none for the engine's own.
        threshold: Option<f64>,
    },
    /// The columns as one text, by the Jaccard similarity of its shingles.
    Texts {
        /// The least similarity.
        threshold: f64,
        /// What the text is cut into, as `udfs::kernels::shingle` reads it.
        shingle: String,
    },
}

/// Which row of a cluster stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeepMatch {
    /// The first in source order.
    First,
    /// The last in source order.
    Last,
    /// The one with the fewest missing values in all columns; the first of them.
    MostComplete,
    /// The one with the greatest value in this column; the first of them.
    MostRecent(usize),
}
