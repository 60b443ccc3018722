//! Shingles of texts, and the similarity of two sets of them.
//!
//! A shingle (Broder, "On the resemblance and containment of documents", 1997) is a run of characters or words of the
//! normalised text: lower case, without accents and punctuation, one space between words. It is stored as its XXH3 hash
//! of 64 bits, so that a set of shingles is a set of numbers; two of a million shingles collide once in some 37 million
//! such sets.

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::fold::fold_words;

/// Part of the format: another seed is another hash of everything.
const SEED: u64 = 0x5348_494E_474C_4531;

/// The most characters or words a shingle may hold.
const LONGEST: usize = 100;

/// What a text is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shingling {
    unit: Unit,
    /// From 1 to [`LONGEST`].
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Character,
    Word,
}

/// A text that describes no shingles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a shingle is a number of characters or words from 1 to {LONGEST}, such as '3 characters' or \
     '5 words', not '{given}'"
)]
pub struct ShinglingError {
    /// What was given.
    pub given: String,
}

impl Shingling {
    /// Creates shingles of `length` characters, from 1 to 100: 3 fits names, addresses and other short fields.
    ///
    /// # Errors
    /// When the length is out of range.
    pub fn characters(length: usize) -> Result<Self, ShinglingError> {
        Self::new(Unit::Character, length)
    }

    /// Creates shingles of `length` words, from 1 to 100: 5 fits documents. Scripts without spaces between words have
    /// none.
    ///
    /// # Errors
    /// When the length is out of range.
    pub fn words(length: usize) -> Result<Self, ShinglingError> {
        Self::new(Unit::Word, length)
    }

    fn new(unit: Unit, length: usize) -> Result<Self, ShinglingError> {
        let shingling = Self { unit, length };
        if (1..=LONGEST).contains(&length) {
            Ok(shingling)
        } else {
            Err(ShinglingError {
                given: shingling.to_string(),
            })
        }
    }
}

impl Default for Shingling {
    /// Runs of three characters.
    fn default() -> Self {
        Self {
            unit: Unit::Character,
            length: 3,
        }
    }
}

impl Display for Shingling {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Character => "character",
            Unit::Word => "word",
        };
        let plural = if self.length == 1 { "" } else { "s" };
        write!(f, "{} {unit}{plural}", self.length)
    }
}

impl FromStr for Shingling {
    type Err = ShinglingError;

    /// Reads `3 characters`, `5 words` and the like; a bare number counts characters.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ShinglingError {
            given: text.to_owned(),
        };
        let (length, unit) = text
            .trim()
            .split_once(' ')
            .unwrap_or((text.trim(), "characters"));
        let unit = match unit.trim() {
            "character" | "characters" => Unit::Character,
            "word" | "words" => Unit::Word,
            _ => return Err(refused()),
        };
        Self::new(unit, length.parse().map_err(|_| refused())?).map_err(|_| refused())
    }
}

/// Cuts texts into shingles, one after the other, in memory that it keeps.
#[derive(Debug)]
pub struct Shingler {
    shingling: Shingling,
    folded: String,
    normalized: String,
    /// Where the characters of a text that is not ASCII, or its words, begin; last, where they end.
    places: Vec<usize>,
}

impl Shingler {
    /// Cuts as `shingling` says.
    pub fn new(shingling: Shingling) -> Self {
        Self {
            shingling,
            folded: String::new(),
            normalized: String::new(),
            places: Vec::new(),
        }
    }

    /// Replaces the content of `hashes` by the hashes of the text's shingles, in their order, repeats included; see
    /// [`distinct`] for the set.
    ///
    /// A text shorter than a shingle is one shingle. A text of white space only has none; of one without letters,
    /// digits and symbols ("???") the characters themselves are used.
    pub fn shingle(&mut self, text: &str, hashes: &mut Vec<u64>) {
        hashes.clear();
        self.normalize(text);
        if self.normalized.is_empty() {
            return;
        }
        let bytes = self.normalized.as_bytes();
        let length = self.shingling.length;
        match self.shingling.unit {
            Unit::Character if self.normalized.is_ascii() => {
                hashes.extend(bytes.windows(length.min(bytes.len())).map(hash));
            }
            Unit::Character => {
                self.places.clear();
                let starts = self.normalized.char_indices().map(|(start, _)| start);
                self.places.extend(starts);
                self.places.push(bytes.len());
                let length = length.min(self.places.len() - 1);
                let runs = self.places.iter().zip(&self.places[length..]);
                hashes.extend(runs.map(|(start, end)| hash(&bytes[*start..*end])));
            }
            Unit::Word => {
                // One blank stands between words, so a word ends one place before the next begins.
                self.places.clear();
                self.places.push(0);
                // Words are short: looking at each byte is quicker than a search from blank to blank.
                let blanks = (1..).zip(bytes).filter(|(_, byte)| **byte == b' ');
                self.places.extend(blanks.map(|(behind, _)| behind));
                self.places.push(bytes.len() + 1);
                let length = length.min(self.places.len() - 1);
                let runs = self.places.iter().zip(&self.places[length..]);
                hashes.extend(runs.map(|(start, end)| hash(&bytes[*start..*end - 1])));
            }
        }
    }

    /// Brings `text` to the form that is compared.
    fn normalize(&mut self, text: &str) {
        fold_words(text, &mut self.folded, &mut self.normalized);
        if self.normalized.is_empty() {
            join(text.split_whitespace(), &mut self.normalized);
        }
    }
}

/// Replaces `out` by the words with one blank between them.
fn join<'a>(words: impl Iterator<Item = &'a str>, out: &mut String) {
    out.clear();
    for word in words.filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
}

fn hash(shingle: &[u8]) -> u64 {
    xxh3_64_with_seed(shingle, SEED)
}

