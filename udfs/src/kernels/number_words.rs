//! Numbers spelt out in English: `twenty three`, `1.5 million`, `3k`, `two thirds`, `ten percent`.
//!
//! Cardinals are read as they are said, from the largest scale down; a fraction is what follows
//! the last `and`, or the whole. Values are exact fractions until they are written.

use std::fmt::Write as _;

use super::number::NumberFormat;
use super::number_notation::{is_minus, rewrite};

/// The longest text that is parsed, in bytes, and the maximum number of words: longer is prose.
const LONGEST: usize = 200;
const MOST_WORDS: usize = 24;

/// A number as an exact fraction with a positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fraction {
    over: i128,
    under: i128,
}

impl Fraction {
    fn whole(value: i128) -> Self {
        Self {
            over: value,
            under: 1,
        }
    }

    fn new(over: i128, under: i128) -> Option<Self> {
        if under == 0 {
            return None;
        }
        let (mut a, mut b) = (over.unsigned_abs(), under.unsigned_abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let divisor = i128::try_from(a.max(1)).ok()?;
        let sign = if under < 0 { -1 } else { 1 };
        Some(Self {
            over: over / divisor * sign,
            under: under / divisor * sign,
        })
    }

    fn plus(self, other: Self) -> Option<Self> {
        let left = self.over.checked_mul(other.under)?;
        let right = other.over.checked_mul(self.under)?;
        Self::new(
            left.checked_add(right)?,
            self.under.checked_mul(other.under)?,
        )
    }

    fn times(self, other: Self) -> Option<Self> {
        let over = self.over.checked_mul(other.over)?;
        Self::new(over, self.under.checked_mul(other.under)?)
    }

    fn divided_by(self, other: Self) -> Option<Self> {
        self.times(Self::new(other.under, other.over)?)
    }

    /// The value of a plain notation without an exponent.
    fn read(plain: &str) -> Option<Self> {
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        let negative = whole.starts_with('-');
        let mut value = whole.parse::<i128>().ok()?;
        for digit in fraction.bytes() {
            let digit = i128::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?);
            let digit = if negative { -digit } else { digit };
            value = value.checked_mul(10)?.checked_add(digit)?;
        }
        Self::new(value, power_of_ten(fraction.len())?)
    }

    /// Writes the number plainly: exactly where its decimals end, else as the nearest double.
    pub(super) fn write(self, out: &mut String) {
        let mut scaled = self;
        let mut decimals = 0_usize;
        while scaled.under != 1 && decimals < 18 {
            let Some(next) = scaled.times(Self::whole(10)) else {
                break;
            };
            scaled = next;
            decimals += 1;
        }
        // Writing to a String cannot fail.
        if scaled.under != 1 {
            let _ = write!(out, "{}", self.over as f64 / self.under as f64);
            return;
        }
        let digits = scaled.over.unsigned_abs().to_string();
        if scaled.over < 0 {
            out.push('-');
        }
        let whole = digits.len().saturating_sub(decimals);
        out.push_str(if whole == 0 { "0" } else { &digits[..whole] });
        if decimals > 0 {
            let fraction = &digits[whole..];
            let _ = write!(out, ".{fraction:0>decimals$}");
        }
    }
}

fn power_of_ten(power: usize) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(power).ok()?)
}

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Zero to nineteen.
    Unit(i128),
    /// Twenty, thirty … ninety.
    Ten(i128),
    /// A number in digits.
    Digits(Fraction),
    /// Hundred, dozen, and the powers of a thousand, with their value.
    Scale(i128),
    /// `half`, `thirds`, `twentieth`: what a fraction is divided by.
    Part(i128),
    A,
    And,
    Point,
    /// `one over three`.
    Over,
}

const DOZEN: i128 = 12;

/// Reads a number that is spelt out, in part or wholly; `None` if a word does not belong to one.
pub(super) fn read_words(text: &str, format: &NumberFormat) -> Option<Fraction> {
    if text.len() > LONGEST {
        return None;
    }
    let text = text.trim();
    let (text, percent) = strip_percent(text);
    let (text, negative) = strip_minus(text);
    let words = split_words(text, format)?;
    let mut value = match words.iter().position(|word| *word == Word::Over) {
        Some(at) => cardinal(&words[..at])?.divided_by(cardinal(&words[at + 1..])?)?,
        None => mixed(&words)?,
    };
    if percent {
        value = value.divided_by(Fraction::whole(100))?;
    }
    if negative {
        value = value.times(Fraction::whole(-1))?;
    }
    Some(value)
}

fn strip_percent(text: &str) -> (&str, bool) {
    for ending in ["percentage", "percents", "percent", "per cent", "pct", "%"] {
        if let Some(start) = text.len().checked_sub(ending.len())
            && text.is_char_boundary(start)
            && text[start..].eq_ignore_ascii_case(ending)
        {
            return (text[..start].trim_end(), true);
        }
    }
    (text, false)
}

