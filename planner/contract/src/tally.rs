//! Counts of cells by shape.

use std::collections::BTreeMap;

use super::readings::{NUMBER, NUMBER_COMMA};
use super::shape::{Digits, Shape};

/// Counts of readings. Columns are mostly of one shape, so that the count of the last one is kept
/// at hand.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    counts: BTreeMap<u32, u64>,
    last: u32,
    run: u64,
    pub(super) point: DigitRange,
    pub(super) comma: DigitRange,
}

/// The digits of all numbers read in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DigitRange {
    /// Most digits before the separator.
    pub(super) whole: u8,
    /// Fewest digits behind the separator.
    pub(super) least_fraction: u8,
    /// Most digits behind the separator.
    pub(super) fraction: u8,
    /// Most digits of one number.
    pub(super) total: u8,
    /// Some number has an exponent or is written in hundredths.
    pub(super) scaled: bool,
}

impl Default for DigitRange {
    fn default() -> Self {
        Self {
            whole: 0,
            least_fraction: u8::MAX,
            fraction: 0,
            total: 0,
            scaled: false,
        }
    }
}

impl DigitRange {
    #[inline]
    fn add(&mut self, digits: Digits) {
        self.whole = self.whole.max(digits.whole);
        self.least_fraction = self.least_fraction.min(digits.fraction);
        self.fraction = self.fraction.max(digits.fraction);
        self.total = self.total.max(digits.whole.saturating_add(digits.fraction));
        self.scaled |= digits.scaled;
    }

    fn merge(&mut self, other: Self) {
        self.whole = self.whole.max(other.whole);
        self.least_fraction = self.least_fraction.min(other.least_fraction);
        self.fraction = self.fraction.max(other.fraction);
        self.total = self.total.max(other.total);
        self.scaled |= other.scaled;
    }
}

impl Tally {
    /// Adds `count` cells of a shape.
    #[inline]
    pub(super) fn add(&mut self, shape: &Shape, count: u64) {
        if shape.readings == self.last {
            self.run += count;
        } else {
            self.flush();
            self.last = shape.readings;
            self.run = count;
        }
        if shape.readings & NUMBER != 0 {
            self.point.add(shape.point);
        }
        if shape.readings & NUMBER_COMMA != 0 {
            self.comma.add(shape.comma);
        }
    }

    fn flush(&mut self) {
        if self.run > 0 {
            *self.counts.entry(self.last).or_default() += self.run;
            self.run = 0;
        }
    }

    /// Adds the counts of other cells.
    pub(super) fn merge(&mut self, mut other: Self) {
        other.flush();
        for (readings, count) in other.counts {
            *self.counts.entry(readings).or_default() += count;
        }
        self.point.merge(other.point);
        self.comma.merge(other.comma);
    }

    /// Returns the number of cells that have all of these readings.
    pub(super) fn with(&self, readings: u32) -> u64 {
        let fits = |seen: u32| seen & readings == readings;
        let counted = self
            .counts
            .iter()
            .filter(|(seen, _)| fits(**seen))
            .map(|(_, count)| count);
        counted.sum::<u64>() + if fits(self.last) { self.run } else { 0 }
    }
}
