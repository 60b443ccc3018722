//! Match weights, estimated without labels.
//!
//! The model is that of Fellegi and Sunter: matching and non-matching pairs agree in a field with different
//! probabilities, independently of the other fields. The probabilities of non-matches are counted on random pairs of
//! the table and from the frequencies of values; those of matches are estimated by expectation maximisation (Winkler,
//! "Using the EM algorithm for weight computation in the Fellegi-Sunter model of record linkage", 1988) on the
//! candidate pairs; all other pairs are taken as non-matches. Two constraints keep it from converging to another class
//! of pairs, such as households: only pairs that are already certain contribute to the probabilities of matches, and no
//! partial agreement may be more likely for a match than full agreement.

use super::comparer::RARITY_STEPS;
use super::pattern::{Level, Pattern};

/// What random pairs give.
#[derive(Debug, Clone)]
pub struct Chance {
    /// Pairs of the table by field and level; those with a missing value in neither.
    pub counts: Vec<[f64; 6]>,
    /// Pairs of the table.
    pub pairs: f64,
}

impl Chance {
    /// Raises the counts of each field and level to at least those that were `found`: random pairs contain few rare
    /// agreements.
    pub fn at_least(&mut self, found: &[[f64; 6]]) {
        for (counts, found) in self.counts.iter_mut().zip(found) {
            for (count, found) in counts.iter_mut().zip(found) {
                *count = count.max(*found);
            }
        }
    }
}

/// Candidate pairs of the same agreement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PatternCount {
    /// The levels of their fields.
    pub pattern: Pattern,
    /// The rarity of what they share.
    pub rarity: i32,
    /// How many they are.
    pub pairs: f64,
}

/// How well the model fits its data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Expected number of matches among the candidates.
    pub expected: f64,
    /// Share of these that come from pairs of which it is unsure: probabilities from 0.1 to 0.9.
    pub unsure: f64,
    /// Rounds of learning.
    pub rounds: usize,
    /// Whether what was learned is not to be trusted, so that usual weights are used in its place.
    pub usual: bool,
}

/// Prior distribution of agreement levels of matches in a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Shares of the levels.
    pub shares: [f64; 6],
    /// Pairs that they count for.
    pub pairs: f64,
}

impl Default for Agreement {
    fn default() -> Self {
        Self {
            shares: USUAL,
            pairs: USUAL_PAIRS,
        }
    }
}

/// Weights of a field by level: the natural logarithm of the likelihood ratio of match and non-match.
pub type FieldWeights = [f64; 6];

/// Scores pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Probability that a random pair matches.
    prior: f64,
    /// Probability that two fields of a match are exchanged.
    exchanged: f64,
    /// Probabilities of the levels, of matches and non-matches.
    agree: Vec<[f64; 6]>,
    differ: Vec<[f64; 6]>,
    /// The column of each field.
    columns: Vec<usize>,
    /// What was known of each field.
    before: Vec<Agreement>,
}

/// Default distribution of the levels of matches: most values agree.
const USUAL: [f64; 6] = [0.056, 0.022, 0.056, 0.084, 0.223, 0.559];

/// Pairs that the usual shares count for.
const USUAL_PAIRS: f64 = 4.0;

/// Pairs that count at most for what was learned before.
const MOST_PAIRS_BEFORE: f64 = 1_000.0;

/// Probability from which a pair contributes to the estimate of matches.
const SURE: f64 = 0.9;

/// The most rounds of learning.
const ROUNDS: usize = 60;

/// Share of unsure pairs from which a fit is not trusted.
const UNSURE: f64 = 0.4;

/// What a pair scores at most that can be compared in one column only.
const ONE_COLUMN: f64 = -1.0;

/// What a round of learning counts.
struct Counts {
    mass: f64,
    exchanged: f64,
    /// By field and level: of all pairs by their probability, and of the sure ones.
    all: Vec<[f64; 6]>,
    sure: Vec<[f64; 6]>,
}

