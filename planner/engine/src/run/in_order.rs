//! What comes of splits, put into their order.

use std::collections::BTreeMap;

/// Takes what comes of splits in any order, some of it perhaps twice, and hands it on in the order
/// of the splits, so that it can be summed up as it comes.
#[derive(Debug)]
pub(super) struct InOrder<T> {
    next: u64,
    early: BTreeMap<u64, T>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self {
            next: 0,
            early: BTreeMap::new(),
        }
    }
}

impl<T> InOrder<T> {
    /// Takes what came of a split.
    pub(super) fn add(&mut self, split: u64, item: T) {
        if split >= self.next {
            self.early.insert(split, item);
        }
    }

    /// The next in order, if it has come.
    pub(super) fn take(&mut self) -> Option<T> {
        let item = self.early.remove(&self.next)?;
        self.next += 1;
        Some(item)
    }

    /// Number of those handed on.
    pub(super) fn taken(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever comes in whatever order, each is handed on once, after those before it.
    #[test]
    fn each_once_and_in_order() {
        let mut splits = InOrder::default();
        let mut seen = Vec::new();
        for split in [2, 0, 0, 3, 1, 1, 2, 5] {
            splits.add(split, split * 10);
            while let Some(item) = splits.take() {
                seen.push(item);
            }
        }
        assert_eq!(seen, [0, 10, 20, 30]);
        assert_eq!(splits.taken(), 4);
    }
}
