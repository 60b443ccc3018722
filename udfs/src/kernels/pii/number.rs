//! Numbers in a text: groups of digits, and what a sequence of groups may be.
//!
//! No regular expression: one walk over the bytes finds the groups, and few groups get further.

use std::sync::LazyLock;

use super::check_digits as check;
use super::context;
use super::detect::Candidate;
use super::entity::Entity;
use crate::kernels::cell::{CellKernel, Verdict};
use crate::kernels::phone::NormalizePhone;

/// More groups than this do not make one number.
const MOST_GROUPS: usize = 7;
const MOST_DIGITS: usize = 19;

/// Adjacent ASCII digits of a text.
#[derive(Debug, Clone, Copy)]
struct Group {
    start: usize,
    end: usize,
}

/// Consecutive groups taken as one number.
struct Sequence<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    digits: &'a [u8],
    /// Digits of each group.
    shape: &'a [usize],
    /// The one byte that separates all groups; `None` when there are several, or there is only one group.
    separator: Option<u8>,
}

/// Adds what the numbers of `text` may be to `found`.
pub(super) fn find(text: &str, found: &mut Vec<Candidate>) {
    let mut groups: Vec<Group> = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            at += 1;
        }
        if groups
            .last()
            .is_some_and(|last| !is_gap(&bytes[last.end..start]))
        {
            find_in_run(text, &groups, found);
            groups.clear();
        }
        groups.push(Group { start, end: at });
    }
    find_in_run(text, &groups, found);
}

/// Characters allowed between the groups of a number.
fn is_gap(bytes: &[u8]) -> bool {
    bytes.len() <= 3
        && bytes
            .iter()
            .all(|byte| matches!(byte, b' ' | b'-' | b'.' | b'(' | b')' | b'/'))
}

fn find_in_run(text: &str, groups: &[Group], found: &mut Vec<Candidate>) {
    for first in 0..groups.len() {
        let mut digits = [0u8; MOST_DIGITS];
        let (mut count, mut shape) = (0, [0usize; MOST_GROUPS]);
        let mut separator = None;
        for (place, group) in groups[first..].iter().take(MOST_GROUPS).enumerate() {
            let length = group.end - group.start;
            if count + length > MOST_DIGITS {
                break;
            }
            for (digit, byte) in digits[count..]
                .iter_mut()
                .zip(text[group.start..group.end].bytes())
            {
                *digit = byte - b'0';
            }
            count += length;
            shape[place] = length;
            if place > 0 {
                let gap = &text.as_bytes()[groups[first + place - 1].end..group.start];
                let this = (gap.len() == 1).then(|| gap[0]);
                separator = if place == 1 || separator == this {
                    this
                } else {
                    None
                };
            }
            let sequence = Sequence {
                text,
                start: groups[first].start,
                end: group.end,
                digits: &digits[..count],
                shape: &shape[..=place],
                separator,
            };
            if count >= 7 {
                sequence.classify(found);
            }
        }
    }
}

