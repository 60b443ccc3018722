//! Maps a cell to the canonical value that it represents.
//!
//! In this order: the value itself; a value of the same key (OpenRefine's fingerprint); a synonym; the nearest value,
//! if it is near enough, has no rival and passes the guards against wrong merges. The values may be given, or learned
//! from a column that repeats them ([`learn_values`]).

mod key;
mod learn;
mod memo;
mod similarity;

use std::sync::Arc;

use hashbrown::HashMap;

pub use learn::{LearnOptions, learn_values};

use super::cell::{CellKernel, Verdict};
use key::fingerprint;
use memo::{Answer, Memo};
use similarity::Candidate;

/// A second value this near to the best one makes the answer a guess, which is not given.
const AMBIGUITY: f64 = 0.03;

/// Replaces a cell by the canonical value that it represents.
///
/// [`Verdict::Invalid`] means that no value is near enough, or that two are about equally near. The result does not
/// depend on the order of the values.
#[derive(Debug)]
pub struct Canonicalizer {
    /// Ascending, without repeats: what ties are broken by.
    values: Vec<Arc<str>>,
    candidates: Vec<Candidate>,
    /// Position of each value.
    exact: HashMap<Arc<str>, u32, foldhash::fast::RandomState>,
    /// Position of the only value with this key; `None` where several share it.
    keys: HashMap<String, Option<u32>, foldhash::fast::RandomState>,
    synonyms: HashMap<String, u32, foldhash::fast::RandomState>,
    min_similarity: f64,
    memo: Memo,
}

impl Canonicalizer {
    /// Returns a kernel that knows `values` and takes a cell for one of them from `min_similarity` (0 to 1) on; 1.0
    /// turns the search for near values off.
    pub fn new(values: Vec<String>, min_similarity: f64) -> Self {
        let mut values: Vec<Arc<str>> = values.into_iter().map(Arc::from).collect();
        values.sort_unstable();
        values.dedup();
        let mut exact = HashMap::default();
        let mut keys = HashMap::default();
        let mut candidates = Vec::with_capacity(values.len());
        for (value, position) in values.iter().zip(0u32..) {
            exact.insert(Arc::clone(value), position);
            let key = fingerprint(value);
            if !key.is_empty() {
                keys.entry(key)
                    .and_modify(|only| *only = None)
                    .or_insert(Some(position));
            }
            candidates.push(Candidate::new(value));
        }
        Self {
            values,
            candidates,
            exact,
            keys,
            synonyms: HashMap::default(),
            min_similarity: if min_similarity.is_nan() {
                1.0
            } else {
                min_similarity.clamp(0.0, 1.0)
            },
            memo: Memo::default(),
        }
    }

    /// Adds pairs of a synonym and its canonical value. A synonym is recognised by its key, so case and punctuation are
    /// ignored; a pair whose value is not canonical is skipped, and of several pairs for one synonym the smallest value
    /// counts.
    #[must_use]
    pub fn with_synonyms(mut self, mut synonyms: Vec<(String, String)>) -> Self {
        synonyms.sort_unstable();
        for (synonym, value) in synonyms {
            let key = fingerprint(&synonym);
            if let Some(&position) = self.exact.get(value.as_str())
                && !key.is_empty()
            {
                self.synonyms.entry(key).or_insert(position);
            }
        }
        self.memo = Memo::default();
        self
    }

    /// Returns the canonical values, ascending.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &str> {
        self.values.iter().map(AsRef::as_ref)
    }

    /// The answer for a cell that is not itself a value.
    fn search(&self, cell: &str) -> Answer {
        let key = fingerprint(cell);
        if let Some(Some(position)) = self.keys.get(&key) {
            return Answer::Value(*position, 1.0);
        }
        if let Some(position) = self.synonyms.get(&key) {
            return Answer::Value(*position, 1.0);
        }
        // Values that share a key with the cell differ from each other in case or order only.
        if self.keys.contains_key(&key) || key.is_empty() {
            return Answer::Nothing;
        }
        self.nearest(cell)
    }

    fn nearest(&self, cell: &str) -> Answer {
        let probe = Candidate::new(cell);
        let (mut best, mut best_score, mut second_score) = (None, 0.0_f64, 0.0_f64);
        for (candidate, position) in self.candidates.iter().zip(0u32..) {
            let floor = (self.min_similarity.max(best_score) - AMBIGUITY).max(0.0);
            let Some(score) = probe.similarity(candidate, floor) else {
                continue;
            };
            if score > best_score {
                second_score = best_score;
                (best, best_score) = (Some(position), score);
            } else {
                second_score = second_score.max(score);
            }
        }
        match best {
            Some(position)
                if best_score >= self.min_similarity && best_score - second_score > AMBIGUITY =>
            {
                Answer::Value(position, best_score.min(0.99) as f32)
            }
            _ => Answer::Nothing,
        }
    }
}

impl CellKernel for Canonicalizer {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        if self.exact.contains_key(cell) {
            return Verdict::Same;
        }
        let answer = self.memo.get_or_insert_with(cell, || self.search(cell));
        match answer {
            Answer::Nothing => Verdict::Invalid,
            Answer::Value(position, score) => match self.values.get(position as usize) {
                Some(value) => {
                    out.push_str(value);
                    Verdict::Changed(score)
                }
                None => Verdict::Invalid,
            },
        }
    }
}

#[cfg(test)]
mod tests;
