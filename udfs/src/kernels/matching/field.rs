//! A field of records: what of a column is compared, and how frequent its values are.

use std::borrow::Cow;
use std::cell::OnceCell;

use foldhash::HashMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::sketch::Sketch;
use super::value::date;

/// Part of what is stored: another seed is another hash of everything.
const SEED: u64 = 0x4649_454C_4431_0001;

/// Characters of a value that are compared, and words: what is longer is no name of anything.
const MOST_LETTERS: usize = 1_000;
const MOST_WORDS: usize = 100;

/// What a field takes of its column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The words of a value that mixes words and numbers, such as an address.
    Words,
    /// The numbers of such a value: one digit makes it another house.
    Numbers,
}

/// How the values of a field are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Names and other texts.
    Text,
    /// Identifying numbers, compared digit by digit.
    Digits,
    /// Quantities.
    Quantity,
    /// Dates.
    Date,
    /// Values of which only a sketch is known.
    Sketch,
}

impl Kind {
    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Digits => "digits",
            Self::Quantity => "quantity",
            Self::Date => "date",
            Self::Sketch => "sketch",
        }
    }
}

/// A field, with what is known of its values.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) column: usize,
    pub(super) part: Part,
    pub(super) kind: Kind,
    /// How often each value that repeats occurs in the sample.
    pub(super) counts: HashMap<u64, u32>,
    /// Rows of the sample that hold a value.
    pub(super) present: u32,
    /// What each word that repeats weighs, and what any other does: the more the rarer it is.
    words: HashMap<u64, f64>,
    other_word: f64,
}

/// A value, ready to be compared.
#[derive(Debug, Clone)]
pub(super) struct Value<'a> {
    pub(super) id: u64,
    /// Without blanks; of a long value its beginning.
    pub(super) compact: Cow<'a, str>,
    /// Characters of it.
    pub(super) length: usize,
    /// Whether the value was truncated.
    pub(super) is_cut: bool,
    /// The words that the field takes of the value, once they are asked for.
    tokens: OnceCell<Vec<Token<'a>>>,
    text: &'a str,
    pub(super) date: Option<(i32, i32, i32)>,
    pub(super) quantity: Option<f64>,
    pub(super) sketch: Option<Sketch>,
    /// How often the value occurs in the sample.
    pub(super) count: u32,
}

/// A word of a value.
#[derive(Debug, Clone)]
pub(super) struct Token<'a> {
    pub(super) id: u64,
    pub(super) text: &'a str,
    /// Its characters.
    pub(super) length: usize,
    /// The letters that occur in it, as bits.
    pub(super) letters: u64,
    pub(super) weight: f64,
    pub(super) is_number: bool,
    pub(super) short: bool,
}

/// Returns the hash of a value or a word.
pub(super) fn identity(text: &str) -> u64 {
    xxh3_64_with_seed(text.as_bytes(), SEED)
}

/// Returns the letters that occur in a word: a bit each, some shared.
fn letters(word: &str) -> u64 {
    word.chars()
        .fold(0, |letters, letter| letters | 1 << (u32::from(letter) % 64))
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_figure(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b','))
}

/// Returns whether a column's values mix words and numbers, so that these are compared by themselves.
pub(super) fn is_mixed<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    let (mut mixed, mut all) = (0usize, 0usize);
    for value in values {
        let word = |word: &str| word.len() > 1 && !word.bytes().any(|byte| byte.is_ascii_digit());
        let numbers = value.split(' ').any(is_number);
        mixed += usize::from(numbers && value.split(' ').any(word));
        all += 1;
    }
    all > 0 && mixed * 10 >= all * 3
}

impl Part {
    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Words => "words",
            Self::Numbers => "numbers",
        }
    }

    fn takes(self, word: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Words => !is_number(word),
            Self::Numbers => is_number(word),
        }
    }

    /// Returns what the part takes of a value; none where nothing is left.
    pub(super) fn of(self, value: &str) -> Option<Cow<'_, str>> {
        if self == Self::Whole {
            return Some(Cow::Borrowed(value));
        }
        let mut text = String::with_capacity(value.len());
        for word in value.split(' ').filter(|word| self.takes(word)) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        (!text.is_empty()).then_some(Cow::Owned(text))
    }
}

