//! Brings telephone numbers to E.164 (ITU-T), with libphonenumber's metadata and rules.
//!
//! The library takes microseconds a number. Numbers of country code 1 (the North American plan,
//! all of ten digits) take a short cut: whether such a number is valid hangs on its first digits
//! only, so once a prefix has come up often the library is asked about all of it, and the answer is kept. A prefix whose numbers are
//! not all alike is always left to the library; the results are the library's in every case.

use std::sync::atomic::{AtomicU8, Ordering};

use rlibphonenumber::enums::Region;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat};

use super::cell::{CellKernel, Verdict};

/// The region given is no ISO 3166-1 alpha-2 code of which a numbering plan is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown phone region '{region}': expected a two-letter country code such as US or DE")]
pub struct UnknownRegion {
    /// What was given.
    pub region: String,
}

/// Brings a telephone number to E.164; an extension is kept as `;ext=` (RFC 3966).
#[derive(Debug, Clone, Copy)]
pub struct NormalizePhone {
    region: Region,
    /// The region dials with country code 1, whose numbers have a short cut.
    is_nanp: bool,
}

impl NormalizePhone {
    /// A kernel that reads numbers without a country code as numbers of `region`
    /// (ISO 3166-1 alpha-2, any case).
    pub fn new(region: &str) -> Result<Self, UnknownRegion> {
        let unknown = || UnknownRegion {
            region: region.to_owned(),
        };
        let code: Region = region
            .trim()
            .to_ascii_uppercase()
            .parse()
            .map_err(|_| unknown())?;
        let calling_code = PHONE_NUMBER_UTIL
            .get_country_code_for_region(code)
            .ok_or_else(unknown)?;
        Ok(Self {
            region: code,
            is_nanp: calling_code == 1,
        })
    }

    /// The answer of the library, without the short cut.
    fn ask_library(&self, cell: &str, out: &mut String) -> Verdict {
        let Ok(number) = PHONE_NUMBER_UTIL.parse(cell, Some(self.region)) else {
            return Verdict::Invalid;
        };
        if !number.is_valid() {
            return Verdict::Invalid;
        }
        out.push_str(&number.format_as(PhoneNumberFormat::E164));
        if let Some(extension) = number.extension.as_deref().filter(|ext| !ext.is_empty()) {
            out.push_str(";ext=");
            out.push_str(extension);
        }
        if out == cell {
            Verdict::Same
        } else {
            Verdict::Changed(1.0)
        }
    }
}

impl CellKernel for NormalizePhone {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        let Some(digits) = nanp_digits(cell.as_bytes(), self.is_nanp) else {
            return self.ask_library(cell, out);
        };
        match nanp_validity(&digits) {
            Validity::Mixed => self.ask_library(cell, out),
            Validity::Invalid => Verdict::Invalid,
            Validity::Valid => {
                // Longest first: a cell that is E.164 already is "+1" and these ten digits.
                let e164 = cell.len() == 12 && cell.starts_with("+1");
                if e164 {
                    return Verdict::Same;
                }
                out.push_str("+1");
                out.extend(digits.iter().map(|&digit| char::from(b'0' + digit)));
                Verdict::Changed(1.0)
            }
        }
    }
}

/// The national number of a plainly written number of country code 1: ten digits, or eleven of
/// which the first is 1, and nothing else but the usual signs between them.
///
/// Anything the library might read otherwise is refused: letters, extensions, other signs, a plus
/// inside. Without a plus the ten digits are national ones only where the region dials with 1.
fn nanp_digits(cell: &[u8], region_is_nanp: bool) -> Option<[u8; 10]> {
    let mut digits = [0u8; 11];
    let mut count = 0;
    let plus = cell.first() == Some(&b'+');
    for &byte in &cell[usize::from(plus)..] {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            *digits.get_mut(count)? = digit;
            count += 1;
        } else if !matches!(byte, b' ' | b'-' | b'.' | b'(' | b')') {
            return None;
        }
    }
    // A leading bracket or full stop is for the library, and so is a number in two bracket pairs.
    match (count, digits[0], plus) {
        (10, 2..=9, false) if region_is_nanp => {
            let mut national = [0; 10];
            national.copy_from_slice(&digits[..10]);
            Some(national)
        }
        (11, 1, true) => national_after_one(&digits),
        (11, 1, false) if region_is_nanp => national_after_one(&digits),
        _ => None,
    }
}

