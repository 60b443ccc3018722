//! How much two values have in common.

use rapidfuzz::distance::{jaro_winkler, osa};

use super::field::{Field, Kind, Token, Value};
use super::pattern::Level;
use super::sketch::Sketch;

/// Jaro-Winkler similarity from which two words are taken for one.
const SAME_WORD: f64 = 0.9;

/// Returns the level of two values of a field, compared as values of some kind.
pub(super) fn level(field: &Field, kind: Kind, left: &Value<'_>, right: &Value<'_>) -> Level {
    let all = !left.is_cut && !right.is_cut;
    if left.id == right.id || (all && left.compact == right.compact) {
        return Level::Same;
    }
    match kind {
        Kind::Date => match (left.date, right.date) {
            (Some(one), Some(two)) => dates(one, two, edits(&left.compact, &right.compact)),
            _ => digits(&left.compact, &right.compact),
        },
        Kind::Quantity => match (left.quantity, right.quantity) {
            (Some(one), Some(two)) => quantities(one, two),
            _ => digits(&left.compact, &right.compact),
        },
        Kind::Digits => digits(&left.compact, &right.compact),
        Kind::Text => texts(field, left, right),
        Kind::Sketch => match (&left.sketch, &right.sketch) {
            (Some(one), Some(two)) => sketches(one, two),
            _ => Level::Different,
        },
    }
}

/// Sketches, by the pairs of letters that both values have: a slip of the pen in a word of eight letters
/// leaves seven of nine.
fn sketches(left: &Sketch, right: &Sketch) -> Level {
    match left.dice(right) {
        _ if left.is_same(right) => Level::Same,
        alike if alike >= 0.8 => Level::Near,
        alike if alike >= 0.65 => Level::Close,
        alike if alike >= 0.5 => Level::Partial,
        alike if alike >= 0.35 => Level::Faint,
        _ => Level::Different,
    }
}

/// Letters left out, added, replaced or exchanged with the next: the distance of optimal string
/// alignments (Hyyrö, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances",
/// 2003).
fn edits(left: &str, right: &str) -> usize {
    if left.is_ascii() && right.is_ascii() {
        osa::distance(left.bytes(), right.bytes())
    } else {
        osa::distance(left.chars(), right.chars())
    }
}

fn jaro(left: &str, right: &str) -> f64 {
    if left.is_ascii() && right.is_ascii() {
        jaro_winkler::similarity(left.bytes(), right.bytes())
    } else {
        jaro_winkler::similarity(left.chars(), right.chars())
    }
}

type Date = (i32, i32, i32);

/// Days since some day, to within a few.
fn days(date: Date) -> i32 {
    date.0 * 365 + date.0 / 4 + date.1 * 30 + date.1 / 2 + date.2
}

/// Typos, day and month exchanged; then one part wrong; then dates that are close, or that recur in another year.
fn dates(left: Date, right: Date, edits: usize) -> Level {
    let equal = [left.0 == right.0, left.1 == right.1, left.2 == right.2];
    let equal = equal.into_iter().filter(|equal| *equal).count();
    let apart = (days(left) - days(right)).abs();
    let turned = left.0 == right.0 && left.1 == right.2 && left.2 == right.1;
    let recurs = left.1 == right.1 && (left.2 - right.2).abs() <= 5;
    if edits == 1 || turned {
        Level::Near
    } else if equal == 2 || apart <= 10 {
        Level::Close
    } else if apart <= 62 || edits == 2 {
        Level::Partial
    } else if apart <= 500 || recurs {
        Level::Faint
    } else {
        Level::Different
    }
}

/// Compares quantities by their relative distance.
fn quantities(left: f64, right: f64) -> Level {
    let scale = left.abs().max(right.abs());
    let apart = (left - right).abs() / scale.max(f64::MIN_POSITIVE);
    match apart {
        apart if apart <= 1e-9 => Level::Same,
        apart if apart <= 0.005 => Level::Near,
        apart if apart <= 0.02 => Level::Close,
        apart if apart <= 0.1 => Level::Partial,
        apart if apart <= 0.25 => Level::Faint,
        _ => Level::Different,
    }
}

