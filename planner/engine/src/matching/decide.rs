//! From compared pairs to clusters, and to the row of each that stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryReservation;
use foldhash::{HashMap, HashMapExt, HashSet};
use udfs::kernels::matching::{
    Cluster, Comparer, Comparison, Edge, Fit, Level, Linkage, Model, Part, Pattern, PatternCount,
    link, mutual_best,
};

use super::CappedKeys;
use super::earlier::EarlierIndex;
use super::index::FieldAgreement;
use super::matches::Matches;
use super::options::{MatchingNeed, Method};
use super::report::{FieldExplanation, FieldReport, MatchReport, PairEvidence, PairExplanation};
use super::rows::EARLIER;
use super::sample::Sample;
use super::score::{SIMILARITY_STEPS, Scored, ScoredPair, Scorer, Way, agreement_before};
use crate::error::Result;
use crate::operation::ClusteredRow;

/// Steps of a score.
const STEPS: f64 = 256.0;

/// What a pair of records counts that no key has brought together.
const UNKNOWN: f64 = -2.0;

/// The same of texts, whose keys miss few: most such pairs are of masses, which are compared in part.
const UNKNOWN_TEXT: f64 = -0.25;

/// Scores count up to this.
const MOST: f64 = 12.0;

/// The engine's own threshold, and the one where its weights did not fit.
const PROBABILITY: f64 = 0.5;
const USUAL_PROBABILITY: f64 = 0.95;

/// A difference of similarities of texts in the scale of scores.
const SIMILARITY_SCALE: f64 = 20.0;

/// Doubtful pairs that a report shows on each side of the threshold.
const DOUBTFUL: usize = 8;

/// Clusters that a report shows.
const LARGEST: usize = 10;

/// Bars of the histogram.
const BARS: usize = 20;

/// Bytes that a pair takes while clusters are made.
const PAIR_BYTES: usize = 160;

/// How pairs are judged: what the compared pairs of a table tell all together.
pub struct Judge<'a> {
    scorer: &'a Scorer,
    /// Of records.
    model: Option<(Model, Fit)>,
    /// In the scale of what is reported: a probability or a similarity.
    threshold: f64,
    /// Of the columns that are compared.
    names: Vec<String>,
}

impl<'a> Judge<'a> {
    /// Learns from compared pairs; `names` are those of the columns that are compared.
    pub fn learn(
        need: &MatchingNeed,
        names: Vec<String>,
        sample: &Sample,
        scorer: &'a Scorer,
        scored: &Scored,
    ) -> Self {
        let (model, threshold) = match (&scorer.way, &need.method) {
            (
                Way::Records {
                    comparer, chance, ..
                },
                method,
            ) => {
                let patterns = patterns(&scored.pairs);
                let mut chance = chance.clone();
                chance.at_least(&scored.found);
                let columns = comparer.fields().map(|(column, ..)| column).collect();
                let before = agreement_before(comparer, sample);
                let rows = sample.rows() as f64;
                let (model, fit) = Model::fit(columns, before, rows, &chance, &patterns);
                let own = if fit.usual {
                    USUAL_PROBABILITY
                } else {
                    PROBABILITY
                };
                let threshold = match method {
                    Method::Records { threshold, .. } => threshold.unwrap_or(own),
                    Method::Texts { .. } => own,
                };
                (Some((model, fit)), threshold)
            }
            (Way::Weighted { weighing, .. }, _) => (None, weighing.threshold),
            (Way::Texts { threshold, .. }, _) => (None, *threshold),
        };
        Self {
            scorer,
            model,
            threshold,
            names,
        }
    }

    /// The score in the scale of linkage, from 0 on a match; and as it is reported.
    fn judge(&self, pair: &ScoredPair) -> (f64, f64) {
        let likeness = match (&self.model, &self.scorer.way) {
            // No column tells rows apart: what is the same in all of them is a copy.
            (Some((model, _)), _) if model.is_empty() => {
                return if pair.identical {
                    (MOST, 1.0)
                } else {
                    (-MOST, 0.0)
                };
            }
            (Some((model, _)), _) => {
                let odds = model.score(pair.pattern, pair.rarity);
                let least = (self.threshold / (1.0 - self.threshold)).ln();
                return (odds - least, Model::probability(odds));
            }
            (None, Way::Weighted { weighing, .. }) => weighing.likeness(pair.pattern),
            (None, _) => f64::from(pair.rarity) / SIMILARITY_STEPS,
        };
        ((likeness - self.threshold) * SIMILARITY_SCALE, likeness)
    }