fn national_after_one(digits: &[u8; 11]) -> Option<[u8; 10]> {
    let mut national = [0; 10];
    national.copy_from_slice(&digits[1..]);
    // The library strips a second 1 as the trunk prefix; leave that to it.
    (national[0] >= 2).then_some(national)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    Valid,
    Invalid,
    /// Depends on more digits than the prefix has, or is not known yet: the library must be asked.
    Mixed,
}

/// Entries count how often a prefix was seen until it is probed; then they say what was found.
const SEEN_BEFORE_PROBE: u8 = 24;
const VALID: u8 = 253;
const INVALID: u8 = 254;
const MIXED: u8 = 255;

/// Digits of a prefix: the area code and the first of the exchange.
const PREFIXES: usize = 10_000;

/// What is known of each prefix. Threads that fill an entry at once write the same answer.
static KNOWN: [AtomicU8; PREFIXES] = [const { AtomicU8::new(0) }; PREFIXES];

fn nanp_validity(digits: &[u8; 10]) -> Validity {
    let prefix = digits[..4]
        .iter()
        .fold(0usize, |prefix, &digit| prefix * 10 + usize::from(digit));
    let Some(entry) = KNOWN.get(prefix) else {
        return Validity::Mixed;
    };
    match entry.load(Ordering::Relaxed) {
        VALID => Validity::Valid,
        INVALID => Validity::Invalid,
        MIXED => Validity::Mixed,
        // Probing costs as much as some of the numbers themselves: few do not repay it. Threads
        // that count at once may lose a step, which does no harm.
        seen if seen < SEEN_BEFORE_PROBE => {
            entry.store(seen + 1, Ordering::Relaxed);
            Validity::Mixed
        }
        _ => {
            let validity = probe_prefix(prefix as u64);
            let state = match validity {
                Validity::Valid => VALID,
                Validity::Invalid => INVALID,
                Validity::Mixed => MIXED,
            };
            entry.store(state, Ordering::Relaxed);
            validity
        }
    }
}