impl Sequence<'_> {
    fn classify(&self, found: &mut Vec<Candidate>) {
        if self.stands_alone() {
            self.identifiers(found);
        }
        self.phone(found);
    }

    /// Returns whether the number is isolated: no letter, decimal point, currency sign or minus touches it.
    fn stands_alone(&self) -> bool {
        let before = self.text[..self.start].chars().next_back();
        let after = self.text.as_bytes().get(self.end).copied();
        let then = self.text.as_bytes().get(self.end + 1).copied();
        let glued_before = before.is_some_and(|c| c.is_alphanumeric() || "_.$€£+-/@#".contains(c));
        let glued_after = match after {
            Some(b'.' | b',' | b'-' | b'/' | b':') => then.is_some_and(|b| b.is_ascii_digit()),
            Some(b'_' | b'%' | b'@') => true,
            _ => self.text[self.end..]
                .chars()
                .next()
                .is_some_and(char::is_alphanumeric),
        };
        !glued_before && !glued_after
    }

    fn is_grouped(&self, shape: &[usize]) -> bool {
        self.shape == shape && matches!(self.separator, Some(b' ' | b'-'))
    }

    fn is_whole(&self) -> bool {
        self.shape.len() == 1
    }

    fn push(&self, found: &mut Vec<Candidate>, entity: Entity, score: f32, in_context: f32) {
        found.push(Candidate {
            entity,
            start: self.start,
            end: self.end,
            score,
            in_context,
        });
    }

    /// Numbers with a check digit or a fixed form; the score says how much of a chance there is.
    fn identifiers(&self, found: &mut Vec<Candidate>) {
        let digits = self.digits;
        match digits.len() {
            9 => self.nine_digits(found),
            10 => {
                let grouped = self.is_grouped(&[3, 3, 4]);
                if (grouped || self.is_whole()) && check::uk_nhs(digits) {
                    self.push(found, Entity::UkNhs, if grouped { 0.5 } else { 0.3 }, 1.0);
                }
            }
            11 => {
                let grouped = self.is_grouped(&[2, 3, 3, 3]);
                if (grouped || self.is_whole()) && check::au_abn(digits) {
                    self.push(found, Entity::AuAbn, if grouped { 0.8 } else { 0.45 }, 1.0);
                }
                if self.is_whole() && check::pl_pesel(digits) {
                    self.push(found, Entity::PlPesel, 0.45, 1.0);
                }
            }
            12 => {
                let grouped = self.is_grouped(&[4, 4, 4]);
                if (grouped || self.is_whole()) && check::in_aadhaar(digits) {
                    self.push(
                        found,
                        Entity::InAadhaar,
                        if grouped { 0.7 } else { 0.4 },
                        1.0,
                    );
                }
            }
            _ => {}
        }
        if self.is_card() {
            let score = match (self.digits.len(), self.is_whole()) {
                (12, _) => 0.3,
                (_, true) => 0.8,
                (_, false) => 0.9,
            };
            self.push(found, Entity::CreditCard, score, 1.0);
        }
    }

    fn is_card(&self) -> bool {
        const GROUPED: [&[usize]; 5] = [
            &[4, 4, 4, 4],
            &[4, 6, 5],
            &[4, 6, 4],
            &[4, 4, 4, 1],
            &[4, 4, 4, 4, 3],
        ];
        let grouped = GROUPED.iter().any(|shape| self.is_grouped(shape));
        (grouped || self.is_whole())
            && check::is_card_issuer(self.digits)
            && check::luhn(self.digits)
    }

    fn nine_digits(&self, found: &mut Vec<Candidate>) {
        let digits = self.digits;
        let whole = self.is_whole();
        let by_threes = self.is_grouped(&[3, 3, 3]);
        let as_ssn = self.shape == [3, 2, 4] && matches!(self.separator, Some(b' ' | b'-' | b'.'));
        if (as_ssn || whole) && check::us_ssn(digits) {
            let score = if as_ssn { 0.85 } else { 0.05 };
            self.push(found, Entity::UsSsn, score, if as_ssn { 1.0 } else { 0.6 });
        }
        if whole || by_threes {
            let score = if by_threes { 0.45 } else { 0.3 };
            for (entity, check) in [
                (Entity::AuTfn, check::au_tfn as fn(&[u8]) -> bool),
                (Entity::AuAcn, check::au_acn),
                (Entity::CaSin, check::ca_sin),
            ] {
                if check(digits) {
                    self.push(found, entity, score, 1.0);
                }
            }
        }
        if whole {
            self.push(found, Entity::Passport, 0.05, 0.6);
        }
    }

    /// A telephone number: international with its plus, North American, or national in one of the
    /// regions below where a word says that it is one.
    fn phone(&self, found: &mut Vec<Candidate>) {
        let bytes = self.text.as_bytes();
        let mut start = self.start;
        // "+ 1", "(415": signs that belong to the number stand before its first digit.
        if start > 0 && bytes[start - 1] == b'(' && self.text[start..self.end].contains(')') {
            start -= 1;
        }
        let plus = start > 0 && bytes[start - 1] == b'+';
        if plus {
            start -= 1;
        }
        let before = self.text[..start].chars().next_back();
        let is_part = |c: char| c.is_ascii_digit() || "_$€£@#=".contains(c);
        if before.is_some_and(is_part) || (!plus && before.is_some_and(|c| "+-./".contains(c))) {
            return;
        }
        let end = self.extension_end();
        let after = self.text[end..].chars().next();
        let then = bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if after.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '%' || c == '@')
            || (then && after.is_some_and(|c| ".,-/:".contains(c)))
        {
            return;
        }
        if let Some((score, in_context)) = self.phone_score(plus, start) {
            found.push(Candidate {
                entity: Entity::Phone,
                start,
                end,
                score,
                in_context,
            });
        }
    }

    fn phone_score(&self, plus: bool, start: usize) -> Option<(f32, f32)> {
        let count = self.digits.len();
        let written = &self.text[start..self.end];
        let has_dates_shape = matches!(self.shape, [4, 2, 2] | [2, 2, 4] | [1 | 2, 1 | 2, 4])
            || written.contains('/') && !plus;
        if plus {
            // Nothing else is written so, whether or not the number is given out.
            let score = if is_phone("US", written) { 0.9 } else { 0.6 };
            return (8..=15).contains(&count).then_some((score, 1.0));
        }
        // "0.06301777" and "4155.550132" are decimal fractions.
        if self.shape.len() == 2 && self.separator == Some(b'.') {
            return None;
        }
        let grouped = self.shape.len() > 1;
        let american = match (count, self.digits) {
            (10, [2..=9, ..]) => self.shape.len() <= 3,
            (11, [1, ..]) => self.shape.len() <= 4,
            _ => false,
        };
        if american && is_phone("US", written) {
            let plain = matches!(self.shape, [3, 3, 4] | [3, 7] | [1, 3, 3, 4]);
            return Some(match (grouped, plain) {
                (true, true) => (0.75, 1.0),
                (true, false) => (0.45, 0.7),
                (false, _) => (0.3, 0.7),
            });
        }
        // With an international prefix of digits.
        if (10..=18).contains(&count) && (written.starts_with("00") || written.starts_with("011")) {
            let region = if written.starts_with("00") {
                "GB"
            } else {
                "US"
            };
            if is_phone(region, written) {
                return Some((if grouped { 0.6 } else { 0.3 }, 0.8));
            }
        }
        let national = written.trim_start_matches('(').starts_with('0');
        let named = || context::supports(Entity::Phone, self.text, start, self.end);
        if has_dates_shape || !(7..=12).contains(&count) {
            return None;
        }
        // In groups and named a telephone number: whichever country's it is.
        if grouped && (self.shape == [3, 4] || count >= 8) && named() {
            return Some((0.1, 0.6));
        }
        // Asking the library for many regions is dear: there has to be a reason to.
        if count < 8 || !(national || named()) {
            return None;
        }
        let known = NATIONAL_REGIONS
            .iter()
            .any(|region| is_phone(region, written));
        known.then_some(match (national, grouped) {
            (true, true) => (0.4, 0.7),
            (true, false) | (false, true) => (0.2, 0.6),
            (false, false) => (0.1, 0.55),
        })
    }

    /// Where the number ends when "x123" or "ext. 123" follows it.
    fn extension_end(&self) -> usize {
        let rest = &self.text.as_bytes()[self.end..];
        let skip = |at: usize, byte: u8| at + usize::from(rest.get(at) == Some(&byte));
        let blank = skip(0, b' ');
        let marked = [b"extension" as &[u8], b"ext", b"x"]
            .iter()
            .find_map(|marker| {
                let end = blank + marker.len();
                rest.get(blank..end)?
                    .eq_ignore_ascii_case(marker)
                    .then_some(end)
            });
        let Some(marked) = marked else {
            return self.end;
        };
        let digits = skip(skip(marked, b'.'), b' ');
        let length = rest[digits..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if (1..=7).contains(&length) {
            self.end + digits + length
        } else {
            self.end
        }
    }
}

/// Regions whose national numbers are detected, by number of telephone users.
const NATIONAL_REGIONS: [&str; 10] = ["GB", "DE", "FR", "IN", "CN", "BR", "JP", "IT", "ES", "IL"];

static KERNELS: LazyLock<Vec<(&'static str, NormalizePhone)>> = LazyLock::new(|| {
    std::iter::once("US")
        .chain(NATIONAL_REGIONS)
        .filter_map(|region| Some((region, NormalizePhone::new(region).ok()?)))
        .collect()
});

fn is_phone(region: &str, written: &str) -> bool {
    let mut out = String::new();
    KERNELS
        .iter()
        .find(|(name, _)| *name == region)
        .is_some_and(|(_, kernel)| kernel.clean(written, &mut out) != Verdict::Invalid)
}
