//! Counting how far changed cells agree with the truth.

use std::ops::AddAssign;

/// What became of the cells of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// All cells.
    pub cells: u64,
    /// Cells in which the dirty table differs from the clean one.
    pub dirty: u64,
    /// Cells that were changed, or pointed out.
    pub changed: u64,
    /// Changed cells that are right.
    pub correct: u64,
}

impl Agreement {
    /// The share of the changes that are right; nothing where nothing was changed.
    pub fn precision(&self) -> Option<f64> {
        share(self.correct, self.changed)
    }

    /// The share of the dirty cells that were put right; nothing where nothing was dirty.
    pub fn recall(&self) -> Option<f64> {
        share(self.correct, self.dirty)
    }

    /// The harmonic mean of precision and recall, 0 where either is nothing.
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.correct, self.changed + self.dirty)
    }
}

/// The part of the whole; nothing where the whole is nothing.
pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl AddAssign for Agreement {
    fn add_assign(&mut self, other: Self) {
        self.cells += other.cells;
        self.dirty += other.dirty;
        self.changed += other.changed;
        self.correct += other.correct;
    }
}

/// Whether two cells hold the same value: the same text, or the same number in two notations (`5` and `5.0`).
pub fn same_value(left: &str, right: &str) -> bool {
    left == right
        || number(left)
            .zip(number(right))
            .is_some_and(|(left, right)| left == right)
}

fn number(cell: &str) -> Option<f64> {
    // Rust's parser also takes names such as `inf`.
    let numeric = cell
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if numeric { cell.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers compare by value, all else by text.
    #[test]
    fn values_compare() {
        for (left, right, same) in [
            ("5", "5.0", true),
            ("-0.50", "-.5", true),
            ("1e2", "100", true),
            ("", "", true),
            ("", "0", false),
            ("inf", "infinity", false),
            ("a", "A", false),
            ("5 ", "5", false),
        ] {
            assert_eq!(same_value(left, right), same, "{left:?} {right:?}");
        }
    }

    /// The three figures follow from the counts, also where there is nothing to do.
    #[test]
    fn figures_follow_from_counts() {
        let some = Agreement {
            cells: 100,
            dirty: 8,
            changed: 5,
            correct: 4,
        };
        assert_eq!(some.precision(), Some(0.8));
        assert_eq!(some.recall(), Some(0.5));
        assert_eq!(some.f1(), Some(8.0 / 13.0));
        assert_eq!(Agreement::default().f1(), None);
    }
}