/// Makes a set of shingles: ascending, without repeats.
pub fn distinct(hashes: &mut Vec<u64>) {
    hashes.sort_unstable();
    hashes.dedup();
}

/// Returns the Jaccard similarity of two sets made by [`distinct`], from 0 to 1: the size of the intersection divided
/// by that of the union. Two empty sets are equal.
pub fn jaccard(left: &[u64], right: &[u64]) -> f64 {
    let (mut at, mut with, mut shared) = (0, 0, 0usize);
    while let (Some(one), Some(two)) = (left.get(at), right.get(with)) {
        let order = one.cmp(two);
        at += usize::from(order != Ordering::Greater);
        with += usize::from(order != Ordering::Less);
        shared += usize::from(order == Ordering::Equal);
    }
    let together = left.len() + right.len() - shared;
    if together == 0 {
        1.0
    } else {
        shared as f64 / together as f64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn shingles(shingling: &str, text: &str) -> Vec<u64> {
        let mut hashes = vec![1];
        let mut shingler = Shingler::new(shingling.parse().unwrap());
        shingler.shingle("what stood here before", &mut hashes);
        shingler.shingle(text, &mut hashes);
        hashes
    }

    fn similarity(shingling: &str, left: &str, right: &str) -> f64 {
        let [left, right] = [left, right].map(|text| {
            let mut hashes = shingles(shingling, text);
            distinct(&mut hashes);
            hashes
        });
        jaccard(&left, &right)
    }

    /// The pieces that texts are cut into.
    #[test]
    fn pieces() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("3 characters", "Ab  c-D", &["ab ", "b c", " c ", "c d"]),
            ("3", "ab", &["ab"]),
            ("2 characters", "Élan", &["el", "la", "an"]),
            ("2 characters", "東京都", &["東京", "京都"]),
            ("1 character", "東", &["東"]),
            ("5 characters", "東京", &["東京"]),
            (
                "2 words",
                "The cat, the mat",
                &["the cat", "cat the", "the mat"],
            ),
            ("5 words", "Two words.", &["two words"]),
            ("1 word", "a b a", &["a", "b", "a"]),
            ("3 characters", " \t", &[]),
            ("3 characters", "", &[]),
            ("3 characters", " ??!! ", &["??!", "?!!"]),
            ("1 word", "?? !", &["??", "!"]),
            ("3 characters", "1.5", &["1.5"]),
        ];
        for (shingling, text, want) in cases {
            let want: Vec<u64> = want.iter().map(|piece| hash(piece.as_bytes())).collect();
            assert_eq!(shingles(shingling, text), want, "{text:?} in {shingling}");
        }
    }

    /// The hash is part of what is stored: it is the same on every machine and in every version.
    #[test]
    fn hashes_are_fixed() {
        assert_eq!(shingles("3", "abc"), [PINNED_ABC]);
        assert_eq!(shingles("2 words", "Zwölf Boxkämpfer"), [PINNED_WORDS]);
    }

    const PINNED_ABC: u64 = 5_310_484_075_617_257_381;
    const PINNED_WORDS: u64 = 14_394_402_316_772_296_801;

    /// What describes shingles, and what does not.
    #[test]
    fn descriptions() {
        for (text, shown) in [
            ("3", "3 characters"),
            ("1 character", "1 character"),
            (" 5  words ", "5 words"),
        ] {
            assert_eq!(text.parse::<Shingling>().unwrap().to_string(), shown);
        }
        for text in ["", "0", "101 words", "words", "3 letters", "-1", "3.5"] {
            let error = text.parse::<Shingling>().unwrap_err();
            assert_eq!(error.given, text);
        }
        assert!(Shingling::words(0).is_err());
        assert_eq!(Shingling::characters(3).unwrap(), Shingling::default());
    }

    /// Similarities that can be counted by hand.
    #[test]
    fn similarities() {
        for (shingling, left, right, want) in [
            ("1 word", "a b c", "B c d", 0.5),
            ("2 characters", "night", "nacht", 1.0 / 7.0),
            ("3 characters", "Müller", "MULLER", 1.0),
            ("3 characters", "", " ", 1.0),
            ("3 characters", "", "a", 0.0),
            ("3 characters", "???", "!!!", 0.0),
            ("1 word", "a a a b", "a b b", 1.0),
        ] {
            assert_eq!(
                similarity(shingling, left, right),
                want,
                "{left:?} {right:?}"
            );
        }
    }

    proptest! {
        /// The similarity of hashes is that of the pieces; it is the same both ways, and 1 of a text
        /// and itself. Nothing fails on any text.
        #[test]
        fn similarity_of_pieces(
            left in "[ab é東]{0,12}|\\PC{0,12}",
            right in "[ab é東]{0,12}|\\PC{0,12}",
            length in 1usize..5,
        ) {
            let pieces = |text: &str| -> BTreeSet<String> {
                let mut shingler = Shingler::new(Shingling::characters(length).unwrap());
                shingler.normalize(text);
                let chars: Vec<char> = shingler.normalized.chars().collect();
                if chars.is_empty() {
                    return BTreeSet::new();
                }
                let length = length.min(chars.len());
                chars.windows(length).map(|piece| piece.iter().collect()).collect()
            };
            let (one, two) = (pieces(&left), pieces(&right));
            let together = one.union(&two).count();
            let want = if together == 0 {
                1.0
            } else {
                one.intersection(&two).count() as f64 / together as f64
            };
            let shingling = length.to_string();
            prop_assert_eq!(similarity(&shingling, &left, &right), want);
            prop_assert_eq!(similarity(&shingling, &right, &left), want);
            prop_assert_eq!(similarity(&shingling, &left, &left), 1.0);
            prop_assert_eq!(similarity("2 words", &left, &left), 1.0);
        }
    }
}
