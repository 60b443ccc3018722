//! What was answered for a cell before: columns repeat their values.

use std::sync::{PoisonError, RwLock};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The canonical value of a cell, with the confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Answer {
    /// None.
    Nothing,
    /// The value at this position.
    Value(u32, f32),
}

/// Power of two; each shard is locked by itself.
const SHARDS: usize = 16;
const ENTRIES_PER_SHARD: usize = 4096;
/// A longer cell is free text that will not come again, and must not fill the memory.
const LONGEST_CELL: usize = 256;

type Shard = RwLock<HashTable<(Box<str>, Answer)>>;

/// A cache of at most 65,536 results. A full shard is cleared, so that a column whose values drift still benefits.
#[derive(Debug)]
pub(super) struct Memo {
    shards: [Shard; SHARDS],
    hasher: FixedState,
}

impl Default for Memo {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::new(HashTable::new())),
            hasher: FixedState::default(),
        }
    }
}

impl Memo {
    /// Returns the answer kept for `cell`, or the one that `answer` gives, which is then kept.
    pub(super) fn get_or_insert_with(&self, cell: &str, answer: impl FnOnce() -> Answer) -> Answer {
        if cell.len() > LONGEST_CELL {
            return answer();
        }
        let hash = self.hasher.hash_one(cell);
        // The table takes its bits from both ends; the shard is chosen by some of the middle.
        let shard = &self.shards[(hash >> 24) as usize % SHARDS];
        let is_cell = |entry: &(Box<str>, Answer)| *entry.0 == *cell;
        {
            let known = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, answer)) = known.find(hash, is_cell) {
                return *answer;
            }
        }
        let answer = answer();
        let mut known = shard.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ENTRIES_PER_SHARD {
            known.clear();
        }
        if known.find(hash, is_cell).is_none() {
            known.insert_unique(hash, (cell.into(), answer), |entry| {
                self.hasher.hash_one(&*entry.0)
            });
        }
        answer
    }
}
