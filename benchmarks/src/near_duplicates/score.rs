//! Counting the pairs of rows that clusters put together.

use std::collections::HashSet;

use anyhow::{Result, ensure};

use crate::quality::share;

/// Two rows of a table by their numbers, in no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowPair {
    lesser: u64,
    greater: u64,
}

impl RowPair {
    /// The pair of these rows.
    pub fn new(left: u64, right: u64) -> Self {
        Self {
            lesser: left.min(right),
            greater: left.max(right),
        }
    }
}

/// How far the pairs that were found agree with the true ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairScore {
    /// The true pairs.
    pub truth: u64,
    /// The pairs that were found.
    pub found: u64,
    /// Found pairs that are true.
    pub right: u64,
}

impl PairScore {
    /// Counts the pairs within the clusters, each a list of row numbers below `rows`, but for those that `counts` does
    /// not let count.
    pub(super) fn of_clusters(
        clusters: &[Vec<u64>],
        rows: u64,
        truth: &HashSet<RowPair>,
        counts: impl Fn(u64, u64) -> bool,
    ) -> Result<Self> {
        let mut score = Self {
            truth: truth.len() as u64,
            ..Self::default()
        };
        let mut members = HashSet::new();
        for cluster in clusters {
            for (index, &row) in cluster.iter().enumerate() {
                ensure!(
                    row < rows,
                    "row {row} is in a cluster of a table of {rows} rows"
                );
                ensure!(members.insert(row), "row {row} is in a cluster twice");
                for &other in cluster[..index].iter().filter(|other| counts(**other, row)) {
                    score.found += 1;
                    score.right += u64::from(truth.contains(&RowPair::new(other, row)));
                }
            }
        }
        Ok(score)
    }

    /// The share of the found pairs that are true; nothing where none was found.
    pub fn precision(&self) -> Option<f64> {
        share(self.right, self.found)
    }

    /// The share of the true pairs that were found; nothing where there are none.
    pub fn recall(&self) -> Option<f64> {
        share(self.right, self.truth)
    }

    /// The harmonic mean of precision and recall, 0 where either is nothing.
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.right, self.found + self.truth)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn pairs(pairs: &[(u64, u64)]) -> HashSet<RowPair> {
        let pairs = pairs.iter();
        pairs
            .map(|(left, right)| RowPair::new(*left, *right))
            .collect()
    }

    /// All pairs of a cluster count, whatever the order of its rows.
    #[test]
    fn clusters_count_by_pairs() {
        let truth = pairs(&[(0, 1), (2, 0), (1, 2), (4, 5)]);
        let clusters = [vec![2, 0, 3], vec![5, 4]];
        let score = PairScore::of_clusters(&clusters, 6, &truth, |_, _| true).unwrap();
        let expected = PairScore {
            truth: 4,
            found: 4,
            right: 2,
        };
        assert_eq!(score, expected);
        assert_eq!(score.precision(), Some(0.5));
        assert_eq!(score.recall(), Some(0.5));
        assert_eq!(score.f1(), Some(0.5));
    }

    /// Pairs that do not count are neither found nor right.
    #[test]
    fn pairs_of_one_source_do_not_count() {
        let truth = pairs(&[(0, 3)]);
        let clusters = [vec![0, 1, 3]];
        let across = |left: u64, right: u64| (left < 2) != (right < 2);
        let score = PairScore::of_clusters(&clusters, 4, &truth, across).unwrap();
        assert_eq!((score.found, score.right), (2, 1));
    }

    /// Without truth and without clusters there are no figures, but no error either.
    #[test]
    fn nothing_found_where_nothing_is() {
        let score = PairScore::of_clusters(&[], 3, &HashSet::new(), |_, _| true).unwrap();
        assert_eq!(score, PairScore::default());
        assert_eq!(score.f1(), None);
        let missed = PairScore::of_clusters(&[], 3, &pairs(&[(0, 1)]), |_, _| true).unwrap();
        assert_eq!((missed.precision(), missed.f1()), (None, Some(0.0)));
    }

    /// Clusters that overlap or name rows that are not there are an error: their pairs would be counted wrongly.
    #[test]
    fn clusters_are_disjoint() {
        for clusters in [vec![vec![0, 1], vec![1, 2]], vec![vec![0, 3]]] {
            let score = PairScore::of_clusters(&clusters, 3, &HashSet::new(), |_, _| true);
            assert!(score.is_err(), "{clusters:?}");
        }
    }
}