/// Compares identifying numbers digit by digit.
fn digits(left: &str, right: &str) -> Level {
    let longest = left.len().max(right.len());
    let shortest = left.len().min(right.len());
    // A phone number with and without the code of its country.
    if shortest >= 7 && (left.ends_with(right) || right.ends_with(left)) {
        return Level::Near;
    }
    if longest > 2 * shortest {
        return Level::Different;
    }
    match edits(left, right) {
        1 if longest >= 3 => Level::Near,
        2 if longest >= 5 => Level::Close,
        edits if longest >= 5 && edits as f64 <= 0.4 * longest as f64 => Level::Partial,
        _ => Level::Different,
    }
}

/// Texts: by characters (edits, Jaro-Winkler) or, where there are several, by words.
fn texts(field: &Field, left: &Value<'_>, right: &Value<'_>) -> Level {
    let (one, two) = (&*left.compact, &*right.compact);
    let (one_length, two_length) = (left.length, right.length);
    let longest = one_length.max(two_length);
    let (left, right) = (field.tokens(left), field.tokens(right));
    let words = if left.len() > 1 || right.len() > 1 {
        shared_words(left, right)
    } else {
        0.0
    };
    let jaro = jaro(one, two);
    // The distance is at least the difference of the lengths, and hardly small where Jaro is low.
    let apart = one_length.abs_diff(two_length);
    let edits = if 2 * apart > longest || jaro < 0.5 {
        longest
    } else {
        edits(one, two)
    };
    let alike = 1.0 - edits as f64 / longest.max(1) as f64;
    if (longest >= 4 && (edits == 1 || jaro >= 0.95)) || words >= 0.92 || alike >= 0.9 {
        Level::Near
    } else if jaro >= 0.9 || alike >= 0.8 || words >= 0.75 || contains(left, right) {
        Level::Close
    } else if jaro >= 0.82 || alike >= 0.65 || words >= 0.5 {
        Level::Partial
    } else if jaro >= 0.75 || alike >= 0.5 || words >= 0.3 {
        Level::Faint
    } else {
        Level::Different
    }
}

/// Cosine of two sets of words that count the more the rarer they are, with words that are nearly
/// the same taken for one (Cohen, Ravikumar, Fienberg, "A comparison of string distance metrics for
/// name-matching tasks", 2003: soft TF-IDF).
fn shared_words(left: &[Token<'_>], right: &[Token<'_>]) -> f64 {
    let mut shared = 0.0;
    for one in left {
        let likeness = |two: &Token<'_>| {
            let same = if one.id == two.id {
                1.0
            } else if one.is_number || two.is_number || one.short || two.short || differ(one, two) {
                0.0
            } else {
                let jaro = jaro(one.text, two.text);
                if jaro >= SAME_WORD { jaro } else { 0.0 }
            };
            same * one.weight * two.weight
        };
        shared += right.iter().map(likeness).fold(0.0, f64::max);
    }
    shared.min(1.0)
}

/// Whether two words are too different to be taken for one, by their letters alone.
fn differ(one: &Token<'_>, two: &Token<'_>) -> bool {
    let foreign = |one: &Token<'_>, two: &Token<'_>| {
        let foreign = (one.letters & !two.letters).count_ones() as usize;
        one.length.saturating_sub(foreign)
    };
    // No more letters than these can match; Jaro's similarity is largest where all of them stand in order.
    let matching = foreign(one, two).min(foreign(two, one)) as f64;
    let most = (matching / one.length as f64 + matching / two.length as f64 + 1.0) / 3.0;
    // Winkler's bonus for four letters that begin both, if one does.
    let begins = one.text.as_bytes().first() == two.text.as_bytes().first();
    let bonus = if begins { 0.4 * (1.0 - most) } else { 0.0 };
    most + bonus < SAME_WORD
}

/// Returns whether one value, of at least two words, is contained in the other.
fn contains(left: &[Token<'_>], right: &[Token<'_>]) -> bool {
    let (short, long) = if left.len() <= right.len() {
        (left, right)
    } else {
        (right, left)
    };
    let stands = |token: &Token<'_>| long.iter().any(|other| other.id == token.id);
    short.len() >= 2 && short.iter().all(stands)
}