impl Model {
    /// Returns the model before estimation: default probabilities of matches, and those of non-matches from `chance`.
    /// `before` has the prior of each field.
    pub fn start(columns: Vec<usize>, before: Vec<Agreement>, rows: f64, chance: &Chance) -> Self {
        let chances = chance.counts.iter();
        Self {
            prior: (0.2 * rows / chance.pairs.max(1.0)).clamp(1e-12, 0.05),
            exchanged: 0.02,
            agree: before.iter().map(|known| known.shares).collect(),
            differ: chances.map(|levels| shares(levels, &[0.0; 6])).collect(),
            columns,
            before,
        }
    }

    /// Estimates the model from the candidate pairs of a table of this many rows. `columns` are those of the fields, of
    /// which `before` has the priors. `chance` is at least what was found among them. The order of `patterns` is the
    /// order of summation, and must be the same on every run.
    pub fn fit(
        columns: Vec<usize>,
        before: Vec<Agreement>,
        rows: f64,
        chance: &Chance,
        patterns: &[PatternCount],
    ) -> (Self, Fit) {
        let totals = &chance.counts;
        let mut model = Self::start(columns, before, rows, chance);
        let mut rounds = 0;
        while rounds < ROUNDS {
            rounds += 1;
            let before = model.prior;
            let counts = model.count(patterns);
            model.learn(&counts, totals, chance.pairs);
            if (model.prior - before).abs() < 1e-7 * before {
                break;
            }
        }
        let mut fit = model.assess(patterns);
        fit.rounds = rounds;
        if fit.unsure > UNSURE && fit.expected > 5.0 {
            fit.usual = true;
            let before = model.before.iter();
            model.agree = before.map(|known| known.shares).collect();
        }
        (model, fit)
    }

    /// Returns whether there is no field that it could learn of.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Returns the log odds that a pair matches.
    pub fn score(&self, pattern: Pattern, rarity: i32) -> f64 {
        let score = self.evidence(pattern, rarity);
        // One column alone is no evidence where there are others.
        let mut compared: Option<usize> = None;
        for (field, column) in self.columns.iter().enumerate() {
            if pattern.code(field) == 0 {
                continue;
            }
            if compared.is_some_and(|other| other != *column) {
                return score;
            }
            compared = Some(*column);
        }
        let several = self.columns.iter().any(|column| Some(*column) != compared);
        if several {
            score.min(ONE_COLUMN)
        } else {
            score
        }
    }

    fn evidence(&self, pattern: Pattern, rarity: i32) -> f64 {
        let mut score = (self.prior / (1.0 - self.prior)).ln();
        if pattern.is_exchanged() {
            score += self.exchanged.ln();
        }
        for (field, (agree, differ)) in self.agree.iter().zip(&self.differ).enumerate() {
            match pattern.code(field) {
                0 => {}
                // How improbable the value is stands in the rarity.
                7 => score += agree[5].ln(),
                code => score += (agree[code - 1] / differ[code - 1]).ln(),
            }
        }
        score + f64::from(rarity) / RARITY_STEPS
    }

    /// Returns the probability that goes with a score.
    pub fn probability(score: f64) -> f64 {
        1.0 / (1.0 + (-score).exp())
    }

    /// Returns the log odds of a random pair, from which a score starts, and their change where fields are exchanged.
    pub fn outset(&self) -> (f64, f64) {
        ((self.prior / (1.0 - self.prior)).ln(), self.exchanged.ln())
    }

