//! Sketches of values that are compared later and must not be readable.
//!
//! A value becomes the set of the hashes of its parts: bigrams of a value of a record (as in Schnell, Bachteler,
//! Reiher, "Privacy-preserving record linkage using Bloom filters", 2009, with a set of hashes in place of the filter),
//! shingles of a text. Of a long text only the smallest hashes are kept (Cohen, Kaplan, "Summarizing data using
//! bottom-k sketches", 2007). With a [`Veil`] the hashes cannot be computed without the secret; how often parts occur
//! together remains visible.
//!
//! As text, a sketch begins with a character that no comparable value has, so it can be stored in place of the value.

use std::fmt;

use siphasher::sip::SipHasher24;

use super::keys::RecordKeys;
use crate::kernels::pii::hash::{KeyRefused, Secret};

/// The most hashes of a sketch: Jaccard similarities of longer texts are right to some .02.
const MOST: usize = 512;

/// What a sketch begins with, as text.
const MARK: char = '~';

/// What the secret is used for here.
const PURPOSE: &str = "near-duplicate index";

/// A keyed hash: it cannot be computed without the secret.
#[derive(Clone, Copy)]
pub struct Veil(SipHasher24);

impl fmt::Debug for Veil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Veil(..)")
    }
}

impl Veil {
    /// Derives the key of the hashes from a secret.
    ///
    /// # Errors
    /// When the library refuses a key of the right length.
    pub fn new(secret: &Secret) -> Result<Self, KeyRefused> {
        let derived = secret.derive(&[PURPOSE])?;
        let key = derived.bytes().first_chunk().ok_or(KeyRefused)?;
        Ok(Self(SipHasher24::new_with_key(key)))
    }

    /// Returns a fingerprint of the secret that does not reveal it.
    pub fn check(&self) -> u64 {
        self.0.hash(b"check")
    }

    /// Returns the keyed hash of a number.
    pub fn hash(&self, number: u64) -> u64 {
        self.0.hash(&number.to_le_bytes())
    }

    /// Returns the keyed hash of a key, of the same kind.
    pub fn key(&self, key: u64) -> u64 {
        let kind = RecordKeys::kind(u64::MAX);
        self.hash(key) & !kind | key & kind
    }
}

/// The hashes of a value's pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    /// Of the whole value.
    whole: u64,
    /// Whether it is one word with digits, such as an identifying number.
    is_code: bool,
    /// Ascending; the smallest of many.
    pieces: Vec<u32>,
}

impl Sketch {
    /// Creates the sketch of a comparable value: its bigrams, including those at the start and end of a word.
    pub fn of_value(value: &str, veil: &Veil) -> Self {
        let mut pieces = Vec::with_capacity(value.len() + 1);
        for word in value.split(' ') {
            let mut before = ' ';
            for letter in word.chars().chain([' ']) {
                let pair = u64::from(u32::from(before)) << 32 | u64::from(u32::from(letter));
                pieces.push(veil.hash(pair));
                before = letter;
            }
        }
        let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
        Self {
            whole: veil.0.hash(value.as_bytes()),
            is_code: has_digit && (!value.contains(' ') || value.len() >= 32),
            pieces: smallest(pieces.into_iter()),
        }
    }

    /// Creates the sketch of a text from the hashes of its shingles.
    pub fn of_shingles(hashes: &[u64], veil: Option<&Veil>) -> Self {
        let hashes = hashes.iter().copied();
        Self {
            pieces: match veil {
                Some(veil) => smallest(hashes.map(|hash| veil.hash(hash))),
                None => smallest(hashes),
            },
            ..Self::default()
        }
    }

    /// Returns whether a text is a sketch.
    pub(super) fn is_sketch(text: &str) -> bool {
        text.starts_with(MARK)
    }

    /// Returns whether both are of the same value.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.whole == other.whole
    }

    /// Pieces that both have, of those of either.
    pub fn jaccard(&self, other: &Self) -> f64 {
        let (mut left, mut right) = (self.pieces.as_slice(), other.pieces.as_slice());
        let (mut shared, mut all) = (0usize, 0usize);
        // The smallest of the union are a sample of it.
        while all < MOST {
            let order = match (left.first(), right.first()) {
                (Some(one), Some(two)) => one.cmp(two),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => break,
            };
            all += 1;
            shared += usize::from(order.is_eq());
            left = &left[usize::from(order.is_le())..];
            right = &right[usize::from(order.is_ge())..];
        }
        if all == 0 {
            1.0
        } else {
            shared as f64 / all as f64
        }
    }

    /// Pieces that both have, of those that one has on the average (Dice).
    pub(super) fn dice(&self, other: &Self) -> f64 {
        let jaccard = self.jaccard(other);
        2.0 * jaccard / (1.0 + jaccard)
    }

    /// Returns it as text: the mark, the kind of value, and a word of letters for each piece.
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(20 + 9 * self.pieces.len());
        text.push(MARK);
        text.push(if self.is_code { '0' } else { 'q' });
        push_letters(&mut text, self.whole, 16);
        for piece in &self.pieces {
            text.push(' ');
            push_letters(&mut text, u64::from(*piece), 8);
        }
        text
    }

    /// Parses the output of [`Sketch::to_text`]; `None` for any other text.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix(MARK)?.split(' ');
        let head = words.next()?;
        let (is_code, whole) = match head.split_at_checked(1)? {
            ("0", whole) => (true, whole),
            (_, whole) => (false, whole),
        };
        Some(Self {
            whole: number(whole)?,
            is_code,
            pieces: words
                .map(|word| number(word).and_then(|piece| u32::try_from(piece).ok()))
                .collect::<Option<_>>()?,
        })
    }
}

