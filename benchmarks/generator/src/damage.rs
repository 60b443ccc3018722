//! What is lost or misspelt for good: the same in every repetition of a customer.

use crate::customer::Customer;
use crate::random::{Purpose, Random};

/// How a missing value is written; the standard job declares these spellings.
pub const MISSING_VALUES: [&str; 4] = ["", "N/A", "null", "-"];

/// Ages that nobody has.
const IMPOSSIBLE_AGES: &[&str] = &["999", "-1", "150", "200", "130", "-5", "1985"];
/// Dates that do not exist.
const IMPOSSIBLE_DATES: &[&str] = &[
    "2021-02-30",
    "13/45/2020",
    "31.04.2019",
    "2020-00-10",
    "soon",
];
/// Numbers that ring nowhere in the United States: too short, too long or with an area code out of service.
const IMPOSSIBLE_PHONES: &[&str] = &[
    "000-000-0000",
    "555-12",
    "(999) 555-0143",
    "+1 199 555 0123",
    "unknown",
    "call me",
    "12345678901234",
];

/// The letter case of a text that lost its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LetterCase {
    Kept,
    Upper,
    Lower,
}

/// How an income is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IncomeNotation {
    Plain,
    Thousands,
    Currency,
}

/// The damage of one customer: for each value either what stands in its place, or nothing.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    pub(crate) name: Option<&'static str>,
    pub(crate) name_case: LetterCase,
    pub(crate) email: Option<&'static str>,
    pub(crate) email_without_at: bool,
    pub(crate) email_case: LetterCase,
    pub(crate) phone: Option<&'static str>,
    pub(crate) address: Option<&'static str>,
    pub(crate) status: String,
    pub(crate) signup_date: Option<&'static str>,
    pub(crate) age: Option<&'static str>,
    pub(crate) income: Option<&'static str>,
    pub(crate) income_notation: IncomeNotation,
}

impl Damage {
    /// The damage done to the customer whose first row is `row`.
    pub(crate) fn of_row(seed: u64, row: u64, customer: &Customer) -> Self {
        let mut random = Random::for_row(seed, row, Purpose::Damage);
        let random = &mut random;
        Self {
            name: missing(random, 3),
            name_case: letter_case(random, 60),
            email: missing(random, 10),
            email_without_at: random.chance(5),
            email_case: letter_case(random, 40),
            phone: missing(random, 10).or_else(|| one_of(random, 20, IMPOSSIBLE_PHONES)),
            address: missing(random, 3),
            status: misspelt(random, customer.status),
            signup_date: missing(random, 5).or_else(|| one_of(random, 3, IMPOSSIBLE_DATES)),
            age: missing(random, 40).or_else(|| one_of(random, 15, IMPOSSIBLE_AGES)),
            income: missing(random, 50),
            income_notation: match random.below(100) {
                0..12 => IncomeNotation::Thousands,
                12..22 => IncomeNotation::Currency,
                _ => IncomeNotation::Plain,
            },
        }
    }
}

fn one_of(random: &mut Random, per_mille: u64, choices: &[&'static str]) -> Option<&'static str> {
    random.chance(per_mille).then(|| random.pick(choices))
}

/// What stands in the place of a value that is missing.
pub(crate) fn missing_value(random: &mut Random) -> &'static str {
    random.pick(&MISSING_VALUES)
}

fn missing(random: &mut Random, per_mille: u64) -> Option<&'static str> {
    one_of(random, per_mille, &MISSING_VALUES)
}

fn letter_case(random: &mut Random, per_mille: u64) -> LetterCase {
    match random.below(1000) {
        draw if draw >= per_mille => LetterCase::Kept,
        draw if draw % 2 == 0 => LetterCase::Upper,
        _ => LetterCase::Lower,
    }
}

/// The status in another letter case, with stray spaces or with one slip of the finger.
///
/// The first three letters are left alone: without one of them `inactive` would be as near to `active`, and nobody
/// could tell which was meant.
fn misspelt(random: &mut Random, status: &str) -> String {
    match random.below(1000) {
        0..40 => status.to_ascii_uppercase(),
        40..80 => status
            .chars()
            .take(1)
            .flat_map(char::to_uppercase)
            .chain(status.chars().skip(1))
            .collect(),
        80..95 => format!(" {status}"),
        95..110 => format!("{status} "),
        110..170 => slip(random, status),
        _ => status.to_owned(),
    }
}

/// One letter dropped, doubled, replaced by its neighbour in the alphabet, or swapped with the next.
fn slip(random: &mut Random, word: &str) -> String {
    let mut letters = word.as_bytes().to_vec();
    let last = letters.len().saturating_sub(1);
    if last < 4 {
        return word.to_owned();
    }
    let position = random.between(3, last as u64 - 1) as usize;
    match random.below(4) {
        0 => {
            letters.remove(position);
        }
        1 => letters.insert(position, letters[position]),
        2 => {
            letters[position] = if letters[position] == b'z' {
                b'y'
            } else {
                letters[position] + 1
            }
        }
        _ => letters.swap(position, position + 1),
    }
    letters.into_iter().map(char::from).collect()
}
