//! How far two records agree, field by field, in one number.

use std::fmt::{self, Debug, Formatter};

/// The most fields that a pattern holds.
pub(super) const MOST_FIELDS: usize = 40;

/// Bits of a field.
const BITS: usize = 3;

/// Set where two fields of one record are exchanged in the other record.
const EXCHANGED: u128 = 1 << 127;

/// How much two values have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Nothing that chance does not give.
    Different,
    /// A little.
    Faint,
    /// A part.
    Partial,
    /// Most.
    Close,
    /// All but a slip of the pen.
    Near,
    /// All: the same but for blanks.
    Same,
}

impl Level {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::Different,
        Self::Faint,
        Self::Partial,
        Self::Close,
        Self::Near,
        Self::Same,
    ];

    /// Returns the level as a number from 0 to 1, for means of several fields.
    pub fn likeness(self) -> f64 {
        [0.0, 0.3, 0.6, 0.8, 0.9, 1.0][self as usize]
    }

    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Different => "different",
            Self::Faint => "faintly alike",
            Self::Partial => "partly the same",
            Self::Close => "close",
            Self::Near => "nearly the same",
            Self::Same => "the same",
        }
    }
}

/// The levels of all fields of a pair.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(pub u128);

impl Pattern {
    /// Sets the level of a field; `identical` where both hold the very same value, whose rarity is
    /// counted by itself.
    pub(super) fn set(&mut self, field: usize, level: Level, identical: bool) {
        let code = if identical { 7 } else { level as u128 + 1 };
        let place = field * BITS;
        self.0 = (self.0 & !(7 << place)) | (code << place);
    }

    /// Takes a field out of the comparison.
    pub(super) fn clear(&mut self, field: usize) {
        self.0 &= !(7 << (field * BITS));
    }

    pub(super) fn set_exchanged(&mut self) {
        self.0 |= EXCHANGED;
    }

    /// Returns whether two fields are exchanged.
    pub fn is_exchanged(self) -> bool {
        self.0 & EXCHANGED != 0
    }

    /// Returns the level of a field; none where a value is missing.
    pub fn level(self, field: usize) -> Option<Level> {
        match self.code(field) {
            0 => None,
            7 => Some(Level::Same),
            code => Level::ALL.get(code - 1).copied(),
        }
    }

    /// Returns whether both hold the very same value.
    pub fn is_identical(self, field: usize) -> bool {
        self.code(field) == 7
    }

    /// 0 for a missing value, 1 to 6 for the levels, 7 for the very same value.
    pub(super) fn code(self, field: usize) -> usize {
        ((self.0 >> (field * BITS)) & 7) as usize
    }
}

impl Debug for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let fields = (0..MOST_FIELDS).map(|field| self.code(field));
        f.debug_list().entries(fields).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields do not disturb one another.
    #[test]
    fn fields_are_kept_apart() {
        let mut pattern = Pattern::default();
        for field in 0..MOST_FIELDS {
            pattern.set(field, Level::ALL[field % 6], false);
        }
        pattern.set(3, Level::Same, true);
        pattern.set_exchanged();
        pattern.clear(4);
        for field in 0..MOST_FIELDS {
            let want = match field {
                3 => Some(Level::Same),
                4 => None,
                _ => Some(Level::ALL[field % 6]),
            };
            assert_eq!(pattern.level(field), want);
        }
        assert!(pattern.is_exchanged());
        assert!(pattern.is_identical(3) && !pattern.is_identical(5));
    }
}
