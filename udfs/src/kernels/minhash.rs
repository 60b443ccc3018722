//! MinHash signatures of sets, and their bands: similar sets share a band key.
//!
//! A slot of a signature holds the minimum of one hash function on the set; two sets have the same value there with the
//! probability of their Jaccard similarity (Broder, "On the resemblance and containment of documents", 1997). A
//! signature is divided into bands of rows, each hashed to one key, so that sets of similarity `s` have a key in common
//! with the probability `1 - (1 - s^rows)^bands` (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", section
//! 3.4).
//!
//! The hash functions are `(x ^ b) * a` modulo 2^32 with odd `a`: permutations of the 32-bit numbers whose inner loop a
//! compiler vectorises. Their root mean square error on sets of 20 and more elements is that of the theory, `sqrt(s (1
//! - s) / slots)`.

use arrow::array::{Array, ListArray, ListBuilder, StringViewArray, UInt64Builder};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::shingle::{Shingler, Shingling};

/// Part of the format: another seed is another set of hash functions.
const SEED: u64 = 0x4D49_4E48_4153_4831;

/// Slots that are worked on together: what the registers of a machine with wide vectors hold.
const LANES: usize = 64;

/// The most slots of a signature.
const MOST_SLOTS: usize = 4096;

/// Bands of the default [`Banding`].
const DEFAULT_BANDS: usize = 32;

/// Rows of a band of the default [`Banding`].
const DEFAULT_ROWS: usize = 4;

/// Makes signatures: one function a slot, the same on every machine, whatever the number of slots.
#[derive(Debug, Clone)]
pub struct MinHasher {
    slots: usize,
    /// The factors and the masks of the functions, lane by lane; those beyond the slots are unused.
    lanes: Vec<Lanes>,
}

#[derive(Debug, Clone)]
struct Lanes {
    factors: [u32; LANES],
    masks: [u32; LANES],
}

impl MinHasher {
    /// Signatures of `slots` values.
    pub fn new(slots: usize) -> Self {
        let mut state = SEED;
        let lanes = (0..slots.div_ceil(LANES))
            .map(|_| {
                let mut lanes = Lanes {
                    factors: [0; LANES],
                    masks: [0; LANES],
                };
                for (factor, mask) in lanes.factors.iter_mut().zip(&mut lanes.masks) {
                    let random = split_mix(&mut state);
                    *factor = (random >> 32) as u32 | 1;
                    *mask = random as u32;
                }
                lanes
            })
            .collect();
        Self { slots, lanes }
    }

    /// Values of a signature.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Replaces what `signature` holds by the signature of a set, given as evenly spread hashes of
    /// its elements in any order; repeats are of no effect. That of the empty set is all ones, and
    /// should not be compared.
    pub fn sign(&self, hashes: &[u64], signature: &mut Vec<u32>) {
        signature.clear();
        for lanes in &self.lanes {
            let least = lanes.least(hashes);
            let wanted = LANES.min(self.slots - signature.len());
            signature.extend_from_slice(&least[..wanted]);
        }
    }
}

impl Lanes {
    /// The least value of each function on the upper halves of `hashes`, by the widest vectors that
    /// this machine has: the plain build may assume 128 bits only, without a multiplication. The
    /// values are the same in all of them.
    fn least(&self, hashes: &[u64]) -> [u32; LANES] {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the machine has what the function was compiled for.
                return unsafe { self.least_avx512(hashes) };
            }
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the machine has what the function was compiled for.
                return unsafe { self.least_avx2(hashes) };
            }
        }
        self.least_plain(hashes)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn least_avx512(&self, hashes: &[u64]) -> [u32; LANES] {
        self.least_plain(hashes)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn least_avx2(&self, hashes: &[u64]) -> [u32; LANES] {
        self.least_plain(hashes)
    }

    #[inline(always)]
    fn least_plain(&self, hashes: &[u64]) -> [u32; LANES] {
        let mut least = [u32::MAX; LANES];
        for hash in hashes {
            let hash = (hash >> 32) as u32;
            for ((least, factor), mask) in least.iter_mut().zip(&self.factors).zip(&self.masks) {
                *least = (*least).min((hash ^ mask).wrapping_mul(*factor));
            }
        }
        least
    }
}

/// Returns the next number of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
pub(super) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Returns the Jaccard similarity estimated from two signatures of the same length: the share of equal values.
pub fn estimate(left: &[u32], right: &[u32]) -> f64 {
    let equal = left.iter().zip(right).filter(|(one, two)| one == two);
    equal.count() as f64 / left.len().max(1) as f64
}

