//! How near duplicates were found, for people.

use serde::{Deserialize, Serialize};

use super::CappedKeys;

/// How near duplicates were found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MatchReport {
    /// `records` or `texts`.
    pub method: String,
    /// The probability, or the similarity, from which rows match.
    pub threshold: f64,
    /// Pairs with a key in common, which were compared.
    pub pairs_compared: u64,
    /// Pairs at or above the threshold.
    pub pairs_matched: u64,
    /// Clusters of two rows and more.
    pub clusters: u64,
    /// Their rows.
    pub rows_in_clusters: u64,
    /// The largest of them: the cluster, and its rows.
    pub largest_clusters: Vec<(u64, u64)>,
    /// The fields, and what their agreement tells; of records only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldReport>,
    /// Columns that were not compared, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<(String, String)>,
    /// Pairs of columns whose values stand in each other's place in some rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanged_columns: Vec<(String, String)>,
    /// Matching pairs that the weights expect; of records only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs_expected: Option<f64>,
    /// Share of these that come from pairs with a probability from 0.1 to 0.9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs_unsure: Option<f64>,
    /// Whether the learned weights did not fit, so that usual ones and a high threshold were used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub usual_weights: bool,
    /// Compared pairs by score: those from 0 to 0.05 first. Pairs without any hope are not counted.
    pub histogram: Vec<u64>,
    /// Pairs nearest to the threshold, above and below it.
    pub doubtful_pairs: Vec<PairEvidence>,
    /// Keys that too many rows have.
    pub capped_keys: CappedKeys,
}

/// A field, and what its agreement tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldReport {
    /// The column.
    pub column: String,
    /// `whole`, `words` or `numbers`: what of the value is compared.
    pub part: String,
    /// `text`, `digits`, `quantity` or `date`.
    pub kind: String,
    /// The logarithm, to base 2, of how much likelier rows of one thing agree so than others, from
    /// `different` to `the same`.
    pub weights: Vec<f64>,
}

/// Why two rows were, or were not, taken for one thing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PairEvidence {
    /// The rows.
    pub rows: (u64, u64),
    /// The probability, or the similarity.
    pub score: f64,
    /// The fields that could be compared: name, level, and weight to base 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String, f64)>,
}
