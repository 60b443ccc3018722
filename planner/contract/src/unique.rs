//! Uniqueness of the values of a column.

use hashbrown::HashSet;

use planner_profile::mix;

/// Maximum number of values whose hashes are kept.
const KEPT: usize = 1 << 20;

/// Proof that all values differ, as far as there is one: either each value is larger than the one
/// before, however many there are, or the hashes of up to a million values are all different.
#[derive(Debug, Clone, Default)]
pub(super) struct Uniqueness {
    /// Smallest and largest value while the values ascend; before the first one, none.
    ends: Option<(Box<str>, String)>,
    out_of_order: bool,
    hashes: HashSet<u64, Mixed>,
    /// Some value occurred twice, or there were too many to keep.
    unproven: bool,
}

/// The hashes are well mixed already.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mixed;

impl std::hash::BuildHasher for Mixed {
    type Hasher = MixedHasher;
    fn build_hasher(&self) -> MixedHasher {
        MixedHasher(0)
    }
}

/// A hasher that returns a number as its own hash.
#[derive(Debug)]
pub(super) struct MixedHasher(u64);

impl std::hash::Hasher for MixedHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mix(self.0 ^ u64::from(*byte));
        }
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl Uniqueness {
    /// Adds a value that may have occurred before.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64) {
        if self.unproven {
            return;
        }
        if !self.hashes.insert(hash) || self.hashes.len() > KEPT {
            self.give_up();
        }
    }

    /// Notes that some value occurred twice.
    pub(super) fn give_up(&mut self) {
        self.unproven = true;
        self.hashes = HashSet::default();
    }

    /// Checks whether the values still ascend, ordered by length and then by bytes.
    #[inline]
    pub(super) fn follow(&mut self, text: &str) {
        if self.out_of_order {
            return;
        }
        match &mut self.ends {
            Some((_, last)) if ascends(last, text) => {
                last.clear();
                last.push_str(text);
            }
            Some(_) => self.lose_order(),
            None => self.ends = Some((text.into(), text.to_owned())),
        }
    }

    /// Notes that the values do not ascend.
    pub(super) fn lose_order(&mut self) {
        self.out_of_order = true;
        self.ends = None;
    }

    /// Adds the values of later rows.
    pub(super) fn merge(&mut self, later: Self) {
        self.out_of_order |= later.out_of_order;
        if self.out_of_order {
            self.ends = None;
        } else {
            match (self.ends.take(), later.ends) {
                (Some((first, last)), Some((next, end))) if ascends(&last, &next) => {
                    self.ends = Some((first, end));
                }
                (Some(_), Some(_)) => self.out_of_order = true,
                (mine, others) => self.ends = mine.or(others),
            }
        }
        if later.unproven {
            self.give_up();
        }
        for hash in later.hashes {
            self.insert(hash);
        }
    }

    /// Returns whether all values are known to differ.
    pub(super) fn proven(&self) -> bool {
        !self.unproven || !self.out_of_order
    }
}

/// Whether `next` is larger than `text`.
#[inline]
fn ascends(text: &str, next: &str) -> bool {
    (text.len(), text) < (next.len(), next)
}