/// Asks the library for one number of each of the hundred blocks of 10,000 numbers under a prefix.
///
/// The plan assigns whole blocks; the few that are split (246-521, 876-606) stand among blocks
/// that differ, so that their prefix is mixed in any case.
fn probe_prefix(prefix: u64) -> Validity {
    let mut seen = None;
    for block in 0..100 {
        let number = PhoneNumber {
            country_code: 1,
            national_number: (prefix * 100 + block) * 10_000 + (block * 1_237 + 123) % 10_000,
            ..PhoneNumber::default()
        };
        let valid = number.is_valid();
        if *seen.get_or_insert(valid) != valid {
            return Validity::Mixed;
        }
    }
    if seen == Some(true) {
        Validity::Valid
    } else {
        Validity::Invalid
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn clean(kernel: &NormalizePhone, cell: &str) -> (Verdict, String) {
        let mut out = String::new();
        let verdict = kernel.clean(cell, &mut out);
        written(verdict, out)
    }

    fn library(kernel: &NormalizePhone, cell: &str) -> (Verdict, String) {
        let mut out = String::new();
        let verdict = kernel.ask_library(cell, &mut out);
        written(verdict, out)
    }

    /// What is in the buffer means something only when the cell changed.
    fn written(verdict: Verdict, out: String) -> (Verdict, String) {
        let changed = matches!(verdict, Verdict::Changed(_));
        (verdict, if changed { out } else { String::new() })
    }

    /// Numbers as people write them become E.164; what is no number is said to be none.
    #[test]
    fn cases() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("US", "(415) 555-0132", Some("+14155550132")),
            ("us", "415.555.0132", Some("+14155550132")),
            ("US", "1-415-555-0132", Some("+14155550132")),
            ("US", "+1 415 555 0132", Some("+14155550132")),
            ("US", "+14155550132", Some("+14155550132")),
            ("US", "415-555-0132 ext. 7", Some("+14155550132;ext=7")),
            ("US", "+44 20 7183 8750", Some("+442071838750")),
            ("US", "011 44 20 7183 8750", Some("+442071838750")),
            ("DE", "0049 30 901820", Some("+4930901820")),
            ("DE", "030 901820", Some("+4930901820")),
            ("DE", "+1 (415) 555-0132", Some("+14155550132")),
            ("GB", "4155550132", None),
            ("US", "1-800-FLOWERS", Some("+18003569377")),
            ("US", "123-456-7890", None),
            ("US", "415-155-0132", None),
            ("US", "415-555-013", None),
            ("US", "415-555-01321", None),
            ("US", "", None),
            ("US", "n/a", None),
            ("US", "+", None),
            ("US", "☎️ 12", None),
        ];
        for (region, cell, want) in cases {
            let kernel = NormalizePhone::new(region).unwrap();
            let (verdict, out) = clean(&kernel, cell);
            let got = match verdict {
                Verdict::Same => Some((*cell).to_owned()),
                Verdict::Changed(_) => Some(out),
                Verdict::Invalid => None,
            };
            assert_eq!(got.as_deref(), *want, "{cell:?} in {region}");
        }
        assert!(NormalizePhone::new("XX").is_err());
        assert!(NormalizePhone::new("").is_err());
        assert!(NormalizePhone::new("ÄÖ").is_err());
    }

    /// The short cut answers as the library does, over every prefix of the plan.
    #[test]
    fn short_cut_equals_the_library() {
        let us = NormalizePhone::new("US").unwrap();
        let jamaica = NormalizePhone::new("JM").unwrap();
        let germany = NormalizePhone::new("DE").unwrap();
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let (mut short, mut all) = (0, 0);
        for prefix in (2000..10_000u64).step_by(11) {
            for _ in 0..4 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let number = prefix * 1_000_000 + (state >> 33) % 1_000_000;
                let cell = match (state >> 20) % 5 {
                    0 => format!("{number}"),
                    1 => format!("1{number}"),
                    2 => format!("+1{number}"),
                    3 => format!("+1 ({}) {}", number / 10_000_000, number % 10_000_000),
                    _ => format!("{}-{:07}", number / 10_000_000, number % 10_000_000),
                };
                let kernel = [&us, &us, &jamaica, &germany][(state >> 50) as usize % 4];
                let Some(digits) = nanp_digits(cell.as_bytes(), kernel.is_nanp) else {
                    continue;
                };
                // Seen often enough for the short cut.
                for _ in 0..SEEN_BEFORE_PROBE {
                    nanp_validity(&digits);
                }
                assert_eq!(clean(kernel, &cell), library(kernel, &cell), "{cell}");
                all += 1;
                short += usize::from(nanp_validity(&digits) != Validity::Mixed);
            }
        }
        println!("{short} of {all} random numbers took the short cut");
        assert!(short * 4 > all * 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// However digits and signs are mixed, the answer is the library's.
        #[test]
        fn any_writing_equals_the_library(cell in "[+]?[-+ .()]{0,2}1?[-. (]?(415|212|876|246|800|[2-9][0-9]{2})[-. )]{0,2}[2-9][0-9]{2}[-. ()]{0,2}[0-9]{3,5}[-. )x#]?") {
            for region in ["US", "BB", "FR"] {
                let kernel = NormalizePhone::new(region).unwrap();
                prop_assert_eq!(clean(&kernel, &cell), library(&kernel, &cell));
            }
        }

        /// No text makes it panic.
        #[test]
        fn any_text_is_answered(cell in any::<String>()) {
            let kernel = NormalizePhone::new("US").unwrap();
            clean(&kernel, &cell);
        }
    }

    /// The example numbers of libphonenumber's own metadata, in their national form.
    #[test]
    fn example_numbers() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shared/data/norm_libphonenumber/example_numbers.csv"
        );
        let Ok(text) = std::fs::read_to_string(path) else {
            println!("skipped: {path} is missing");
            return;
        };
        let (mut right, mut all) = (0, 0);
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let &[region, _, _, national, .., e164] = fields.as_slice() else {
                continue;
            };
            let Ok(kernel) = NormalizePhone::new(region) else {
                // Numbers of no region ("001") have no national form.
                continue;
            };
            all += 1;
            right += usize::from(clean(&kernel, national).1 == e164);
        }
        println!("{right} of {all} example numbers normalised to their E.164");
        assert!(all > 1_000 && right * 100 >= all * 99);
    }
}