    /// Returns the distribution of levels in each field as a prior for later estimates: it counts for as many pairs as
    /// were `expected`, up to 1,000.
    pub fn agreement(&self, expected: f64) -> impl Iterator<Item = Agreement> + '_ {
        let pairs = expected.clamp(USUAL_PAIRS, MOST_PAIRS_BEFORE);
        let agree = self.agree.iter();
        agree.map(move |shares| Agreement {
            shares: *shares,
            pairs,
        })
    }

    /// Returns the weights of each field, by level.
    pub fn weights(&self) -> impl Iterator<Item = FieldWeights> + '_ {
        self.agree.iter().zip(&self.differ).map(|(agree, differ)| {
            let mut weights = [0.0; 6];
            for ((weight, agree), differ) in weights.iter_mut().zip(agree).zip(differ) {
                *weight = (agree / differ).ln();
            }
            weights
        })
    }

    /// Returns what a field adds to the score of a pair that agrees so, whatever the value that both hold; none where
    /// one is missing.
    pub fn weight(&self, pattern: Pattern, field: usize) -> Option<f64> {
        let (agree, differ) = (self.agree.get(field)?, self.differ.get(field)?);
        let level = pattern.level(field)? as usize;
        Some((agree[level] / differ[level]).ln())
    }

    /// Returns what a field adds to the score of a pair; the weight of equal values is part of the rarity.
    pub fn share(&self, pattern: Pattern, field: usize) -> Option<f64> {
        if pattern.is_identical(field) {
            return self.agree.get(field).map(|agree| agree[5].ln());
        }
        self.weight(pattern, field)
    }

    fn count(&self, patterns: &[PatternCount]) -> Counts {
        let fields = self.columns.len();
        let mut counts = Counts {
            mass: 0.0,
            exchanged: 0.0,
            all: vec![[0.0; 6]; fields],
            sure: vec![[0.0; 6]; fields],
        };
        for group in patterns {
            let probability = Self::probability(self.evidence(group.pattern, group.rarity));
            if probability < 1e-6 {
                continue;
            }
            let mass = probability * group.pairs;
            counts.mass += mass;
            if group.pattern.is_exchanged() {
                counts.exchanged += mass;
            }
            for field in 0..fields {
                let Some(level) = group.pattern.level(field) else {
                    continue;
                };
                counts.all[field][level as usize] += mass;
                if probability >= SURE {
                    counts.sure[field][level as usize] += mass;
                }
            }
        }
        counts
    }

    fn learn(&mut self, counts: &Counts, totals: &[[f64; 6]], pairs: f64) {
        self.prior = ((counts.mass + 0.5) / pairs).clamp(1e-12, 0.5);
        self.exchanged = ((counts.exchanged + 0.5) / (counts.mass + 25.0)).clamp(0.001, 0.3);
        for (field, total) in totals.iter().enumerate() {
            let sure: f64 = counts.sure[field].iter().sum();
            let before = self.before[field];
            let agree = &mut self.agree[field];
            for (level, share) in agree.iter_mut().enumerate() {
                let known = before.pairs * before.shares[level];
                *share = (counts.sure[field][level] + known) / (sure + before.pairs);
            }
            let most = agree[Level::Same as usize];
            agree[1..5]
                .iter_mut()
                .for_each(|share| *share = share.min(most));
            let rest: f64 = agree[1..].iter().sum();
            agree[0] = (1.0 - rest).max(1e-6);
            self.differ[field] = shares(total, &counts.all[field]);
        }
    }

    fn assess(&self, patterns: &[PatternCount]) -> Fit {
        let (mut expected, mut unsure) = (0.0, 0.0);
        for group in patterns {
            let probability = Self::probability(self.score(group.pattern, group.rarity));
            let mass = probability * group.pairs;
            expected += mass;
            if (0.1..0.9).contains(&probability) {
                unsure += mass;
            }
        }
        Fit {
            expected,
            unsure: if expected > 0.0 {
                unsure / expected
            } else {
                0.0
            },
            rounds: 0,
            usual: false,
        }
    }
}

/// Returns the distribution of levels of non-matches: of all pairs less the matches.
fn shares(total: &[f64; 6], one: &[f64; 6]) -> [f64; 6] {
    let all: f64 = total.iter().sum::<f64>() - one.iter().sum::<f64>();
    let mut shares = [0.0; 6];
    for (level, share) in shares.iter_mut().enumerate() {
        *share = (((total[level] - one[level]).max(0.0) + 0.5) / (all + 3.0)).max(1e-12);
    }
    shares
}
