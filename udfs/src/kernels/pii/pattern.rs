//! The patterns of personal data that is not digits alone, each with its check.
//!
//! All are ASCII, so that a match begins and ends at character boundaries.

use super::check_digits as check;
use super::entity::Entity;
use super::{context, network};

/// The part of a match that passed its check, and how sure it is by itself.
pub(super) struct Part {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) score: f32,
}

/// A pattern, and what its matches must pass.
pub(super) struct Pattern {
    pub(super) entity: Entity,
    pub(super) source: &'static str,
    /// Score where a word nearby names the entity.
    pub(super) in_context: f32,
    /// Validates the match from `start` to `end` within the text.
    pub(super) check: fn(&str, usize, usize) -> Option<Part>,
}

/// The patterns, in the order of the set that is made of them.
pub(super) const PATTERNS: [Pattern; 18] = [
    Pattern {
        entity: Entity::Email,
        source: r"(?-u)[A-Za-z0-9][A-Za-z0-9._%+'&=/-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?-u:\b)",
        in_context: 1.0,
        check: network::email,
    },
    Pattern {
        entity: Entity::Url,
        source: r"(?i-u)(?:\b(?:https?|ftps?)://|\bwww\.)[a-z0-9][a-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*",
        in_context: 1.0,
        check: network::url,
    },
    Pattern {
        entity: Entity::Url,
        source: r"(?i-u)\b(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}\b(?:/[a-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?",
        in_context: 0.5,
        check: network::url,
    },
    Pattern {
        entity: Entity::IpAddress,
        source: r"(?-u)\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:/[0-9]{1,2})?\b",
        in_context: 0.95,
        check: network::ipv4,
    },
    Pattern {
        entity: Entity::IpAddress,
        source: r"(?i-u)[0-9a-f:]*:[0-9a-f:]*:(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-f:]*)(?:%[0-9a-z]{1,15})?(?:/[0-9]{1,3})?",
        in_context: 0.95,
        check: network::ipv6,
    },
    Pattern {
        entity: Entity::MacAddress,
        source: r"(?i-u)\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b",
        in_context: 1.0,
        check: network::mac,
    },
    Pattern {
        entity: Entity::MacAddress,
        source: r"(?i-u)\b[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}\b",
        in_context: 1.0,
        check: network::mac,
    },
    Pattern {
        entity: Entity::Iban,
        source: r"(?-u)\b[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?\b",
        in_context: 1.0,
        check: iban,
    },
    Pattern {
        entity: Entity::CryptoAddress,
        source: r"(?-u)\b(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|(?:bc1|BC1)[0-9A-Za-z]{25,87}|0x[0-9A-Fa-f]{40})\b",
        in_context: 1.0,
        check: crypto,
    },
    Pattern {
        entity: Entity::UkNino,
        source: r"(?i-u)\b[a-ceghj-prstw-z][a-ceghj-nprstw-z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[a-d]\b",
        in_context: 1.0,
        check: nino,
    },
    Pattern {
        entity: Entity::EsNif,
        source: r"(?i-u)\b(?:[0-9]{7,8}|[xyz][ -]?[0-9]{7})[ -]?[a-z]\b",
        in_context: 1.0,
        check: nif,
    },
    Pattern {
        entity: Entity::ItFiscalCode,
        source: r"(?i-u)\b[a-z]{6}[0-9lmnp-v]{2}[abcdehlmprst][0-9lmnp-v]{2}[a-z][0-9lmnp-v]{3}[a-z]\b",
        in_context: 1.0,
        check: fiscal_code,
    },
    Pattern {
        entity: Entity::InPan,
        source: r"(?i-u)\b[a-z]{3}[abcfghljpt][a-z][0-9]{4}[a-z]\b",
        in_context: 1.0,
        check: pan,
    },
    Pattern {
        entity: Entity::SgNric,
        source: r"(?i-u)\b[stfgm][0-9]{7}[a-z]\b",
        in_context: 1.0,
        check: nric,
    },
    Pattern {
        entity: Entity::DrivingLicence,
        source: r"(?i-u)\b[a-z9]{5}[0-9][0156][0-9][0-3][0-9]{2}[a-z9]{2}[a-z0-9][a-z]{2}\b",
        in_context: 0.95,
        check: uk_licence,
    },
    Pattern {
        entity: Entity::DrivingLicence,
        source: r"(?i-u)\b(?:[a-z][0-9]{3,18}|[a-z]{1,2}[0-9]{5,9}|[0-9]{6,14}|[a-z][0-9]{2}-[0-9]{2}-[0-9]{4}|[a-z][0-9]{3}-[0-9]{4}-[0-9]{4})\b",
        in_context: 0.55,
        check: weak,
    },
    Pattern {
        entity: Entity::Passport,
        source: r"(?i-u)\b[a-z]{1,2}[0-9]{6,8}\b",
        in_context: 0.7,
        check: weak,
    },
    Pattern {
        entity: Entity::DateOfBirth,
        source: r"(?-u)\b(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.](?:[0-9]{4}|[0-9]{2}))\b",
        in_context: 0.8,
        check: weak,
    },
];

