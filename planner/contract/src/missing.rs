//! Which cell texts mean "no value".

/// Texts that mean "no value" where the contract names none.
const DEFAULT: [&str; 14] = [
    "", "N/A", "n/a", "NA", "#N/A", "<NA>", "NULL", "null", "Null", "NaN", "nan", "None", "-", "--",
];

/// Returns the texts that mean "no value" where the contract names none.
pub fn default_missing_values() -> Vec<String> {
    DEFAULT.iter().map(|text| (*text).to_owned()).collect()
}

/// A set of texts that mean "no value". Cells are compared after trimming, case and all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingValues {
    values: Vec<Box<str>>,
    /// Bit `n`: some value has `n` bytes (the last bit: 63 or more).
    lengths: u64,
    /// Bit `b`: some value begins with byte `b`.
    first_bytes: [u64; 4],
    /// Bit `b`: a cell that begins with byte `b` may be one of them, trimmed or not.
    candidates: [u64; 4],
}

impl Default for MissingValues {
    fn default() -> Self {
        Self::new(&DEFAULT)
    }
}

impl MissingValues {
    /// Creates the set of these texts, after trimming them.
    pub fn new<T: AsRef<str>>(values: &[T]) -> Self {
        let mut set = Self {
            values: Vec::with_capacity(values.len()),
            lengths: 0,
            first_bytes: [0; 4],
            candidates: [0; 4],
        };
        for value in values {
            let value = value.as_ref().trim();
            if set.values.iter().any(|known| **known == *value) {
                continue;
            }
            set.lengths |= length_bit(value.len());
            if let Some(first) = value.as_bytes().first() {
                set.first_bytes[usize::from(first >> 6)] |= 1 << (first & 63);
            }
            set.values.push(value.into());
        }
        set.candidates = set.first_bytes;
        // White space of any kind begins with one of these bytes.
        for byte in (0..=b' ').chain(0x7F..=0xFF) {
            set.candidates[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        set
    }

    /// Returns whether a cell means "no value".
    #[inline]
    pub fn is_missing(&self, cell: &str) -> bool {
        self.position(trim(cell)).is_some()
    }

    /// Returns whether a cell that begins with this byte may mean "no value".
    #[inline]
    pub fn may_begin_with(&self, byte: u8) -> bool {
        self.candidates[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    /// Returns the texts, trimmed, in the given order.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(AsRef::as_ref)
    }

    /// Returns the index of the text that a trimmed cell equals.
    #[inline]
    pub fn position(&self, trimmed: &str) -> Option<usize> {
        // Nearly all cells end here: no value has their length, or none their first byte.
        if self.lengths & length_bit(trimmed.len()) == 0 {
            return None;
        }
        if let Some(first) = trimmed.as_bytes().first()
            && self.first_bytes[usize::from(first >> 6)] & (1 << (first & 63)) == 0
        {
            return None;
        }
        self.values.iter().position(|value| **value == *trimmed)
    }
}

#[inline]
fn length_bit(bytes: usize) -> u64 {
    1 << bytes.min(63)
}

/// `cell.trim()` with a fast path: visible ASCII at both ends needs no trimming.
#[inline]
pub fn trim(cell: &str) -> &str {
    let visible = |byte: Option<&u8>| byte.is_some_and(|byte| (0x21..0x7f).contains(byte));
    let bytes = cell.as_bytes();
    if visible(bytes.first()) && visible(bytes.last()) {
        cell
    } else {
        cell.trim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_spellings_and_nothing_like_them() {
        let missing = MissingValues::default();
        for cell in [
            "", "  ", "\u{a0}", "N/A", " n/a\t", "NULL", "Null", "NaN", "-", " -- ", "<NA>",
        ] {
            assert!(missing.is_missing(cell), "{cell:?}");
        }
        for cell in [
            "0", "nUll", "NAN", "none", "---", "Nancy", "N / A", "é", "🙂", "a -",
        ] {
            assert!(!missing.is_missing(cell), "{cell:?}");
        }
    }

    #[test]
    fn own_spellings_replace_the_default_ones() {
        let missing = MissingValues::new(&[" unbekannt ", "ü", &"x".repeat(100)]);
        assert!(missing.is_missing("unbekannt") && missing.is_missing("ü"));
        assert!(missing.is_missing(&"x".repeat(100)) && !missing.is_missing(&"x".repeat(99)));
        assert!(!missing.is_missing("") && !missing.is_missing("NULL"));
        assert!(!MissingValues::new::<&str>(&[]).is_missing(""));
    }

    proptest! {
        /// The filters never change the result of a plain search.
        #[test]
        fn the_gates_change_nothing(values in prop::collection::vec("[ a-cü]{0,3}", 0..6), cell in "[ a-cü]{0,4}") {
            let plain = values.iter().any(|value| value.trim() == cell.trim());
            let missing = MissingValues::new(&values);
            prop_assert_eq!(missing.is_missing(&cell), plain);
            prop_assert!(!plain || cell.bytes().next().is_none_or(|byte| missing.may_begin_with(byte)));
        }
    }
}