/// The smallest of the upper halves of hashes, each once.
fn smallest(hashes: impl Iterator<Item = u64>) -> Vec<u32> {
    let mut pieces: Vec<u32> = hashes.map(|hash| (hash >> 32) as u32).collect();
    pieces.sort_unstable();
    pieces.dedup();
    pieces.truncate(MOST);
    pieces
}

/// Hexadecimal digits from `a` to `p`: a value in its place has digits where the value has.
fn push_letters(text: &mut String, number: u64, letters: u32) {
    for place in (0..letters).rev() {
        let digit = (number >> (4 * place)) as u8 & 15;
        text.push(char::from(b'a' + digit));
    }
}

fn number(letters: &str) -> Option<u64> {
    if letters.is_empty() || letters.len() > 16 {
        return None;
    }
    letters.bytes().try_fold(0, |number, letter| {
        let digit = letter.checked_sub(b'a').filter(|digit| *digit < 16)?;
        Some(number << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn veil(secret: &str) -> Veil {
        Veil::new(&Secret::new(secret.repeat(20).into_bytes()).unwrap()).unwrap()
    }

    /// Likeness survives, the value and the secret do not show, and another secret is another sketch.
    #[test]
    fn values_behind_a_veil() {
        let one = veil("one");
        let of = |value: &str| Sketch::of_value(value, &one);
        assert_eq!(of("anna bergstrom").dice(&of("bergstrom anna")), 1.0);
        assert!(!of("anna bergstrom").is_same(&of("bergstrom anna")));
        assert!(of("anna bergstrom").dice(&of("ana bergstrom")) > 0.8);
        assert!(of("anna bergstrom").dice(&of("peter quill")) < 0.2);
        let text = of("anna bergstrom").to_text();
        assert!(!text.contains("ann") || !text.contains("berg"), "{text}");
        let other = Sketch::of_value("anna bergstrom", &veil("two"));
        assert!(other.dice(&of("anna bergstrom")) < 0.1);
        assert_ne!(veil("one").check(), veil("two").check());
        for kind in 0..4 {
            assert_eq!(RecordKeys::kind(one.key(0xABCD_EF00 | kind)), kind);
        }
    }

    /// A sketch is read back from its text; other texts are none. Only those of codes have digits.
    #[test]
    fn sketches_as_text() {
        let veil = veil("one");
        for value in ["anna bergstrom", "2125550100", "z\u{fc}rich 8001", "a"] {
            let sketch = Sketch::of_value(value, &veil);
            let text = sketch.to_text();
            assert_eq!(Sketch::from_text(&text), Some(sketch));
            assert!(Sketch::is_sketch(&text));
            let digits = text.bytes().any(|byte| byte.is_ascii_digit());
            assert_eq!(digits, value == "2125550100", "{value}");
        }
        for text in ["", "anna", "~", "~q", "~qab 12", "~qab "] {
            assert_eq!(Sketch::from_text(text), None, "{text}");
        }
    }

    /// Similarities of short texts are exact, those of long ones nearly so.
    #[test]
    fn texts() {
        let hashes = |range: std::ops::Range<u64>| {
            let mix = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ n << 40;
            range.map(mix).collect::<Vec<u64>>()
        };
        for (pieces, shared, within) in [(100, 80, 1e-9), (10_000, 8_000, 0.06)] {
            let one = Sketch::of_shingles(&hashes(0..pieces), None);
            let two = hashes(pieces - shared..2 * pieces - shared);
            let two = Sketch::of_shingles(&two, None);
            let want = shared as f64 / (2 * pieces - shared) as f64;
            assert!((one.jaccard(&two) - want).abs() <= within, "{pieces}");
            assert!(one.pieces.len() <= MOST);
        }
        let empty = Sketch::of_shingles(&[], Some(&veil("one")));
        assert_eq!(empty.jaccard(&empty), 1.0);
    }
}