fn strip_minus(text: &str) -> (&str, bool) {
    if let Some(rest) = text.strip_prefix(is_minus) {
        return (rest, true);
    }
    for word in ["minus ", "negative "] {
        if text
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
        {
            return (&text[word.len()..], true);
        }
    }
    (text, false)
}

/// The words of `text`; a number in digits may have its scale attached (`10k`).
fn split_words(text: &str, format: &NumberFormat) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    for token in text.split_whitespace() {
        if token.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            push_digits(token, format, &mut words)?;
        } else {
            for word in token.split(is_minus).filter(|word| !word.is_empty()) {
                words.push(read_word(word)?);
            }
        }
        if words.len() > MOST_WORDS {
            return None;
        }
    }
    (!words.is_empty()).then_some(words)
}

fn push_digits(token: &str, format: &NumberFormat, words: &mut Vec<Word>) -> Option<()> {
    let digits = |text: &str| Fraction::read(rewrite(text, format)?.as_str());
    if let Some((over, under)) = token.split_once('/') {
        let value = digits(over)?.divided_by(digits(under)?)?;
        words.push(Word::Digits(value));
        return Some(());
    }
    let end = token
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(token.len());
    words.push(Word::Digits(digits(&token[..end])?));
    let suffix = &token[end..];
    if !suffix.is_empty() {
        words.push(read_word(suffix)?);
    }
    Some(())
}

fn read_word(word: &str) -> Option<Word> {
    let mut lower = [0_u8; 16];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    let word = std::str::from_utf8(lower).ok()?.trim_end_matches(',');
    Some(match word {
        "and" => Word::And,
        "a" | "an" => Word::A,
        "point" => Word::Point,
        "over" => Word::Over,
        "hundred" | "hundreds" => Word::Scale(100),
        "dozen" | "dozens" | "dz" | "dzs" | "doz" | "dozs" => Word::Scale(DOZEN),
        "k" | "thousand" | "thousands" => Word::Scale(1_000),
        "m" | "mn" | "mio" | "million" | "millions" => Word::Scale(1_000_000),
        "b" | "bn" | "billion" | "billions" => Word::Scale(1_000_000_000),
        "t" | "tn" | "trillion" | "trillions" => Word::Scale(1_000_000_000_000),
        "half" | "halves" => Word::Part(2),
        "quarter" | "quarters" => Word::Part(4),
        _ => cardinal_word(word).or_else(|| ordinal_word(word))?,
    })
}

const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
/// Ordinals from the third on; the first two divide nothing.
const ORDINALS: [&str; 17] = [
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
];

fn cardinal_word(word: &str) -> Option<Word> {
    match word {
        "nought" | "naught" | "nil" => return Some(Word::Unit(0)),
        "fourty" => return Some(Word::Ten(40)),
        _ => {}
    }
    if let Some(value) = UNITS.iter().position(|unit| *unit == word) {
        return Some(Word::Unit(value as i128));
    }
    let ten = TENS.iter().position(|ten| *ten == word)?;
    Some(Word::Ten(ten as i128 * 10 + 20))
}

fn ordinal_word(word: &str) -> Option<Word> {
    let word = word.strip_suffix('s').unwrap_or(word);
    let part = match word {
        "hundredth" => 100,
        "thousandth" => 1_000,
        "millionth" => 1_000_000,
        "billionth" => 1_000_000_000,
        "trillionth" => 1_000_000_000_000,
        _ => match ORDINALS.iter().position(|ordinal| *ordinal == word) {
            Some(at) => at as i128 + 3,
            None => {
                let stem = word.strip_suffix("ieth")?;
                let ten = TENS
                    .iter()
                    .position(|ten| ten.strip_suffix('y') == Some(stem))?;
                ten as i128 * 10 + 20
            }
        },
    };
    Some(Word::Part(part))
}