/// How a signature is cut into keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Banding {
    bands: usize,
    rows: usize,
}

/// A number of bands and rows that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "bands and rows must be at least 1 and bands times rows at most {MOST_SLOTS}, not {bands} bands \
     of {rows} rows"
)]
pub struct BandingError {
    /// The bands that were asked for.
    pub bands: usize,
    /// The rows of each.
    pub rows: usize,
}

impl Banding {
    /// Creates a banding of `bands` keys of `rows` values each: more bands find more pairs, more rows fewer wrong ones.
    ///
    /// # Errors
    /// When a number is 0, or the signature would be too long.
    pub fn new(bands: usize, rows: usize) -> Result<Self, BandingError> {
        match bands.checked_mul(rows) {
            Some(1..=MOST_SLOTS) => Ok(Self { bands, rows }),
            _ => Err(BandingError { bands, rows }),
        }
    }

    /// Keys of a set.
    pub fn bands(&self) -> usize {
        self.bands
    }

    /// Values behind a key.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values that a signature must have.
    pub fn slots(&self) -> usize {
        self.bands * self.rows
    }

    /// Returns how probable it is that two sets of this Jaccard similarity have a key in common.
    pub fn probability(&self, similarity: f64) -> f64 {
        let band = similarity.powf(self.rows as f64);
        1.0 - (1.0 - band).powf(self.bands as f64)
    }

    /// Replaces what `keys` holds by the keys of a signature, one a band in their order. Keys of
    /// different bands differ, so keys can be compared without their band. A signature shorter than
    /// [`Self::slots`] gives the keys of its whole bands only.
    pub fn keys(&self, signature: &[u32], keys: &mut Vec<u64>) {
        keys.clear();
        let bytes: Vec<[u8; 4]> = signature.iter().map(|value| value.to_le_bytes()).collect();
        let bands = bytes.chunks_exact(self.rows).take(self.bands);
        keys.extend(
            bands
                .zip(SEED..)
                .map(|(band, seed)| xxh3_64_with_seed(band.as_flattened(), seed)),
        );
    }
}

impl Default for Banding {
    /// 32 bands of 4 rows, 128 slots: pairs of similarity 0.8 share a key except one in twenty million, of 0.5 seven
    /// times in eight, of 0.2 once in twenty.
    fn default() -> Self {
        Self {
            bands: DEFAULT_BANDS,
            rows: DEFAULT_ROWS,
        }
    }
}

/// From texts to band keys, one text at a time, in memory that it keeps.
#[derive(Debug)]
pub struct BandKeys {
    shingler: Shingler,
    hasher: MinHasher,
    banding: Banding,
    hashes: Vec<u64>,
    signature: Vec<u32>,
    keys: Vec<u64>,
}

