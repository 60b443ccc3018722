//! Repairs UTF-8 that was read as Latin-1 or Windows-1252, once or several times.
//!
//! Text that came out of such a reading consists, wherever it is not ASCII, of whole UTF-8
//! sequences written as single characters. Real text practically never does: "São" fails at its
//! first letter. So a cell is repaired only when every non-ASCII character of it fits a sequence,
//! which is the strict end of the method of ftfy (Speer, 2019).

use super::cell::{CellKernel, Verdict};

/// How often a text may have been misread; data seen in the wild is misread twice at most.
const MOST_LAYERS: usize = 3;

/// Repairs a cell that is mojibake throughout; others are as they should be.
#[derive(Debug, Clone, Copy, Default)]
pub struct FixMojibake;

impl CellKernel for FixMojibake {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        match repair(cell) {
            Some(repaired) => {
                out.push_str(&repaired);
                Verdict::Changed(1.0)
            }
            None => Verdict::Same,
        }
    }
}

/// Returns the text behind the mojibake, or `None` when `text` is not mojibake throughout.
pub(crate) fn repair(text: &str) -> Option<String> {
    let mut best = decode_once(text)?;
    for _ in 1..MOST_LAYERS {
        match decode_once(&best) {
            Some(deeper) => best = deeper,
            None => break,
        }
    }
    // A control character where there was a visible one is no improvement. Between two layers it
    // is only what Latin-1 makes of the next one.
    let is_worse = best.chars().any(|c| ('\u{80}'..='\u{9f}').contains(&c));
    (!is_worse).then_some(best)
}

/// Undoes one reading: characters back to bytes, bytes as UTF-8.
fn decode_once(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> = text.chars().map(byte_of).collect();
    String::from_utf8(bytes?).ok()
}

/// The byte that Windows-1252 (and Latin-1, for the five bytes Windows-1252 leaves open) shows as `c`.
fn byte_of(c: char) -> Option<u8> {
    Some(match c {
        '\u{20AC}' => 0x80,
        '\u{201A}' => 0x82,
        '\u{0192}' => 0x83,
        '\u{201E}' => 0x84,
        '\u{2026}' => 0x85,
        '\u{2020}' => 0x86,
        '\u{2021}' => 0x87,
        '\u{02C6}' => 0x88,
        '\u{2030}' => 0x89,
        '\u{0160}' => 0x8A,
        '\u{2039}' => 0x8B,
        '\u{0152}' => 0x8C,
        '\u{017D}' => 0x8E,
        '\u{2018}' => 0x91,
        '\u{2019}' => 0x92,
        '\u{201C}' => 0x93,
        '\u{201D}' => 0x94,
        '\u{2022}' => 0x95,
        '\u{2013}' => 0x96,
        '\u{2014}' => 0x97,
        '\u{02DC}' => 0x98,
        '\u{2122}' => 0x99,
        '\u{0161}' => 0x9A,
        '\u{203A}' => 0x9B,
        '\u{0153}' => 0x9C,
        '\u{017E}' => 0x9E,
        '\u{0178}' => 0x9F,
        c => u8::try_from(u32::from(c)).ok()?,
    })
}