/// A cardinal, a fraction, or a cardinal and a fraction.
fn mixed(words: &[Word]) -> Option<Fraction> {
    match words {
        // `half a dozen`, `quarter million`.
        [Word::Part(part @ (2 | 4)), rest @ ..]
            if matches!(rest.first(), Some(Word::A | Word::Scale(_))) =>
        {
            let one = Word::Digits(Fraction::new(1, *part)?);
            let scales = rest.strip_prefix(&[Word::A]).unwrap_or(rest);
            let all = std::iter::once(one).chain(scales.iter().copied());
            cardinal(&all.collect::<Vec<_>>())
        }
        // `two thirds`; `one hundred and three quarters` is a hundred and 3/4.
        [before @ .., Word::Part(part)] => {
            let (whole, counter) = match before.iter().rposition(|word| *word == Word::And) {
                Some(at) => (&before[..at], &before[at + 1..]),
                None => (&before[..0], before),
            };
            if is_unclear(whole, counter, *part) {
                return None;
            }
            let counted = match counter {
                [Word::A] => Fraction::whole(1),
                counter => cardinal(counter)?,
            };
            let fraction = counted.divided_by(Fraction::whole(*part))?;
            if whole.is_empty() {
                Some(fraction)
            } else {
                cardinal(whole)?.plus(fraction)
            }
        }
        // `2 1/4`.
        [Word::Digits(whole), Word::Digits(part)] if whole.under == 1 && part.under > 1 => {
            (part.over < part.under).then(|| whole.plus(*part))?
        }
        _ => cardinal(words),
    }
}

/// Whether a fraction can be heard in two ways: `one hundred and thirty fifths` is 26 or 106, and
/// `one hundred thirty fifths` 26 or a hundred thirty-fifths.
fn is_unclear(whole: &[Word], counter: &[Word], part: i128) -> bool {
    let is_ten = |word: &Word| matches!(word, Word::Ten(_));
    let joined = matches!(whole.last(), Some(Word::Scale(_))) && counter.iter().any(is_ten);
    joined || (counter.len() > 1 && part < 10 && counter.last().is_some_and(is_ten))
}

/// Reads a cardinal: groups below a thousand, each times its scale, from the largest down.
fn cardinal(words: &[Word]) -> Option<Fraction> {
    let mut total = Fraction::whole(0);
    let mut group: Option<Fraction> = None;
    let mut last: Option<Word> = None;
    let mut least_scale = i128::MAX;
    let mut at = 0;
    while let Some(&word) = words.get(at) {
        match word {
            Word::A if last.is_none() && words.len() > 1 => group = Some(Fraction::whole(1)),
            // `and` joins: something must stand on both sides of it.
            Word::And if last.is_some() && last != Some(Word::And) && at + 1 < words.len() => {}
            Word::Unit(_) | Word::Ten(_) | Word::Digits(_) => {
                group = Some(joined(group, last, word)?);
            }
            Word::Point => {
                let (fraction, read) = decimals(&words[at + 1..])?;
                group = Some(group.unwrap_or(Fraction::whole(0)).plus(fraction)?);
                at += read;
            }
            // `three hundred and two dozens` is 324, but 3624 to who reads word by word.
            Word::Scale(DOZEN) if words[..at].contains(&Word::And) => return None,
            Word::Scale(100) => group = Some(group?.times(Fraction::whole(100))?),
            Word::Scale(scale) => {
                // A larger scale behind a smaller one counts all before it: `hundred thousand million`.
                let counted = group.or((total.over != 0).then(|| Fraction::whole(0)))?;
                let factor = Fraction::whole(scale);
                total = if scale < least_scale {
                    total.plus(counted.times(factor)?)?
                } else {
                    total.plus(counted)?.times(factor)?
                };
                least_scale = scale;
                group = None;
            }
            _ => return None,
        }
        last = Some(word);
        at += 1;
    }
    last?;
    match group {
        Some(group) => total.plus(group),
        None => Some(total),
    }
}

/// `word` behind what was read of its group: units follow tens, and anything follows a scale.
fn joined(group: Option<Fraction>, last: Option<Word>, word: Word) -> Option<Fraction> {
    let (value, below_ten) = match word {
        Word::Unit(value) => (Fraction::whole(value), (1..=9).contains(&value)),
        Word::Ten(value) => (Fraction::whole(value), false),
        Word::Digits(value) => (value, false),
        _ => return None,
    };
    let Some(group) = group else {
        return Some(value);
    };
    let follows = match last {
        Some(Word::Scale(_)) | Some(Word::And) => true,
        Some(Word::Ten(_)) => below_ten,
        _ => false,
    };
    follows.then(|| group.plus(value))?
}

/// The digits said behind `point`, and how many words they are.
fn decimals(words: &[Word]) -> Option<(Fraction, usize)> {
    let mut digits = String::from("0.");
    let mut read = 0;
    for word in words {
        match word {
            Word::Unit(value) | Word::Ten(value) => {
                // `seventy-one`: the one takes the place of the zero.
                if *value > 0 && *value < 10 && read > 0 && matches!(words[read - 1], Word::Ten(_))
                {
                    digits.pop();
                }
                let _ = write!(digits, "{value}");
            }
            Word::Digits(value) if value.under == 1 => {
                let _ = write!(digits, "{}", value.over);
            }
            _ => break,
        }
        read += 1;
    }
    if read == 0 {
        return None;
    }
    Some((Fraction::read(&digits)?, read))
}
