//! A customer as it is in truth, before any dirt.

use crate::random::{Purpose, Random};
use crate::vocabulary::{
    AREA_CODES, CITIES, FIRST_NAMES, LAST_NAMES, MAIL_DOMAINS, STREET_TYPES, STREETS, decomposed,
};

/// What a status may be.
pub const STATUSES: [&str; 4] = ["active", "inactive", "suspended", "pending"];

/// The id of row 0, so that ids have nine digits in any table of a likely size.
const FIRST_ID: u64 = 100_000_000;

/// A calendar day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
}

/// The true values of one row, in the spelling that people would use.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) customer_id: u64,
    pub(crate) full_name: String,
    pub(crate) email: String,
    /// The ten digits of the national number.
    pub(crate) phone: u64,
    pub(crate) address: String,
    pub(crate) status: &'static str,
    pub(crate) signup_date: Day,
    pub(crate) age: u8,
    pub(crate) income_cents: u64,
}

impl Customer {
    /// The number that a customer gets who is written down in row `row`.
    pub(crate) fn id_of_row(row: u64) -> u64 {
        FIRST_ID.saturating_add(row)
    }

    /// The customer of row `row`: the same for the same seed, whatever was generated before.
    pub(crate) fn of_row(seed: u64, row: u64) -> Self {
        let mut random = Random::for_row(seed, row, Purpose::Truth);
        let first = random.pick(FIRST_NAMES);
        let last = random.pick(LAST_NAMES);
        let month = random.between(1, 12) as u8;
        Self {
            customer_id: Self::id_of_row(row),
            full_name: full_name(&mut random, first, last),
            email: email(&mut random, first, last),
            phone: phone(&mut random),
            address: address(&mut random),
            // Skewed, as real statuses are.
            status: match random.below(100) {
                0..60 => STATUSES[0],
                60..82 => STATUSES[1],
                82..91 => STATUSES[2],
                _ => STATUSES[3],
            },
            signup_date: Day {
                year: random.between(2012, 2024) as u16,
                month,
                day: random.between(1, days_in(month)) as u8,
            },
            // The mean of two draws: more people in the middle than at the ends.
            age: ((random.between(18, 92) + random.between(18, 92)) / 2) as u8,
            income_cents: income_cents(&mut random),
        }
    }
}

/// The days of a month in every year: 29 February is left out.
fn days_in(month: u8) -> u64 {
    match month {
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn full_name(random: &mut Random, first: &str, last: &str) -> String {
    let mut name = String::with_capacity(32);
    name.push_str(first);
    name.push(' ');
    if random.chance(250) {
        name.push(char::from(b'A' + random.below(26) as u8));
        name.push_str(". ");
    }
    name.push_str(last);
    name
}

/// The letters of a name that an e-mail address keeps.
fn push_ascii_lowercase(target: &mut String, name: &str) {
    for letter in name.chars() {
        let letter = decomposed(letter).map_or(letter, |(base, _)| base);
        if letter.is_ascii_alphabetic() {
            target.push(letter.to_ascii_lowercase());
        }
    }
}

fn email(random: &mut Random, first: &str, last: &str) -> String {
    let mut address = String::with_capacity(40);
    push_ascii_lowercase(&mut address, first);
    address.push(random.pick(&['.', '_', '-']));
    push_ascii_lowercase(&mut address, last);
    push_number(&mut address, random.below(10_000));
    address.push('@');
    address.push_str(random.pick(MAIL_DOMAINS));
    address
}

fn phone(random: &mut Random) -> u64 {
    let area = u64::from(random.pick(AREA_CODES));
    // Exchanges begin with 2 to 9; those that end in 11 are service codes.
    let exchange = match random.between(200, 999) {
        service if service % 100 == 11 => service + 1,
        exchange => exchange,
    };
    area * 10_000_000 + exchange * 10_000 + random.below(10_000)
}

fn address(random: &mut Random) -> String {
    let mut address = String::with_capacity(64);
    push_number(&mut address, random.between(1, 9899));
    address.push(' ');
    address.push_str(random.pick(STREETS));
    address.push(' ');
    address.push_str(random.pick(STREET_TYPES));
    match random.below(1000) {
        0..200 => {
            address.push_str(", Apt ");
            push_number(&mut address, random.between(1, 240));
        }
        200..210 => address.push_str(" \"The Elms\""),
        _ => {}
    }
    if random.chance(350) {
        address.push(',');
    }
    address.push(' ');
    address.push_str(random.pick(CITIES));
    address.push(' ');
    push_number(&mut address, random.between(10_000, 99_999));
    if random.chance(700) {
        address.push('-');
        push_padded(&mut address, random.below(10_000), 4);
    }
    address
}

/// A skewed amount: most near the lower end, a few several times as high.
fn income_cents(random: &mut Random) -> u64 {
    let base = 18_000 + random.below(60_000);
    let factor = if random.chance(80) {
        random.between(2, 6)
    } else {
        1
    };
    let cents = if random.chance(600) {
        random.below(100)
    } else {
        0
    };
    base * factor * 100 + cents
}

/// Appends a number in decimal.
pub(crate) fn push_number(target: &mut String, number: u64) {
    push_padded(target, number, 1);
}

/// Appends a number in decimal with leading zeros up to `width` (at most 20) digits.
pub(crate) fn push_padded(target: &mut String, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let start = start.min(digits.len() - width.min(digits.len()));
    for digit in &digits[start..] {
        target.push(char::from(*digit));
    }
}
