//! Mutations of inputs: of bytes, of what stands for something in each format, and of what lies inside archives.

use std::io::Read;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::seeds::{PARTS, gzipped, workbook};
use super::{MOST_BYTES, Target};

/// Numbers at the edges of their kinds, as they are written.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "1e308",
    "2147483647",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "1048576",
    "NaN",
    "0.0000001",
];

/// Makes inputs out of others.
#[derive(Debug)]
pub struct Mutator {
    random: StdRng,
}

impl Mutator {
    /// A mutator that makes the same inputs of the same seeds again.
    pub fn new(random: StdRng) -> Self {
        Self { random }
    }

    /// An input of a parser, out of one of those that are known.
    pub fn next(&mut self, target: Target, known: &[Vec<u8>]) -> Vec<u8> {
        let seed = known.choose(&mut self.random).cloned().unwrap_or_default();
        let inside = self.random.random_bool(0.7);
        let mut input = match target {
            Target::Excel if inside => self.workbook(),
            Target::Packed if inside => self.packed(&seed),
            _ => self.mutated(seed, known, words(target)),
        };
        input.truncate(MOST_BYTES);
        input
    }

    /// A workbook of which some parts were changed.
    fn workbook(&mut self) -> Vec<u8> {
        let parts = PARTS.iter().map(|(name, text)| {
            let text = text.as_bytes().to_vec();
            let changed = name.ends_with("sheet1.xml") || name.ends_with("sharedStrings.xml");
            match self.random.random_bool(if changed { 0.6 } else { 0.05 }) {
                true => (
                    (*name).to_owned(),
                    self.mutated(text, &[], words(Target::Excel)),
                ),
                false => ((*name).to_owned(), text),
            }
        });
        let parts: Vec<(String, Vec<u8>)> = parts.collect();
        workbook(&parts).unwrap_or_default()
    }

    /// A text that was changed before it was compressed.
    fn packed(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let unpacked = flate2::read::GzDecoder::new(seed)
            .take(MOST_BYTES as u64)
            .read_to_end(&mut text);
        if unpacked.is_err() {
            return seed.to_vec();
        }
        let text = self.mutated(text, &[], words(Target::Csv));
        gzipped(&text).unwrap_or_default()
    }

    /// Some mutations, one after the other.
    fn mutated(&mut self, mut input: Vec<u8>, known: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
        for _ in 0..self.random.random_range(1..6) {
            self.mutate(&mut input, known, words);
            input.truncate(8 * MOST_BYTES);
        }
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>, known: &[Vec<u8>], words: &[&str]) {
        let random = &mut self.random;
        let len = input.len();
        let at = random.random_range(0..=len);
        let to = random.random_range(at..=len.min(at + 200));
        match random.random_range(0..10) {
            0 if at < len => input[at] ^= 1 << random.random_range(0..8),
            1 if at < len => input[at] = random.random(),
            2 => drop(input.drain(at..to)),
            3 => {
                let number = NUMBERS[random.random_range(0..NUMBERS.len())];
                let digits = |byte: &u8| byte.is_ascii_digit();
                let from = input[at..]
                    .iter()
                    .position(digits)
                    .map_or(at, |found| at + found);
                let until = input[from..].iter().position(|byte| !digits(byte));
                let until = until.map_or(len, |found| from + found);
                drop(input.splice(from..until, number.bytes()));
            }
            4 => {
                // Much of the same: what is quadratic shows.
                let part: Vec<u8> = input[at..to].to_vec();
                let times = 1_usize << random.random_range(0..18_u32);
                let times = times.min(MOST_BYTES / part.len().max(1));
                drop(input.splice(at..at, part.repeat(times)));
            }
            5 => {
                let word = words.choose(random).copied().unwrap_or_default();
                let times = 1_usize << random.random_range(0..16_u32);
                let times = times.min(MOST_BYTES / word.len().max(1));
                drop(input.splice(at..at, word.repeat(times).bytes()));
            }
            6 => {
                let word = words.choose(random).copied().unwrap_or_default();
                drop(input.splice(at..to, word.bytes()));
            }
            7 => {
                if let Some(other) = known.choose(random) {
                    let from = random.random_range(0..=other.len());
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
            }
            8 => input.truncate(at),
            _ => {
                let number = random.random::<u64>().to_le_bytes();
                let count = random.random_range(1..=8).min(len - at);
                let bytes = match random.random_bool(0.5) {
                    true => [0xff; 8],
                    false => number,
                };
                input[at..at + count].copy_from_slice(&bytes[..count]);
            }
        }
    }
}

/// What stands for something in a format.
fn words(target: Target) -> &'static [&'static str] {
    match target {
        Target::Spec => &[
            "[",
            "{",
            "&a ",
            "*a",
            "- ",
            "? ",
            "\n  ",
            ": ",
            "|\n ",
            "\"",
            "'",
            "{\"a\":",
            "<<: *a\n",
            "!!binary ",
            "regex: '(a*)*'",
            "expression: 'NOT '",
            "%YAML 1.2\n---\n",
            "\u{85}",
        ],
        Target::Sql => &[
            "(",
            "SELECT ",
            " UNION ALL SELECT 1",
            " + 1",
            "NOT ",
            "- ",
            "CASE WHEN ",
            "[",
            "'",
            "\"",
            "/*",
            "--",
            "$$",
            ", 1",
            " JOIN t ON 1=1",
            "CAST(",
            " AND 1=1",
            "sanitize(",
            "{",
            "repeat('x', 1000000000)",
            " IN (1,2)",
            "generate_series(1, 1000000000)",
            ".a",
            "::INT",
        ],
        Target::Ticket => &[
            "\n",
            "\u{12}",
            "\u{1a}",
            "\u{7f}",
            "\0",
            "type.googleapis.com/arrow.flight.protocol.sql.",
            "CommandStatementQuery",
            "CommandStatementIngest",
            "CommandPreparedStatementUpdate",
            "CommandGetDbSchemas",
            "CommandGetExportedKeys",
            "TicketStatementQuery",
            "ActionCreatePreparedStatementRequest",
            "%",
            "_",
            "\u{10ffff}",
        ],
        Target::Csv | Target::Packed => &[
            ",", ";", "\t", "\"", "\"\"", "\n", "\r", "\r\n", "\u{feff}", "\0", "\u{1e}", "\u{1f}",
            "#", "\\", "x,",
        ],
        Target::Json => &[
            "[", "{", "{\"a\":", "\"", "\\u", "\\", "1e", ",", "\n", "null", "]", "}", "[[",
            "\"a\":1,", "-",
        ],
        Target::Parquet => &["PAR1", "\0", "\u{7f}", "\x15\x04", "\x19\x7c", "\x1c"],
        Target::Excel => &[
            "<c r=\"XFD1048576\"><v>1</v></c>",
            "<row r=\"1048576\">",
            "<si/>",
            "<si><t>x</t></si>",
            "<c/>",
            "<v>",
            "&amp;",
            "&#x10ffff;",
            "<!--",
            "]]>",
            "<![CDATA[",
            "t=\"s\"",
            "<v>999999999</v>",
            "uniqueCount=\"40000000000000\" ",
            "r=\"ZZZZZZZZ99999999999\" ",
            "<is><t>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]>",
            "<mergeCell ref=\"A1:XFD1048576\"/>",
            "A1:XFD1048576",
        ],
    }
}
