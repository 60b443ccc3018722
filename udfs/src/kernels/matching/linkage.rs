//! From scored pairs to clusters.
//!
//! What hangs together by pairs above the threshold is one component; a component becomes one
//! cluster only where its members agree on the whole. Clusters are merged, the best pair of them
//! first, while the mean score between them reaches the threshold (average linkage; Sokal, Michener,
//! "A statistical method for evaluating systematic relationships", 1958). So a chain of doubtful
//! pairs does not swallow a table, and a member that one pair misses is still found by the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use foldhash::HashMap;

/// A scored pair of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The smaller row.
    pub left: u64,
    /// The greater row.
    pub right: u64,
    /// The score, in 256ths.
    pub score: i32,
    /// Whether the rows are indistinguishable.
    pub identical: bool,
}

/// When pairs and clusters belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linkage {
    /// The least score, in 256ths.
    pub threshold: i32,
    /// What a pair counts whose rows no key has brought together, in 256ths. Such pairs weigh no more
    /// than those that were compared.
    pub unknown: i32,
    /// Scores count up to this, up and down.
    pub most: i32,
    /// Rows from this one on are known to be different entities: no cluster has two of them.
    pub apart_from: u64,
}

/// Rows that belong together, at least two, ascending.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cluster(pub Vec<u64>);

/// Returns the clusters of all pairs, by their smallest row. `edges` may hold pairs below the threshold, which count
/// against what the others bring together; their order is of no effect.
pub fn link(edges: &[Edge], linkage: Linkage) -> Vec<Cluster> {
    let accepted = edges.iter().filter(|edge| edge.score >= linkage.threshold);
    let mut rows: Vec<u64> = accepted.flat_map(|edge| [edge.left, edge.right]).collect();
    rows.sort_unstable();
    rows.dedup();
    let place = |row: u64| rows.binary_search(&row).ok();
    let mut forest = Forest::new(rows.len());
    for edge in edges.iter().filter(|edge| edge.score >= linkage.threshold) {
        if let (Some(left), Some(right)) = (place(edge.left), place(edge.right)) {
            forest.join(left, right);
        }
    }
    let mut components: BTreeMap<usize, Component> = BTreeMap::new();
    for node in 0..rows.len() {
        components
            .entry(forest.root(node))
            .or_default()
            .0
            .push(node);
    }
    for edge in edges {
        let (Some(left), Some(right)) = (place(edge.left), place(edge.right)) else {
            continue;
        };
        let root = forest.root(left);
        if root == forest.root(right) {
            let component = components.entry(root).or_default();
            component.1.push((left, right, *edge));
        }
    }
    let mut clusters = Vec::new();
    for (nodes, edges) in components.into_values() {
        let apart: Vec<bool> = nodes
            .iter()
            .map(|node| rows[*node] >= linkage.apart_from)
            .collect();
        for members in divide(&nodes, &apart, &edges, linkage) {
            let mut members: Vec<u64> = members.into_iter().map(|node| rows[node]).collect();
            members.sort_unstable();
            clusters.push(Cluster(members));
        }
    }
    clusters.sort_unstable();
    clusters
}

/// Pairs of rows each of which is the other's best, from the threshold on: for tables without
/// repeats of their own.
pub fn mutual_best(edges: &[Edge], threshold: i32) -> Vec<Cluster> {
    let mut best: HashMap<u64, (i32, Reverse<u64>)> = HashMap::default();
    for edge in edges.iter().filter(|edge| edge.score >= threshold) {
        for (row, other) in [(edge.left, edge.right), (edge.right, edge.left)] {
            let candidate = (edge.score, Reverse(other));
            let known = best.entry(row).or_insert(candidate);
            *known = (*known).max(candidate);
        }
    }
    let mut clusters = Vec::new();
    for (row, (_, Reverse(other))) in &best {
        let returned = best
            .get(other)
            .is_some_and(|(_, Reverse(back))| back == row);
        if row < other && returned {
            clusters.push(Cluster(vec![*row, *other]));
        }
    }
    clusters.sort_unstable();
    clusters
}

/// What hangs together: nodes, and the pairs among them.
type Component = (Vec<usize>, Vec<(usize, usize, Edge)>);

/// Union-find with the smallest node as the root.
struct Forest(Vec<usize>);

