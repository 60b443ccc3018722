//! How a customer who is written down a second time, by another hand, differs from the first: near duplicates.

use crate::customer::{Customer, Day};
use crate::damage::{Damage, missing_value};
use crate::random::Random;

/// What makes a near duplicate differ from the row that it repeats. Its number is its own in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alteration {
    /// One to three slips of the finger in name, e-mail address, phone number and address.
    Typo,
    /// An initial in the place of the first name; short forms in the address.
    Abbreviation,
    /// The last name first, or name and address in each other's column; day and month exchanged where that can be.
    Swap,
    /// Two or three values that are not there.
    Missing,
}

impl Alteration {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Typo, Self::Abbreviation, Self::Swap, Self::Missing];

    /// Name in the truth.
    pub fn name(self) -> &'static str {
        match self {
            Self::Typo => "typo",
            Self::Abbreviation => "abbreviation",
            Self::Swap => "swap",
            Self::Missing => "missing",
        }
    }

    pub(crate) fn apply(self, random: &mut Random, customer: &mut Customer, damage: &mut Damage) {
        match self {
            Self::Typo => mistype(random, customer),
            Self::Abbreviation => abbreviate(random, customer),
            Self::Swap => swap(random, customer),
            Self::Missing => lose(random, damage),
        }
    }
}

fn mistype(random: &mut Random, customer: &mut Customer) {
    for _ in 0..random.between(1, 3) {
        match random.below(4) {
            0 => slip(random, &mut customer.full_name),
            1 => slip(random, &mut customer.email),
            2 => {
                // Another last digit than the one there.
                let digit = customer.phone % 10;
                let other = (digit + random.between(1, 9)) % 10;
                customer.phone = customer.phone - digit + other;
            }
            _ => slip(random, &mut customer.address),
        }
    }
}

/// One letter or digit dropped, doubled, replaced by another or exchanged with the next, anywhere in the text.
fn slip(random: &mut Random, text: &mut String) {
    let mut letters: Vec<char> = text.chars().collect();
    let fits =
        |place: &usize| letters[*place].is_alphanumeric() && letters[*place + 1].is_alphanumeric();
    let places: Vec<usize> = (0..letters.len().saturating_sub(1)).filter(fits).collect();
    if places.is_empty() {
        return;
    }
    let place = random.pick(&places);
    match random.below(4) {
        0 => {
            letters.remove(place);
        }
        1 => letters.insert(place, letters[place]),
        2 => {
            let letter = letters[place];
            let choices: &[u8] = if letter.is_ascii_digit() {
                b"0123456789"
            } else {
                b"abcdefghijklmnopqrstuvwxyz"
            };
            letters[place] = char::from(random.pick(choices));
        }
        _ => letters.swap(place, place + 1),
    }
    *text = letters.into_iter().collect();
}

/// Words of addresses, and how they are shortened.
const SHORT_FORMS: [(&str, &str); 8] = [
    (" Street", " St"),
    (" Avenue", " Ave"),
    (" Road", " Rd"),
    (" Drive", " Dr"),
    (" Lane", " Ln"),
    (" Court", " Ct"),
    (" Boulevard", " Blvd"),
    (" Apt ", " #"),
];

fn abbreviate(random: &mut Random, customer: &mut Customer) {
    let draw = random.below(3);
    if draw != 0
        && let Some((first, rest)) = customer.full_name.split_once(' ')
        && let Some(initial) = first.chars().next()
    {
        customer.full_name = format!("{initial}. {rest}");
    }
    if draw != 1 {
        for (word, short) in SHORT_FORMS {
            customer.address = customer.address.replace(word, short);
        }
    }
}

fn swap(random: &mut Random, customer: &mut Customer) {
    if random.chance(500) {
        if let Some((first, last)) = customer.full_name.rsplit_once(' ') {
            customer.full_name = format!("{last}, {first}");
        }
    } else {
        std::mem::swap(&mut customer.full_name, &mut customer.address);
    }
    let Day { year, month, day } = customer.signup_date;
    if day <= 12 {
        customer.signup_date = Day {
            year,
            month: day,
            day: month,
        };
    }
}

fn lose(random: &mut Random, damage: &mut Damage) {
    for _ in 0..random.between(2, 3) {
        let lost = Some(missing_value(random));
        match random.below(7) {
            0 => damage.name = lost,
            1 => damage.email = lost,
            2 => damage.phone = lost,
            3 => damage.address = lost,
            4 => damage.signup_date = lost,
            5 => damage.age = lost,
            _ => damage.income = lost,
        }
    }
}
