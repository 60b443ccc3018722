//! How what is known is written down: white space, Unicode form, and the notation of dates, phones and amounts.
//!
//! Everything here can be normalised away without loss, so a customer that is written twice in different notations is
//! a duplicate of itself after the clean-up.

use crate::customer::{Customer, Day, push_number, push_padded};
use crate::damage::{IncomeNotation, LetterCase};
use crate::random::Random;
use crate::vocabulary::decomposed;

/// Appends a text with the given letter case, now and then with stray white space and decomposed accents (NFD).
pub(crate) fn push_text(target: &mut String, random: &mut Random, text: &str, case: LetterCase) {
    let decompose = random.chance(80);
    let draw = random.below(1000);
    if draw < 60 {
        target.push_str(random.pick(&[" ", "  ", "\t"]));
    }
    // At most one of the inner spaces is spoilt: the one with this number.
    let spoilt_space = if (60..140).contains(&draw) {
        random.below(2)
    } else {
        u64::MAX
    };
    let mut space = 0;
    for letter in text.chars() {
        if letter == ' ' {
            target.push_str(if space == spoilt_space {
                random.pick(&["  ", "   ", "\u{a0}"])
            } else {
                " "
            });
            space += 1;
        } else {
            push_letter(target, letter, case, decompose);
        }
    }
    if (140..200).contains(&draw) {
        target.push_str(random.pick(&[" ", "  ", " \t"]));
    }
}

fn push_letter(target: &mut String, letter: char, case: LetterCase, decompose: bool) {
    // The vocabulary has no letter whose other case is more than one letter.
    let letter = match case {
        LetterCase::Kept => letter,
        LetterCase::Upper => letter.to_uppercase().next().unwrap_or(letter),
        LetterCase::Lower => letter.to_lowercase().next().unwrap_or(letter),
    };
    match decomposed(letter) {
        Some((base, mark)) if decompose => {
            target.push(base);
            target.push(mark);
        }
        _ => target.push(letter),
    }
}

/// Appends an e-mail address as it was typed in.
pub(crate) fn push_email(target: &mut String, email: &str, case: LetterCase, without_at: bool) {
    for letter in email.chars() {
        if !(without_at && letter == '@') {
            push_letter(target, letter, case, false);
        }
    }
}

/// Appends a date in ISO 8601 order.
pub(crate) fn push_iso_date(target: &mut String, date: Day) {
    push_padded(target, u64::from(date.year), 4);
    target.push('-');
    push_padded(target, u64::from(date.month), 2);
    target.push('-');
    push_padded(target, u64::from(date.day), 2);
}

/// Appends a date in one of the three notations: `%Y-%m-%d`, `%m/%d/%Y`, `%d.%m.%Y`.
pub(crate) fn push_date(target: &mut String, random: &mut Random, date: Day) {
    let (first, second, mark) = match random.below(100) {
        0..60 => return push_iso_date(target, date),
        60..85 => (date.month, date.day, '/'),
        _ => (date.day, date.month, '.'),
    };
    push_padded(target, u64::from(first), 2);
    target.push(mark);
    push_padded(target, u64::from(second), 2);
    target.push(mark);
    push_padded(target, u64::from(date.year), 4);
}

/// Appends a phone number in E.164.
pub(crate) fn push_e164(target: &mut String, national: u64) {
    target.push_str("+1");
    push_padded(target, national, 10);
}

/// Appends a phone number as people write it: `#` stands for the next digit.
pub(crate) fn push_phone(target: &mut String, random: &mut Random, national: u64) {
    let pattern = match random.below(100) {
        0..10 => "+1##########",
        10..35 => "(###) ###-####",
        35..55 => "###-###-####",
        55..68 => "##########",
        68..80 => "###.###.####",
        80..88 => "+1 ### ### ####",
        88..94 => "1-###-###-####",
        94..97 => "+1 (###) ###-####",
        _ => "### ### ####",
    };
    let mut divisor = 1_000_000_000;
    for character in pattern.chars() {
        if character == '#' {
            target.push(char::from(b'0' + (national / divisor % 10) as u8));
            divisor = (divisor / 10).max(1);
        } else {
            target.push(character);
        }
    }
}

/// Appends an amount of money, without cents where there are none.
pub(crate) fn push_income(target: &mut String, cents: u64, notation: IncomeNotation) {
    let whole = cents / 100;
    if notation == IncomeNotation::Currency {
        target.push('$');
    }
    if notation != IncomeNotation::Plain && whole >= 1000 {
        push_number(target, whole / 1000);
        target.push(',');
        push_padded(target, whole % 1000, 3);
    } else {
        push_number(target, whole);
    }
    if !cents.is_multiple_of(100) {
        target.push('.');
        push_padded(target, cents % 100, 2);
    }
}

/// Appends the age of a customer.
pub(crate) fn push_age(target: &mut String, customer: &Customer) {
    push_number(target, u64::from(customer.age));
}
