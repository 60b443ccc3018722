//! How near duplicates were found, for people.

use serde::{Deserialize, Serialize};

use super::CappedKeys;

/// How near duplicates were found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MatchReport {
    /// `records`, `weighted records` or `texts`.
    pub method: String,
    /// The probability, or the similarity, from which rows match.
    pub threshold: f64,
    /// What texts were cut into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shingle: Option<String>,
    /// Pairs with keys in common, which were compared.
    pub pairs_compared: u64,
    /// Pairs at or above the threshold.
    pub pairs_matched: u64,
    /// Clusters of two rows and more.
    pub clusters: u64,
    /// Their rows.
    pub rows_in_clusters: u64,
    /// Rows of the earlier output that the rows were compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_rows: Option<u64>,
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

impl MatchReport {
    /// Numbers rows from this number on.
    pub(super) fn renumber(&mut self, first_row_id: u64) {
        for (cluster, _) in &mut self.largest_clusters {
            *cluster = cluster.wrapping_add(first_row_id);
        }
        for PairEvidence { rows, .. } in &mut self.doubtful_pairs {
            let (one, two) = *rows;
            let (one, two) = (
                one.wrapping_add(first_row_id),
                two.wrapping_add(first_row_id),
            );
            *rows = (one.min(two), one.max(two));
        }
    }
}

impl PairExplanation {
    /// Numbers rows from this number on.
    pub(crate) fn renumber(&mut self, first_row_id: u64) {
        let outside = |row: &mut u64| *row = row.wrapping_add(first_row_id);
        outside(&mut self.rows.0);
        outside(&mut self.rows.1);
        self.gone.iter_mut().for_each(outside);
        for (cluster, survivor) in self.clusters.iter_mut().flatten() {
            outside(cluster);
            outside(survivor);
        }
    }
}

/// A field, and what its agreement tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldReport {
    /// The column.
    pub column: String,
    /// `whole`, `words` or `numbers`: what of the value is compared.
    pub part: String,
    /// `text`, `digits`, `quantity`, `date` or `sketch`.
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
    /// The fields that could be compared: name, level, and weight to base 2, or what it adds to a mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String, f64)>,
}

/// Why two rows are, or are not, taken for one thing, for who asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PairExplanation {
    /// The rows.
    pub rows: (u64, u64),
    /// Those of them that had left before rows were compared.
    pub gone: Vec<u64>,
    /// Whether they have so many keys in common that they were compared.
    pub met: bool,
    /// `records`, `weighted records` or `texts`.
    pub method: String,
    /// The probability, or the similarity; none where a row had left.
    pub score: Option<f64>,
    /// From where on rows match.
    pub threshold: f64,
    /// The cluster of each row, and the row of it that stays.
    pub clusters: [Option<(u64, u64)>; 2],
    /// What is known before anything is compared: the logarithm, to base 2, of the odds of a random pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outset: Option<f64>,
    /// What the fields tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldExplanation>,
    /// What the rarity of the values tells that are identical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rarity: Option<f64>,
    /// What it costs that two columns are compared crosswise; none where none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanged: Option<f64>,
}

/// What a field of two rows tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldExplanation {
    /// The column.
    pub column: String,
    /// `whole`, `words` or `numbers`: what of the value is compared.
    pub part: String,
    /// The values of the column, as they are compared.
    pub values: [Option<String>; 2],
    /// How they agree; none where one is missing, which tells nothing.
    pub agreement: Option<String>,
    /// The logarithm, to base 2, of how much likelier it is that rows of one thing agree so than others;
    /// where weights are given, what the field adds to the score.
    pub weight: Option<f64>,
}
