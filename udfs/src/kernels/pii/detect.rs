//! Finds personal data in a text.
//!
//! From cheap to dear: the classes of the bytes rule most cells out; a walk over the digits and
//! one [`RegexSet`] say which patterns occur; each match must pass its check (check digits,
//! registries, ranges); words around it raise its score. Of overlapping spans the best is kept.

use regex::{Regex, RegexSet};

use super::entity::Entity;
use super::{context, number, pattern};

/// Minimum score of a reported span: ambiguous numbers without a supporting context are below it.
const MIN_SCORE: f32 = 0.5;

/// Personal data at a place in a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// What it is.
    pub entity: Entity,
    /// Byte where it begins, at a character boundary.
    pub start: usize,
    /// Byte behind its end, at a character boundary.
    pub end: usize,
    /// How sure that is, from 0 to 1.
    pub score: f32,
}

/// A span before its context is evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) entity: Entity,
    pub(super) start: usize,
    pub(super) end: usize,
    /// By itself.
    pub(super) score: f32,
    /// With a word nearby that names the entity.
    pub(super) in_context: f32,
}

/// Finds personal data; build it once, it is read only and can be shared by threads.
#[derive(Debug)]
pub struct Detector {
    set: RegexSet,
    regexes: Vec<Regex>,
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector {
    /// Builds the patterns.
    pub fn new() -> Self {
        let sources = pattern::PATTERNS.iter().map(|pattern| pattern.source);
        // The patterns are constants that the tests compile: both always succeed.
        Self {
            set: RegexSet::new(sources.clone()).unwrap_or_else(|_| RegexSet::empty()),
            regexes: sources
                .filter_map(|source| Regex::new(source).ok())
                .collect(),
        }
    }

    /// Returns the personal data in `text`: spans that do not overlap, in order.
    ///
    /// Where spans would overlap, the one of the higher score is kept, then the longer one.
    pub fn detect(&self, text: &str) -> Vec<Span> {
        spans(text, &self.candidates(text))
    }

    /// Everything that some part of `text` may be, whatever its score; parts may overlap.
    pub(super) fn candidates(&self, text: &str) -> Vec<Candidate> {
        let mut found = Vec::new();
        let classes = ByteClasses::of(text.as_bytes());
        if !classes.may_hold_any() {
            return found;
        }
        if classes.digits >= 7 {
            number::find(text, &mut found);
        }
        for index in self.set.matches(text) {
            let (Some(pattern), Some(regex)) =
                (pattern::PATTERNS.get(index), self.regexes.get(index))
            else {
                continue;
            };
            for matched in regex.find_iter(text) {
                if let Some(part) = (pattern.check)(text, matched.start(), matched.end()) {
                    found.push(Candidate {
                        entity: pattern.entity,
                        start: part.start,
                        end: part.end,
                        score: part.score,
                        in_context: pattern.in_context.max(part.score),
                    });
                }
            }
        }
        found
    }
}

/// Returns the candidates that score high enough in their context, without overlaps.
pub(super) fn spans(text: &str, candidates: &[Candidate]) -> Vec<Span> {
    let sure = |candidate: &Candidate| {
        let Candidate {
            entity, start, end, ..
        } = *candidate;
        let may_gain = candidate.in_context > candidate.score && candidate.in_context >= MIN_SCORE;
        let score = if may_gain && context::supports(entity, text, start, end) {
            candidate.in_context
        } else {
            candidate.score
        };
        (score >= MIN_SCORE).then_some(Span {
            entity,
            start,
            end,
            score,
        })
    };
    keep_best(candidates.iter().filter_map(sure).collect())
}

/// Greedy choice of the best spans, then in the order of the text.
fn keep_best(mut spans: Vec<Span>) -> Vec<Span> {
    if spans.len() < 2 {
        return spans;
    }
    spans.sort_unstable_by(|one, two| {
        let length = |span: &Span| span.end - span.start;
        two.score
            .total_cmp(&one.score)
            .then_with(|| length(two).cmp(&length(one)))
            .then_with(|| one.start.cmp(&two.start))
            .then_with(|| one.entity.cmp(&two.entity))
    });
    let mut kept: std::collections::BTreeMap<usize, Span> = std::collections::BTreeMap::new();
    for span in spans {
        // Kept spans do not overlap, so the last one to begin before this one's end decides.
        let rival = kept.range(..span.end).next_back();
        if rival.is_none_or(|(_, other)| other.end <= span.start) {
            kept.insert(span.start, span);
        }
    }
    kept.into_values().collect()
}

/// What the bytes of a cell hold, gathered without a branch.
#[derive(Debug, Default)]
struct ByteClasses {
    digits: u32,
    at_signs: u32,
    colons: u32,
    dots: u32,
    dashes: u32,
}

impl ByteClasses {
    fn of(bytes: &[u8]) -> Self {
        let mut seen = Self::default();
        for &byte in bytes {
            seen.digits += u32::from(byte.wrapping_sub(b'0') < 10);
            seen.at_signs += u32::from(byte == b'@');
            seen.colons += u32::from(byte == b':');
            seen.dots += u32::from(byte == b'.');
            seen.dashes += u32::from(byte == b'-');
        }
        seen
    }

    /// Every pattern needs one of these: an e-mail its sign, an address of a network or of the web
    /// its points or colons, any number of a person at least four digits.
    fn may_hold_any(&self) -> bool {
        let address = self.at_signs > 0 || self.dots > 0 || self.colons >= 2 || self.dashes >= 5;
        address || self.digits >= 4
    }
}