/// A common form: not personal data without a word that names it.
fn weak(_: &str, start: usize, end: usize) -> Option<Part> {
    Some(Part {
        start,
        end,
        score: 0.05,
    })
}

fn whole(passes: bool, start: usize, end: usize, score: f32) -> Option<Part> {
    passes.then_some(Part { start, end, score })
}

/// The longest beginning of the match that is an IBAN (ISO 13616: length by country, modulo 97):
/// the pattern cannot know where a word in capitals follows it.
fn iban(text: &str, start: usize, end: usize) -> Option<Part> {
    let matched = text.get(start..end)?;
    let mut electronic = String::with_capacity(34);
    let mut ends = Vec::with_capacity(34);
    for (at, c) in matched.char_indices() {
        if c.is_ascii_alphanumeric() {
            electronic.push(c.to_ascii_uppercase());
            ends.push(at + 1);
        }
    }
    (15..=electronic.len().min(34)).rev().find_map(|length| {
        let at = *ends.get(length - 1)?;
        let stops = !matched[at..].starts_with(|c: char| c.is_ascii_alphanumeric());
        let valid = stops && electronic.get(..length)?.parse::<iban::Iban>().is_ok();
        whole(valid, start, start + at, 1.0)
    })
}

/// A Bitcoin address (Base58Check of version 0 or 5, Bech32 as BIP 173 and 350 say), or the form of
/// an Ethereum one, whose check would take another hash function.
fn crypto(text: &str, start: usize, end: usize) -> Option<Part> {
    let address = text.get(start..end)?;
    if address.starts_with("0x") {
        return whole(true, start, end, 0.6);
    }
    let valid = if address.get(..3)?.eq_ignore_ascii_case("bc1") {
        bech32::segwit::decode(address).is_ok()
    } else {
        bs58::decode(address)
            .with_check(None)
            .into_vec()
            .is_ok_and(|bytes| bytes.len() == 21 && matches!(bytes.first(), Some(0 | 5)))
    };
    whole(valid, start, end, 1.0)
}

/// A national insurance number whose prefix is given out.
fn nino(text: &str, start: usize, end: usize) -> Option<Part> {
    const NEVER: [&str; 7] = ["BG", "GB", "NK", "KN", "TN", "NT", "ZZ"];
    let prefix = text.get(start..start + 2)?.to_ascii_uppercase();
    whole(!NEVER.contains(&prefix.as_str()), start, end, 0.8)
}

fn nif(text: &str, start: usize, end: usize) -> Option<Part> {
    let code: Vec<u8> = text
        .get(start..end)?
        .bytes()
        .filter(u8::is_ascii_alphanumeric)
        .collect();
    // Seven digits are an old number or one that lost its zero: the letter alone is little.
    let score = if code.len() == 9 { 0.8 } else { 0.4 };
    whole(check::es_nif(&code), start, end, score)
}

fn fiscal_code(text: &str, start: usize, end: usize) -> Option<Part> {
    let valid = check::it_fiscal_code(text.get(start..end)?.as_bytes());
    whole(valid, start, end, 1.0)
}

/// A permanent account number in capitals; in small letters it needs a word to name it.
fn pan(text: &str, start: usize, end: usize) -> Option<Part> {
    let lower = text
        .get(start..end)?
        .bytes()
        .any(|b| b.is_ascii_lowercase());
    whole(true, start, end, if lower { 0.4 } else { 0.8 })
}

fn nric(text: &str, start: usize, end: usize) -> Option<Part> {
    let code = text.get(start..end)?.as_bytes();
    if check::sg_nric(code) {
        return whole(true, start, end, 0.85);
    }
    // Written numbers are mistyped; one that is named so is hidden all the same.
    let named = context::supports(Entity::SgNric, text, start, end);
    whole(named, start, end, 0.5)
}

fn uk_licence(text: &str, start: usize, end: usize) -> Option<Part> {
    let licence = text.get(start..end)?.as_bytes();
    // A year and a day of birth: the month (plus 50 for women) and the day stand in the middle.
    let two = |at: usize| Some((licence.get(at)? - b'0') * 10 + (licence.get(at + 1)? - b'0'));
    let month = two(6)? % 50;
    let day = two(8)?;
    let padded_well = !licence[..5].starts_with(b"9");
    let passes = (1..=12).contains(&month) && (1..=31).contains(&day) && padded_well;
    whole(passes, start, end, 0.7)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// All patterns compile, one by one and as a set; the detector relies on it.
    #[test]
    fn patterns_compile() {
        for pattern in &PATTERNS {
            assert!(
                regex::Regex::new(pattern.source).is_ok(),
                "{}",
                pattern.source
            );
        }
        let sources = PATTERNS.iter().map(|pattern| pattern.source);
        assert!(regex::RegexSet::new(sources).is_ok());
    }
}