impl Forest {
    fn new(nodes: usize) -> Self {
        Self((0..nodes).collect())
    }

    fn root(&mut self, node: usize) -> usize {
        let mut root = node;
        while self.0[root] != root {
            self.0[root] = self.0[self.0[root]];
            root = self.0[root];
        }
        root
    }

    fn join(&mut self, left: usize, right: usize) {
        let (left, right) = (self.root(left), self.root(right));
        let (small, great) = (left.min(right), left.max(right));
        self.0[great] = small;
    }
}

/// The scores between two groups.
#[derive(Clone, Copy, Default)]
struct Between {
    sum: i64,
    known: i64,
}

/// Divides a component into clusters of at least two. No cluster has two of the nodes in `apart`.
fn divide(
    nodes: &[usize],
    apart: &[bool],
    edges: &[(usize, usize, Edge)],
    linkage: Linkage,
) -> Vec<Vec<usize>> {
    if nodes.len() == 2 && apart != [true, true] {
        return vec![nodes.to_vec()];
    }
    let place = |node: usize| nodes.binary_search(&node).unwrap_or_default();
    // Rows that nothing tells apart are one from the start.
    let mut same = Forest::new(nodes.len());
    let mut has_apart = apart.to_vec();
    let identical = edges.iter().filter(|(_, _, edge)| edge.identical);
    let mut identical: Vec<_> = identical.collect();
    identical.sort_unstable();
    for (left, right, _) in identical {
        let (left, right) = (same.root(place(*left)), same.root(place(*right)));
        if left == right || (has_apart[left] && has_apart[right]) {
            continue;
        }
        same.join(left, right);
        has_apart[left.min(right)] |= has_apart[left.max(right)];
    }
    let mut groups = Groups::new(has_apart, linkage);
    for node in 0..nodes.len() {
        let root = same.root(node);
        groups.members[root].push(node);
    }
    for (left, right, edge) in edges {
        let (left, right) = (same.root(place(*left)), same.root(place(*right)));
        if left != right {
            groups.add(left, right, edge.score);
        }
    }
    groups.merge();
    let clusters = groups.members.into_iter().filter(|group| group.len() > 1);
    clusters
        .map(|group| group.into_iter().map(|node| nodes[node]).collect())
        .collect()
}

/// Groups of a component while they are merged, each named by its smallest node.
struct Groups {
    linkage: Linkage,
    members: Vec<Vec<usize>>,
    /// Number of distinct entities in a group: indistinguishable rows count as one.
    sizes: Vec<i64>,
    /// Whether one of the rows is in it of which no cluster has two.
    apart: Vec<bool>,
    between: Vec<BTreeMap<usize, Between>>,
}

impl Groups {
    fn new(apart: Vec<bool>, linkage: Linkage) -> Self {
        let nodes = apart.len();
        Self {
            linkage,
            apart,
            members: vec![Vec::new(); nodes],
            sizes: vec![1; nodes],
            between: vec![BTreeMap::new(); nodes],
        }
    }

    fn add(&mut self, left: usize, right: usize, score: i32) {
        let score = score.clamp(-self.linkage.most, self.linkage.most);
        let between = Between {
            sum: i64::from(score),
            known: 1,
        };
        self.add_between(left, right, between);
    }

    fn add_between(&mut self, left: usize, right: usize, more: Between) {
        for (one, two) in [(left, right), (right, left)] {
            let between = self.between[one].entry(two).or_default();
            between.sum += more.sum;
            between.known += more.known;
        }
    }

    /// The mean score between two groups; none where they must not be one.
    fn mean(&self, left: usize, right: usize) -> Option<i64> {
        if self.apart[left] && self.apart[right] {
            return None;
        }
        let between = self.between[left].get(&right)?;
        let unknown = (self.sizes[left] * self.sizes[right] - between.known).max(0);
        let unknown = unknown.min(between.known);
        let sum = between.sum + unknown * i64::from(self.linkage.unknown);
        Some((sum * 1024).div_euclid(between.known + unknown))
    }