    /// What was learned of the fields, for a job that adds rows.
    fn agreement(&self) -> Vec<FieldAgreement> {
        let (Way::Records { comparer, .. }, Some((model, fit))) = (&self.scorer.way, &self.model)
        else {
            return Vec::new();
        };
        let fields = comparer.fields().zip(model.agreement(fit.expected));
        fields
            .map(|((column, part, kind), agreement)| FieldAgreement {
                column,
                part: part.name().to_owned(),
                kind: kind.name().to_owned(),
                shares: agreement.shares,
                pairs: agreement.pairs,
            })
            .collect()
    }

    fn name(&self, column: usize) -> String {
        self.names.get(column).cloned().unwrap_or_default()
    }

    fn method(&self) -> &'static str {
        match self.scorer.way {
            Way::Records { .. } => "records",
            Way::Weighted { .. } => "weighted records",
            Way::Texts { .. } => "texts",
        }
    }

    /// What the fields of a pair tell: in bits, by the way that the model has for it, or what they add to a
    /// mean. None of texts.
    fn weigh(
        &self,
        pattern: Pattern,
        of: fn(&Model, Pattern, usize) -> Option<f64>,
    ) -> Option<(&Comparer, Vec<Option<f64>>)> {
        match (&self.scorer.way, &self.model) {
            (Way::Records { comparer, .. }, Some((model, _))) => {
                let fields = 0..comparer.fields().count();
                let weights = fields.map(|field| of(model, pattern, field).map(bits));
                Some((comparer, weights.collect()))
            }
            (Way::Weighted { comparer, weighing }, _) => Some((comparer, weighing.shares(pattern))),
            _ => None,
        }
    }

    /// Why two rows are, or are not, taken for one thing; `records` holds what is compared of them.
    pub fn explain(&self, rows: (u64, u64), records: [&[Option<String>]; 2]) -> PairExplanation {
        let [left, right] = records;
        let pair = self.scorer.compare(rows, left, right);
        let mut explanation = PairExplanation {
            rows,
            method: self.method().to_owned(),
            score: Some(self.judge(&pair).1),
            threshold: self.threshold,
            ..PairExplanation::default()
        };
        if let Some((model, _)) = &self.model {
            let (outset, exchanged) = model.outset();
            explanation.outset = Some(bits(outset));
            explanation.exchanged = pair.pattern.is_exchanged().then(|| bits(exchanged));
            explanation.rarity = Some(bits(Comparison::rarity_of(pair.rarity)));
        }
        let Some((comparer, weights)) = self.weigh(pair.pattern, Model::share) else {
            return explanation;
        };
        explanation.fields = comparer
            .fields()
            .enumerate()
            .map(|(field, (column, part, _))| FieldExplanation {
                column: self.name(column),
                part: part.name().to_owned(),
                values: [left, right].map(|record| record.get(column).cloned().flatten()),
                agreement: level_name(pair.pattern, field),
                weight: weights.get(field).copied().flatten(),
            })
            .collect();
        explanation
    }
}

/// The compared pairs by how they agree.
fn patterns(pairs: &[ScoredPair]) -> Vec<PatternCount> {
    let mut counts: BTreeMap<_, f64> = BTreeMap::new();
    for pair in pairs {
        *counts.entry((pair.pattern, pair.rarity)).or_default() += 1.0;
    }
    let counts = counts.into_iter();
    counts
        .map(|((pattern, rarity), pairs)| PatternCount {
            pattern,
            rarity,
            pairs,
        })
        .collect()
}

/// A natural logarithm to base 2.
fn bits(weight: f64) -> f64 {
    (weight / std::f64::consts::LN_2 * 1000.0).round() / 1000.0
}

/// How a field of a pair agrees, in words; none where a value is missing.
fn level_name(pattern: Pattern, field: usize) -> Option<String> {
    let level = match pattern.level(field)? {
        Level::Same if pattern.is_identical(field) => "identical",
        level => level.name(),
    };
    Some(level.to_owned())
}

