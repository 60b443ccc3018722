//! Learns the canonical values of a column from the column itself.
//!
//! A value that is rare and similar to a much more frequent one is a typo of it. This is true only of a column with a
//! closed vocabulary, such as states or product names; among surnames, rare neighbours of frequent ones are real. The
//! share of the rare values that have such a neighbour distinguishes the two: with typos it is large, with an open
//! vocabulary small.

use super::similarity::Candidate;

/// When a column's own values are taken as canonical, and which of them as typos.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnOptions {
    /// A canonical value that has typos occurs at least this often.
    pub min_count: u64,
    /// ... and at least this many times as often as the typo.
    pub min_ratio: f64,
    /// How near a typo must be to its value, 0 to 1.
    pub min_similarity: f64,
    /// Share of the rare values that must be typos for the column to count as a closed vocabulary.
    pub min_explained: f64,
    /// Share of the rows that must hold a value which occurs `min_count` times.
    pub min_coverage: f64,
    /// More distinct values than this are no vocabulary.
    pub max_distinct: usize,
}

impl Default for LearnOptions {
    fn default() -> Self {
        Self {
            min_count: 5,
            min_ratio: 5.0,
            min_similarity: 0.85,
            min_explained: 0.6,
            min_coverage: 0.5,
            max_distinct: 5_000,
        }
    }
}

/// A value of the column.
struct Counted<'a> {
    value: &'a str,
    count: u64,
    text: Candidate,
}

/// Returns the canonical values of a column, ascending: its distinct values without those that are typos of others.
/// Empty when the column has no closed vocabulary or no typos, and so is to be left alone.
///
/// `counts` are the distinct values and how often each occurs; their order does not matter.
pub fn learn_values(counts: &[(String, u64)], options: &LearnOptions) -> Vec<String> {
    if counts.len() > options.max_distinct {
        return Vec::new();
    }
    let rows: u64 = counts.iter().map(|(_, count)| *count).sum();
    let covered: u64 = counts
        .iter()
        .map(|(_, count)| *count)
        .filter(|count| *count >= options.min_count)
        .sum();
    if rows == 0 || (covered as f64) < options.min_coverage * rows as f64 {
        return Vec::new();
    }
    let mut values: Vec<Counted> = counts
        .iter()
        .map(|(value, count)| Counted {
            value,
            count: *count,
            text: Candidate::new(value),
        })
        .collect();
    values.sort_unstable_by(|one, two| {
        two.count
            .cmp(&one.count)
            .then_with(|| one.value.cmp(two.value))
    });
    let (mut kept, mut typos, mut unexplained) = (Vec::new(), 0usize, 0usize);
    for value in &values {
        if is_typo(value, &values, options) {
            typos += 1;
        } else {
            kept.push(value.value.to_owned());
            // Numbers and codes have no typos to be told by; they say nothing of the vocabulary.
            unexplained += usize::from(value.count < options.min_count);
        }
    }
    let rare = typos + unexplained;
    if typos == 0 || (typos as f64) < options.min_explained * rare as f64 {
        return Vec::new();
    }
    kept.sort_unstable();
    kept
}

/// Whether `value` is a near copy of exactly one much more frequent value.
fn is_typo(value: &Counted, by_count: &[Counted], options: &LearnOptions) -> bool {
    let least = (options.min_ratio * value.count as f64).max(options.min_count as f64);
    let (mut best, mut second) = (0.0_f64, 0.0_f64);
    for other in by_count
        .iter()
        .take_while(|other| other.count as f64 >= least)
    {
        let floor = (options.min_similarity.max(best) - super::AMBIGUITY).max(0.0);
        if other.value != value.value
            && let Some(score) = value.text.similarity(&other.text, floor)
        {
            second = second.max(score.min(best));
            best = best.max(score);
        }
    }
    best >= options.min_similarity && best - second > super::AMBIGUITY
}