    fn merge(&mut self) {
        let mut heap = BinaryHeap::new();
        for left in 0..self.between.len() {
            for right in self.between[left].keys().filter(|right| left < **right) {
                if let Some(mean) = self.mean(left, *right) {
                    heap.push((mean, Reverse((left, *right))));
                }
            }
        }
        let threshold = i64::from(self.linkage.threshold) * 1024;
        while let Some((mean, Reverse((left, right)))) = heap.pop() {
            if mean < threshold {
                break;
            }
            // What was merged meanwhile has other means.
            if self.mean(left, right) != Some(mean) {
                continue;
            }
            self.join(left, right);
            for other in self.between[left].keys() {
                let pair = (left.min(*other), left.max(*other));
                if let Some(mean) = self.mean(pair.0, pair.1) {
                    heap.push((mean, Reverse(pair)));
                }
            }
        }
    }

    /// Puts the group `right` into `left`.
    fn join(&mut self, left: usize, right: usize) {
        let moved = std::mem::take(&mut self.members[right]);
        self.members[left].extend(moved);
        self.sizes[left] += self.sizes[right];
        self.apart[left] |= self.apart[right];
        self.between[left].remove(&right);
        for (other, between) in std::mem::take(&mut self.between[right]) {
            if other == left {
                continue;
            }
            self.between[other].remove(&right);
            self.add_between(left, other, between);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKAGE: Linkage = Linkage {
        threshold: 0,
        unknown: -512,
        most: 3_072,
        apart_from: 10_000,
    };

    fn edge(left: u64, right: u64, score: i32) -> Edge {
        Edge {
            left,
            right,
            score,
            identical: false,
        }
    }

    fn clusters(edges: &[Edge]) -> Vec<Vec<u64>> {
        let mut turned = edges.to_vec();
        turned.reverse();
        let clusters = link(edges, LINKAGE);
        assert_eq!(clusters, link(&turned, LINKAGE), "whatever the order");
        clusters.into_iter().map(|cluster| cluster.0).collect()
    }

    /// Pairs are clusters, triangles too, and a pair below the threshold is none.
    #[test]
    fn what_hangs_together() {
        let edges = [
            edge(1, 2, 900),
            edge(10, 30, 500),
            edge(10, 20, 400),
            edge(20, 30, 10),
            edge(5, 6, -1),
        ];
        assert_eq!(clusters(&edges), [vec![1, 2], vec![10, 20, 30]]);
    }

    /// A weak pair between two strong clusters whose other members disagree does not join them.
    #[test]
    fn chains_are_cut() {
        let mut edges = vec![edge(1, 2, 2_000), edge(3, 4, 2_000), edge(2, 3, 50)];
        assert_eq!(clusters(&edges), [vec![1, 2], vec![3, 4]]);
        edges.push(edge(1, 3, 2_000));
        assert_eq!(clusters(&edges), [vec![1, 2, 3, 4]]);
        edges.push(edge(1, 4, -3_000));
        assert_eq!(clusters(&edges), [vec![1, 2], vec![3, 4]]);
    }

    /// A thousand copies that were compared with the first few only are one cluster.
    #[test]
    fn many_copies() {
        let mut edges = Vec::new();
        for row in 1..1_000 {
            for first in 0..8.min(row) {
                edges.push(Edge {
                    identical: row % 2 == 0 && first % 2 == 0,
                    ..edge(first, row, 2_000)
                });
            }
        }
        let clusters = clusters(&edges);
        assert_eq!(clusters.len(), 1);
        assert_eq!(clusters[0].len(), 1_000);
    }

    /// What is known to be apart stays so: each row joins the one that it is nearer to.
    #[test]
    fn known_things_stay_apart() {
        let same = |left, right| Edge {
            identical: true,
            ..edge(left, right, 3_000)
        };
        let edges = [
            edge(1, 10_000, 900),
            edge(1, 10_001, 800),
            edge(2, 10_001, 700),
            edge(1, 2, 600),
            same(3, 10_002),
            same(3, 10_003),
        ];
        let want = [vec![1, 10_000], vec![2, 10_001], vec![3, 10_002]];
        assert_eq!(clusters(&edges), want);
    }

    /// One to one: the better pair wins, equal ones the smaller row.
    #[test]
    fn best_of_both() {
        let edges = [
            edge(1, 10, 500),
            edge(1, 11, 700),
            edge(2, 10, 400),
            edge(3, 12, 100),
            edge(3, 13, 100),
            edge(4, 14, -5),
        ];
        let best = mutual_best(&edges, 0);
        assert_eq!(best, [Cluster(vec![1, 11]), Cluster(vec![3, 12])]);
    }
}