/// The clusters of compared pairs.
pub fn decide(
    judge: &Judge<'_>,
    scored: &Scored,
    capped: CappedKeys,
    earlier: Option<&EarlierIndex>,
    memory: &MemoryReservation,
) -> Result<Matches> {
    let held = memory.new_empty();
    held.try_grow(scored.pairs.len() * PAIR_BYTES)?;
    let judged: Vec<(f64, f64)> = scored.pairs.iter().map(|pair| judge.judge(pair)).collect();
    let edges: Vec<Edge> = scored
        .pairs
        .iter()
        .zip(&judged)
        .map(|(pair, (score, _))| Edge {
            left: pair.left,
            right: pair.right,
            score: (score * STEPS).round() as i32,
            identical: pair.identical,
        })
        .collect();
    let clusters = if judge.scorer.is_linked() {
        mutual_best(&edges, 0)
    } else {
        let steps = |score: f64| (score * STEPS) as i32;
        let linkage = Linkage {
            threshold: 0,
            unknown: steps(match judge.scorer.way {
                Way::Records { .. } | Way::Weighted { .. } => UNKNOWN,
                Way::Texts { .. } => UNKNOWN_TEXT,
            }),
            most: steps(MOST),
            apart_from: EARLIER,
        };
        link(&edges, linkage)
    };
    let clusters = named(clusters, earlier)?;
    let rows = matched_rows(&clusters, &scored.pairs, &judged);
    memory.try_grow(rows.len() * size_of::<ClusteredRow>())?;
    let mut report = report(judge, scored, &judged, capped);
    report.clusters = clusters.len() as u64;
    report.rows_in_clusters = rows.len() as u64;
    report.largest_clusters = largest(&clusters);
    if let Some(earlier) = earlier {
        report.earlier_rows = Some(earlier.rows());
        report.renumber(earlier.head.next_row_id);
    }
    Ok(Matches {
        rows,
        report: Some(Arc::new(report)),
        explained: None,
        agreement: judge.agreement(),
        plan: Arc::default(),
    })
}

/// The clusters, each with its name: that which an earlier output gave it, or its smallest row.
fn named(clusters: Vec<Cluster>, earlier: Option<&EarlierIndex>) -> Result<Vec<(u64, Cluster)>> {
    // Of rows of an earlier output, a cluster has one at most; it is the last.
    let known = |Cluster(rows): &Cluster| rows.last().copied().filter(|row| *row >= EARLIER);
    let rows: HashSet<u64> = clusters.iter().filter_map(known).collect();
    let names = match earlier {
        Some(earlier) => earlier.clusters(&rows)?,
        None => HashMap::new(),
    };
    let named = clusters.into_iter().map(|cluster| {
        let first = cluster.0.first().copied().unwrap_or_default();
        let name = known(&cluster).map_or(first, |row| *names.get(&row).unwrap_or(&row));
        (name, cluster)
    });
    Ok(named.collect())
}

/// The rows of the clusters, each with the row that stays and how sure that is.
fn matched_rows(
    clusters: &[(u64, Cluster)],
    pairs: &[ScoredPair],
    judged: &[(f64, f64)],
) -> Vec<ClusteredRow> {
    let mut cluster_of: HashMap<u64, u64> = HashMap::new();
    for (name, Cluster(rows)) in clusters {
        for row in rows {
            cluster_of.insert(*row, *name);
        }
    }
    let mut ranks: HashMap<u64, u64> = HashMap::new();
    let mut best: HashMap<u64, f64> = HashMap::new();
    let mut between: HashMap<(u64, u64), f64> = HashMap::new();
    for (pair, (_, score)) in pairs.iter().zip(judged) {
        let cluster = cluster_of.get(&pair.left);
        if cluster.is_none() || cluster != cluster_of.get(&pair.right) {
            continue;
        }
        for (row, rank) in [(pair.left, pair.ranks.0), (pair.right, pair.ranks.1)] {
            ranks.insert(row, rank);
            let known = best.entry(row).or_insert(*score);
            *known = known.max(*score);
        }
        between.insert((pair.left, pair.right), *score);
    }
    let mut matched = Vec::with_capacity(cluster_of.len());
    for (name, Cluster(rows)) in clusters {
        // What was published before stays.
        let rank = |row: &u64| {
            let rank = ranks.get(row).copied().unwrap_or_default();
            (*row < EARLIER, rank, *row)
        };
        let Some(survivor) = rows.iter().copied().min_by_key(rank) else {
            continue;
        };
        matched.extend(rows.iter().map(|row| {
            let pair = (survivor.min(*row), survivor.max(*row));
            let score = between.get(&pair).or_else(|| best.get(row)).copied();
            ClusteredRow {
                row: *row,
                cluster: *name,
                survivor,
                score: if *row == survivor {
                    1.0
                } else {
                    score.unwrap_or_default()
                },
            }
        }));
    }
    matched.sort_by_key(|matched| matched.row);
    matched
}

