//! Similarity of two texts, and the differences that forbid merging them.

use rapidfuzz::distance::{jaro_winkler, osa};
use rapidfuzz::fuzz;

use super::super::fold::fold;

/// A longer text is free text: comparing it costs the square of its length and means nothing.
const LONGEST: usize = 256;

/// Texts up to this length may differ by one edit only.
const SHORT: usize = 6;

/// Texts of at least this many words are compared by most of their words.
const LONG_TEXT_WORDS: usize = 5;

/// A text made ready for comparison.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Folded, with the words in their order.
    text: Vec<char>,
    /// The words in order.
    sorted: Vec<char>,
    /// Length of each word of `text`.
    words: Vec<usize>,
    digits: String,
}

impl Candidate {
    pub(super) fn new(text: &str) -> Self {
        let folded = fold(text);
        let mut words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
        let text: Vec<char> = words.join(" ").chars().collect();
        let lengths = words.iter().map(|word| word.chars().count()).collect();
        words.sort_unstable();
        let sorted = words.join(" ").chars().collect();
        let digits = folded.chars().filter(char::is_ascii_digit).collect();
        Self {
            text,
            sorted,
            words: lengths,
            digits,
        }
    }

    /// Returns the similarity from 0 to 1, or `None` when it is below `floor` or a guard forbids the pair.
    ///
    /// The greatest of Jaro-Winkler, normalised optimal string alignment and token-sort ratio.
    pub(super) fn similarity(&self, other: &Self, floor: f64) -> Option<f64> {
        let (short, long) = match (self.text.len(), other.text.len()) {
            (one, two) if one <= two => (one, two),
            (one, two) => (two, one),
        };
        // Codes and amounts that differ in a digit are different things, however like they look.
        if short == 0 || long > LONGEST || self.digits != other.digits {
            return None;
        }
        let edits = self.edits(other, short, long)?;
        // In three letters an exchanged one makes another word ("cat", "car"), a swap does not.
        if short < 3 || (short == 3 && long == 3 && !same_letters(&self.text, &other.text)) {
            return (edits == 0).then_some(1.0);
        }
        if !self.words_agree(other) {
            return None;
        }
        let aligned = 1.0 - edits as f64 / long as f64;
        let winkler =
            jaro_winkler::similarity(self.text.iter().copied(), other.text.iter().copied());
        let sorted = fuzz::ratio(self.sorted.iter().copied(), other.sorted.iter().copied());
        let score = aligned.max(winkler).max(sorted);
        (score >= floor).then_some(score)
    }

    /// Whether words in the same place are near copies of each other, where both have as many: in
    /// "wading pool" and "diving pool" the letters are alike, the words are not.
    fn words_agree(&self, other: &Self) -> bool {
        if self.words.len() != other.words.len() || self.sorted == other.sorted {
            return true;
        }
        // In a long text the other words say what a damaged one was.
        let is_long = self.words.len() >= LONG_TEXT_WORDS;
        let (mut one, mut two) = (self.text.as_slice(), other.text.as_slice());
        for (&left, &right) in self.words.iter().zip(&other.words) {
            let (here, there) = (&one[..left], &two[..right]);
            if here != there {
                let short = left.min(right);
                let most = if is_long {
                    1 + short / 5
                } else {
                    edits_allowed(short)
                };
                let args = osa::Args::default().score_cutoff(most);
                let (here, there) = (here.iter().copied(), there.iter().copied());
                if short < 3 || osa::distance_with_args(here, there, &args).is_none() {
                    return false;
                }
            }
            // The words are joined by one blank.
            one = one.get(left + 1..).unwrap_or_default();
            two = two.get(right + 1..).unwrap_or_default();
        }
        true
    }

    /// Edits between the two, the words in whichever order needs fewer; `None` when too many.
    ///
    /// Jaro-Winkler alone calls "male" and "female" or "north" and "northern" alike.
    fn edits(&self, other: &Self, short: usize, long: usize) -> Option<usize> {
        let most = edits_allowed(short);
        if long - short > most {
            return None;
        }
        let args = osa::Args::default().score_cutoff(most);
        osa::distance_with_args(self.text.iter().copied(), other.text.iter().copied(), &args)
            .or_else(|| {
                osa::distance_with_args(
                    self.sorted.iter().copied(),
                    other.sorted.iter().copied(),
                    &args,
                )
            })
    }
}

/// One edit in a short text, and one more for each further five characters.
fn edits_allowed(length: usize) -> usize {
    if length <= SHORT {
        1
    } else {
        1 + (length - 1) / 5
    }
}

fn same_letters(one: &[char], two: &[char]) -> bool {
    let sorted = |text: &[char]| {
        let mut letters = text.to_vec();
        letters.sort_unstable();
        letters
    };
    sorted(one) == sorted(two)
}