impl BandKeys {
    /// Keys of the texts' shingles.
    pub fn new(shingling: Shingling, banding: Banding) -> Self {
        Self {
            shingler: Shingler::new(shingling),
            hasher: MinHasher::new(banding.slots()),
            banding,
            hashes: Vec::new(),
            signature: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Returns the keys of a text; none of one without shingles, for it is like nothing.
    pub fn of(&mut self, text: &str) -> &[u64] {
        self.shingler.shingle(text, &mut self.hashes);
        self.keys.clear();
        if !self.hashes.is_empty() {
            self.hasher.sign(&self.hashes, &mut self.signature);
            self.banding.keys(&self.signature, &mut self.keys);
        }
        &self.keys
    }
}

/// Returns the band keys of every text of a column as a list; null of a null.
pub fn band_keys(texts: &StringViewArray, shingling: Shingling, banding: Banding) -> ListArray {
    let mut band_keys = BandKeys::new(shingling, banding);
    let values = UInt64Builder::with_capacity(texts.len() * banding.bands());
    let mut lists = ListBuilder::with_capacity(values, texts.len());
    for text in texts {
        if let Some(text) = text {
            lists.values().append_slice(band_keys.of(text));
        }
        lists.append(text.is_some());
    }
    lists.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    /// Two sets of `size` elements each, `shared` of them in common.
    fn pair(state: &mut u64, size: usize, shared: usize) -> [Vec<u64>; 2] {
        let common: Vec<u64> = (0..shared).map(|_| split_mix(state)).collect();
        [(); 2].map(|()| {
            let own = (shared..size).map(|_| split_mix(state));
            common.iter().copied().chain(own).collect()
        })
    }

    fn signature(slots: usize, set: &[u64]) -> Vec<u32> {
        let mut signature = vec![7];
        MinHasher::new(slots).sign(set, &mut signature);
        signature
    }

    fn keys(banding: Banding, set: &[u64]) -> Vec<u64> {
        let mut keys = vec![7];
        banding.keys(&signature(banding.slots(), set), &mut keys);
        keys
    }

    /// Signatures and keys are stored and compared across machines and versions: they never change.
    #[test]
    fn keys_are_fixed() {
        let mut band_keys = BandKeys::new(Shingling::default(), Banding::new(2, 3).unwrap());
        assert_eq!(band_keys.of("Ada Lovelace"), PINNED);
    }

    const PINNED: [u64; 2] = [6_717_735_457_635_918_478, 6_258_916_785_389_761_535];

    /// The estimate is as good as theory says: its root mean square error over many pairs.
    #[test]
    fn the_error_of_an_estimate() {
        let mut state = 1;
        for (size, shared) in [(18, 16), (60, 40), (500, 250)] {
            let similarity = shared as f64 / (2 * size - shared) as f64;
            let pairs = 1_000;
            let squares: f64 = (0..pairs)
                .map(|_| {
                    let [left, right] =
                        pair(&mut state, size, shared).map(|set| signature(128, &set));
                    (estimate(&left, &right) - similarity).powi(2)
                })
                .sum();
            let error = (squares / f64::from(pairs)).sqrt();
            let theory = (similarity * (1.0 - similarity) / 128.0).sqrt();
            assert!(
                (0.9..1.1).contains(&(error / theory)),
                "{size} elements: {error}, {theory}"
            );
        }
    }

    /// Pairs share a key as often as theory predicts.
    #[test]
    fn how_often_pairs_meet() {
        let mut state = 2;
        for (bands, rows, shared) in [(32, 4, 50), (16, 8, 80), (32, 4, 30)] {
            let banding = Banding::new(bands, rows).unwrap();
            let pairs = 1_000;
            let met = (0..pairs).filter(|_| {
                let [left, right] = pair(&mut state, 100, shared).map(|set| keys(banding, &set));
                left.iter().any(|key| right.contains(key))
            });
            let met = met.count() as f64 / f64::from(pairs);
            let theory = banding.probability(shared as f64 / (200 - shared) as f64);
            assert!(
                (met - theory).abs() < 0.05,
                "{bands} {rows} {shared}: {met}, {theory}"
            );
        }
    }

    /// Nothing and all of nothing: texts without shingles have no keys, nulls no list.
    #[test]
    fn columns() {
        let texts = StringViewArray::from(vec![Some("Ada"), None, Some(" "), Some("ADA!")]);
        let lists = band_keys(&texts, Shingling::default(), Banding::default());
        let lengths: Vec<Option<usize>> = lists.iter().map(|list| Some(list?.len())).collect();
        assert_eq!(lengths, [Some(32), None, Some(0), Some(32)]);
        assert_eq!(&lists.value(0), &lists.value(3));
        assert!(Banding::new(0, 4).is_err() && Banding::new(1 << 40, 1 << 40).is_err());
    }

    proptest! {
        /// Order, repeats and the width of vectors are of no effect, fewer slots are the beginning
        /// of more, and the signature of a union is the least of both.
        #[test]
        fn signatures_of_sets(
            left in prop::collection::vec(any::<u64>(), 1..30),
            right in prop::collection::vec(any::<u64>(), 1..30),
            slots in 1usize..200,
        ) {
            let one = signature(slots, &left);
            prop_assert_eq!(one.len(), slots);
            let again: Vec<u64> = left.iter().rev().chain(&left).copied().collect();
            prop_assert_eq!(&signature(slots, &again), &one);
            prop_assert_eq!(&signature(300, &left)[..slots], &one[..]);
            let union: Vec<u64> = left.iter().chain(&right).copied().collect();
            let two = signature(slots, &right);
            let least: Vec<u32> = one.iter().zip(&two).map(|(one, two)| *one.min(two)).collect();
            prop_assert_eq!(signature(slots, &union), least);
            // A machine without wide vectors gives the same.
            let plain = MinHasher::new(slots).lanes[0].least_plain(&left);
            prop_assert_eq!(&plain[..slots.min(LANES)], &one[..slots.min(LANES)]);
        }
    }
}