fn largest(clusters: &[(u64, Cluster)]) -> Vec<(u64, u64)> {
    let mut sizes: Vec<(u64, u64)> = clusters
        .iter()
        .map(|(name, Cluster(rows))| (*name, rows.len() as u64))
        .collect();
    sizes.sort_by_key(|(cluster, rows)| (std::cmp::Reverse(*rows), *cluster));
    sizes.truncate(LARGEST);
    sizes
}

fn report(
    judge: &Judge<'_>,
    scored: &Scored,
    judged: &[(f64, f64)],
    capped_keys: CappedKeys,
) -> MatchReport {
    let mut histogram = vec![0u64; BARS];
    for (_, score) in judged {
        let bar = (score * BARS as f64) as usize;
        histogram[bar.min(BARS - 1)] += 1;
    }
    let mut report = MatchReport {
        method: judge.method().to_owned(),
        threshold: judge.threshold,
        pairs_compared: scored.compared,
        pairs_matched: judged.iter().filter(|(score, _)| *score >= 0.0).count() as u64,
        histogram,
        doubtful_pairs: doubtful(judge, scored, judged),
        capped_keys,
        ..MatchReport::default()
    };
    if let Way::Texts { shingling, .. } = &judge.scorer.way {
        report.shingle = Some(shingling.to_string());
    }
    if let (Way::Records { comparer, .. }, Some((model, fit))) = (&judge.scorer.way, &judge.model) {
        report.pairs_expected = Some(fit.expected);
        report.pairs_unsure = Some(fit.unsure);
        report.usual_weights = fit.usual;
        report.fields = fields(judge, comparer, model);
        let left_out = comparer.left_out().iter();
        report.left_out = left_out
            .map(|(column, why)| (judge.name(*column), (*why).to_owned()))
            .collect();
        let exchanged = comparer.exchanged_columns();
        report.exchanged_columns = exchanged
            .map(|(one, two)| (judge.name(one), judge.name(two)))
            .collect();
    }
    report
}

fn fields(judge: &Judge<'_>, comparer: &Comparer, model: &Model) -> Vec<FieldReport> {
    let fields = comparer.fields().zip(model.weights());
    fields
        .map(|((column, part, kind), weights)| FieldReport {
            column: judge.name(column),
            part: part.name().to_owned(),
            kind: kind.name().to_owned(),
            weights: weights.into_iter().map(bits).collect(),
        })
        .collect()
}

/// The pairs nearest to the threshold.
fn doubtful(judge: &Judge<'_>, scored: &Scored, judged: &[(f64, f64)]) -> Vec<PairEvidence> {
    let mut nearest: Vec<usize> = Vec::new();
    for above in [true, false] {
        let mut side: Vec<usize> = (0..judged.len())
            .filter(|place| (judged[*place].0 >= 0.0) == above)
            .collect();
        let near = |one: &usize, two: &usize| {
            let (one, two) = (judged[*one].0.abs(), judged[*two].0.abs());
            one.total_cmp(&two)
        };
        // Pairs are in order, and the sort keeps that of equal ones.
        side.sort_by(near);
        nearest.extend(side.into_iter().take(DOUBTFUL));
    }
    let mut shown: Vec<PairEvidence> = nearest
        .into_iter()
        .map(|place| {
            let pair = &scored.pairs[place];
            PairEvidence {
                rows: (pair.left, pair.right),
                score: judged[place].1,
                fields: evidence(judge, pair),
            }
        })
        .collect();
    shown.sort_by(|one, two| {
        two.score
            .total_cmp(&one.score)
            .then(one.rows.cmp(&two.rows))
    });
    shown
}

fn evidence(judge: &Judge<'_>, pair: &ScoredPair) -> Vec<(String, String, f64)> {
    let Some((comparer, weights)) = judge.weigh(pair.pattern, Model::weight) else {
        return Vec::new();
    };
    let mut evidence = Vec::new();
    for (field, (column, part, _)) in comparer.fields().enumerate() {
        let Some(level) = level_name(pair.pattern, field) else {
            continue;
        };
        let mut name = judge.name(column);
        if part != Part::Whole {
            name = format!("{name} ({})", part.name());
        }
        let weight = weights.get(field).copied().flatten();
        evidence.push((name, level, weight.unwrap_or_default()));
    }
    evidence
}