impl Field {
    /// Returns the field of a column, from the column's values in a sample of rows.
    pub(super) fn learn<'a>(
        column: usize,
        part: Part,
        values: impl Iterator<Item = Option<&'a str>>,
    ) -> Self {
        let mut counts: HashMap<u64, u32> = HashMap::default();
        let mut words: HashMap<u64, u32> = HashMap::default();
        let mut present = 0u32;
        let (mut digits, mut dates, mut fractions) = (0u32, 0u32, 0u32);
        let mut sketches = 0u32;
        for value in values.flatten().filter_map(|value| part.of(value)) {
            present += 1;
            *counts.entry(identity(&value)).or_default() += 1;
            let mut ids: Vec<u64> = value.split(' ').map(identity).collect();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                *words.entry(id).or_default() += 1;
            }
            let figures = value.split(' ').all(is_figure);
            digits += u32::from(figures);
            fractions += u32::from(figures && value.contains('.'));
            dates += u32::from(date(&value).is_some());
            sketches += u32::from(Sketch::is_sketch(&value));
        }
        let most = |part: u32| present > 0 && part * 10 >= present * 9;
        let kind = if sketches > 0 {
            Kind::Sketch
        } else if most(dates) {
            Kind::Date
        } else if most(digits) && fractions * 10 >= present {
            Kind::Quantity
        } else if most(digits) {
            Kind::Digits
        } else {
            Kind::Text
        };
        counts.retain(|_, count| *count > 1);
        let weight = |rows: u32| {
            ((f64::from(present) + 1.0) / f64::from(rows))
                .ln()
                .max(0.01)
        };
        let repeated = words.into_iter().filter(|(_, rows)| *rows > 1);
        let words = repeated.map(|(word, rows)| (word, weight(rows))).collect();
        Self {
            column,
            part,
            kind,
            counts,
            present,
            words,
            other_word: weight(1),
        }
    }

    /// Returns a column's value, ready to be compared; none where the field has none of it.
    pub(super) fn prepare<'a>(&self, text: &'a str) -> Option<Value<'a>> {
        let value = self.part.of(text)?;
        let id = identity(&value);
        let count = self.counts.get(&id).copied().unwrap_or(1);
        if self.kind == Kind::Sketch {
            return Some(Value {
                id,
                length: 0,
                is_cut: true,
                tokens: OnceCell::new(),
                text,
                date: None,
                quantity: None,
                sketch: Sketch::from_text(text),
                count,
                compact: value,
            });
        }
        let long = value.char_indices().nth(MOST_LETTERS);
        let compact = match long {
            Some((end, _)) => Cow::Owned(value[..end].split(' ').collect()),
            None if value.contains(' ') => Cow::Owned(value.split(' ').collect()),
            None => value.clone(),
        };
        Some(Value {
            id,
            length: compact.chars().count(),
            is_cut: long.is_some(),
            tokens: OnceCell::new(),
            text,
            date: (self.kind == Kind::Date).then(|| date(&value)).flatten(),
            quantity: (self.kind == Kind::Quantity)
                .then(|| compact.parse().ok())
                .flatten(),
            sketch: None,
            count,
            compact,
        })
    }

    /// Returns the words of a value, with weights whose squares add up to 1.
    pub(super) fn tokens<'v, 'a>(&self, value: &'v Value<'a>) -> &'v [Token<'a>] {
        value.tokens.get_or_init(|| self.words_of(value.text))
    }

    fn words_of<'a>(&self, text: &'a str) -> Vec<Token<'a>> {
        let mut tokens: Vec<Token<'_>> = Vec::new();
        let words = text.split(' ').filter(|word| self.part.takes(word));
        for word in words.take(MOST_WORDS) {
            let id = identity(word);
            if tokens.iter().any(|token| token.id == id) {
                continue;
            }
            tokens.push(Token {
                id,
                text: word,
                length: word.chars().count(),
                letters: letters(word),
                weight: self.words.get(&id).copied().unwrap_or(self.other_word),
                is_number: is_number(word),
                short: word.len() < 3,
            });
        }
        let norm: f64 = tokens.iter().map(|token| token.weight.powi(2)).sum();
        for token in &mut tokens {
            token.weight /= norm.sqrt();
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn field(part: Part, values: &[&str]) -> Field {
        Field::learn(0, part, values.iter().map(|value| Some(*value)))
    }

    /// The kind follows from the values.
    #[test]
    fn kinds() {
        let cases: [(&[&str], Kind); 4] = [
            (&["ann", "bob 2", "7"], Kind::Text),
            (&["12", "555 0100", "7"], Kind::Digits),
            (&["1.5", "2", "10.25"], Kind::Quantity),
            (&["1971 06 24", "20010101"], Kind::Date),
        ];
        for (values, want) in cases {
            assert_eq!(field(Part::Whole, values).kind, want, "{values:?}");
        }
    }

    /// Addresses are mixed, names and numbers are not; each part takes its own.
    #[test]
    fn parts() {
        let addresses = ["12 main st", "7 elm rd", "market square"];
        assert!(is_mixed(addresses.into_iter()));
        assert!(!is_mixed(["ann", "57th st", "7"].into_iter()));
        assert_eq!(Part::Words.of(addresses[0]).as_deref(), Some("main st"));
        assert_eq!(Part::Numbers.of(addresses[0]).as_deref(), Some("12"));
        assert_eq!(Part::Numbers.of(addresses[2]), None);
    }

    /// What is compared of a value has an end, whatever its length.
    #[test]
    fn long_values() {
        let field = field(Part::Whole, &["one", "two"]);
        let long = "ab ".repeat(100_000);
        let value = field.prepare(long.trim_end()).unwrap();
        assert!(value.is_cut && value.length <= MOST_LETTERS);
        assert_eq!(field.tokens(&value).len(), 1);
        let many: Vec<String> = (0..5_000).map(|word| format!("w{word}")).collect();
        let many = many.join(" ");
        assert_eq!(
            field.tokens(&field.prepare(&many).unwrap()).len(),
            MOST_WORDS
        );
        assert!(!field.prepare("short").unwrap().is_cut);
    }

    /// Rare words weigh more; the weights are those of a unit vector.
    #[test]
    fn weights() {
        let field = field(Part::Whole, &["blue cafe", "red cafe", "green cafe"]);
        let value = field.prepare("blue cafe").unwrap();
        let tokens = field.tokens(&value);
        assert!(tokens[0].weight > 2.0 * tokens[1].weight);
        let norm: f64 = tokens.iter().map(|token| token.weight.powi(2)).sum();
        assert!((norm - 1.0).abs() < 1e-12);
    }
}
