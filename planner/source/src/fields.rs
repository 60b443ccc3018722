//! Finding delimiters and line ends, eight bytes at a time, and making string views of fields.
//!
//! The search is SWAR (SIMD within a register): Mycroft's test for a zero byte, in the form that
//! is exact for every byte (Warren, *Hacker's Delight*, 2nd ed., section 6-1).

use super::blocks::PADDING;

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const ONES: u64 = 0x0101_0101_0101_0101;

/// Bit 7 of each byte that equals the pattern's.
#[inline(always)]
fn equal_bytes(word: u64, pattern: u64) -> u64 {
    let difference = word ^ pattern;
    !(((difference & LOW) + LOW) | difference | LOW)
}

/// Iterates over the delimiters and terminators of a padded text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    delimiters: u64,
    terminators: u64,
    base: usize,
    mask: u64,
}

impl Marks {
    pub fn new(delimiter: u8, terminator: u8) -> Self {
        Self {
            delimiters: ONES * u64::from(delimiter),
            terminators: ONES * u64::from(terminator),
            base: 0,
            mask: 0,
        }
    }

    #[inline(always)]
    fn load(&self, text: &[u8], base: usize) -> u64 {
        match text.get(base..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(bytes) => {
                let word = u64::from_le_bytes(*bytes);
                equal_bytes(word, self.delimiters) | equal_bytes(word, self.terminators)
            }
            None => 0,
        }
    }

    /// Moves to `position`.
    #[inline]
    pub fn seek(&mut self, text: &[u8], position: usize) {
        self.base = position;
        self.mask = self.load(text, position);
    }

    /// Returns the next delimiter or terminator below `len`, else `len`; `text` is `len` bytes and padding.
    #[inline(always)]
    pub fn next(&mut self, text: &[u8], len: usize) -> usize {
        while self.mask == 0 {
            self.base += 8;
            if self.base >= len {
                self.base = len;
                return len;
            }
            self.mask = self.load(text, self.base);
        }
        let found = self.base + (self.mask.trailing_zeros() >> 3) as usize;
        self.mask &= self.mask - 1;
        found.min(len)
    }
}

/// Returns where a quoted field whose content begins at `start` closes, in the simple case: nothing in it is doubled,
/// escaped, or a line end, and more than a word of text follows.
#[inline(always)]
pub(super) fn plain_close(
    text: &[u8],
    start: usize,
    quote: u8,
    escape: Option<u8>,
    terminator: u8,
) -> Option<usize> {
    let quotes = ONES * u64::from(quote);
    let escapes = ONES * u64::from(escape.unwrap_or(quote));
    let terminators = ONES * u64::from(terminator);
    let mut base = start;
    loop {
        let bytes = text.get(base..)?.first_chunk::<8>()?;
        let word = u64::from_le_bytes(*bytes);
        let mask =
            equal_bytes(word, quotes) | equal_bytes(word, escapes) | equal_bytes(word, terminators);
        if mask != 0 {
            let found = base + (mask.trailing_zeros() >> 3) as usize;
            let closes = *text.get(found)? == quote && *text.get(found + 1)? != quote;
            return closes.then_some(found);
        }
        base += 8;
    }
}

/// Masks for 16 loaded bytes, by the length of the string.
const INLINE: [u128; 13] = {
    let mut masks = [0; 13];
    let mut len = 1;
    while len < 13 {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

/// Returns the string view (Arrow columnar format, "variable-size binary view layout") of `text[start..end]`, where
/// `text` is padded and is buffer number `buffer`.
#[inline(always)]
pub(super) fn view(text: &[u8], start: usize, end: usize, buffer: u32) -> u128 {
    const { assert!(PADDING >= 16) };
    let len = end - start;
    let Some(bytes) = text.get(start..).and_then(|rest| rest.first_chunk::<16>()) else {
        return arrow::array::builder::make_view(&text[start..end], buffer, start as u32);
    };
    let bytes = u128::from_le_bytes(*bytes);
    match INLINE.get(len) {
        Some(mask) => len as u128 | (bytes & mask) << 32,
        None => {
            len as u128
                | u128::from(bytes as u32) << 32
                | u128::from(buffer) << 64
                | (start as u128) << 96
        }
    }
}
