//! Normalises telephone numbers to E.164 (ITU-T), with libphonenumber's metadata and rules.
//!
//! The library takes microseconds per number. Numbers of country code 1 (the North American plan, all of ten digits)
//! have a fast path: nearly always the area code and the next digit determine whether such a number is valid. Area
//! codes that need more digits are left to the library; the results are the library's in every case, and a test
//! compares every block of 10,000 numbers.

use rlibphonenumber::enums::Region;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};

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
    /// Creates a kernel that reads numbers without a country code as numbers of `region` (ISO 3166-1 alpha-2, any
    /// case).
    ///
    /// # Errors
    /// When the region is unknown.
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
            // Words, not numbers; of other scripts the library knows the digits.
            if cell.is_ascii() && !cell.bytes().any(|byte| byte.is_ascii_digit()) {
                return Verdict::Invalid;
            }
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
        // 011 begins a number of another country.
        (10, first, false) if region_is_nanp && (first > 0 || digits[1..3] != [1, 1]) => {
            let mut national = [0; 10];
            national.copy_from_slice(&digits[..10]);
            Some(national)
        }
        (11, 1, plus) if plus || region_is_nanp => {
            let mut national = [0; 10];
            national.copy_from_slice(&digits[1..]);
            Some(national)
        }
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    Valid,
    Invalid,
    /// Depends on more digits: the library must be asked.
    Mixed,
}

/// Area codes in which every number is valid whose fourth digit is at least 2, and no other.
#[rustfmt::skip]
const OPEN: [u16; 441] = [201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 220, 223, 224, 225, 226, 227, 228, 229, 231, 234, 235, 236, 239, 240, 248, 249, 250, 251, 252, 253, 254, 256, 257, 260, 262, 263, 267, 269, 270, 272, 273, 274, 276, 279, 281, 283, 289, 301, 302, 303, 304, 305, 306, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 324, 325, 326, 327, 329, 330, 331, 332, 334, 336, 337, 339, 341, 343, 346, 347, 350, 351, 352, 353, 354, 360, 361, 363, 364, 365, 367, 368, 369, 380, 382, 385, 386, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 412, 413, 414, 415, 416, 417, 418, 419, 423, 424, 425, 428, 430, 431, 432, 434, 435, 437, 438, 440, 442, 443, 445, 447, 448, 450, 458, 463, 464, 468, 469, 470, 472, 474, 475, 478, 479, 480, 484, 500, 501, 502, 503, 504, 505, 506, 507, 508, 509, 510, 512, 513, 514, 515, 516, 517, 518, 519, 520, 521, 522, 525, 526, 527, 528, 529, 530, 531, 532, 533, 534, 539, 540, 541, 544, 548, 551, 557, 559, 561, 562, 563, 564, 566, 567, 570, 571, 572, 573, 574, 575, 577, 579, 580, 581, 582, 584, 585, 586, 587, 588, 600, 601, 602, 603, 604, 605, 606, 607, 608, 609, 610, 612, 613, 614, 615, 616, 617, 618, 619, 620, 622, 623, 626, 628, 629, 630, 631, 633, 636, 639, 640, 641, 645, 646, 647, 650, 651, 656, 657, 658, 659, 660, 661, 662, 667, 669, 672, 678, 680, 681, 682, 683, 686, 689, 701, 702, 703, 704, 705, 706, 707, 708, 709, 712, 713, 714, 715, 716, 717, 718, 719, 720, 724, 725, 726, 727, 728, 730, 731, 732, 734, 737, 738, 740, 742, 743, 747, 748, 753, 754, 757, 760, 762, 763, 765, 769, 770, 771, 772, 773, 774, 775, 778, 779, 780, 781, 782, 785, 786, 787, 801, 802, 803, 804, 805, 806, 807, 808, 810, 812, 813, 814, 815, 816, 817, 818, 819, 820, 821, 825, 826, 828, 830, 831, 832, 833, 835, 838, 839, 840, 843, 844, 845, 847, 848, 850, 854, 855, 856, 857, 858, 859, 860, 862, 863, 864, 865, 866, 867, 870, 872, 873, 877, 878, 879, 888, 900, 901, 902, 903, 904, 905, 906, 907, 908, 909, 910, 912, 913, 914, 915, 916, 917, 918, 919, 920, 925, 928, 929, 930, 931, 934, 936, 937, 938, 939, 940, 941, 942, 943, 945, 947, 948, 949, 951, 952, 954, 956, 959, 970, 971, 972, 973, 975, 978, 979, 980, 984, 985, 986, 989];

/// Area codes some of whose numbers are valid, by another rule. No number of a code that is in neither list is valid.
#[rustfmt::skip]
const IRREGULAR: [u16; 28] = [242, 246, 264, 268, 284, 340, 345, 441, 473, 523, 524, 649, 664, 670, 671, 684, 721, 758, 767, 784, 800, 809, 829, 849, 868, 869, 876, 983];

/// What is known of the numbers of each area code whose fourth digit is at least 2.
static AREAS: [Validity; 1000] = {
    let mut areas = [Validity::Invalid; 1000];
    let mut place = 0;
    while place < OPEN.len() {
        areas[OPEN[place] as usize] = Validity::Valid;
        place += 1;
    }
    place = 0;
    while place < IRREGULAR.len() {
        areas[IRREGULAR[place] as usize] = Validity::Mixed;
        place += 1;
    }
    areas
};

fn nanp_validity(digits: &[u8; 10]) -> Validity {
    let area = digits[..3]
        .iter()
        .fold(0, |area, &digit| area * 10 + usize::from(digit));
    match AREAS[area] {
        Validity::Valid if digits[3] < 2 => Validity::Invalid,
        validity => validity,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;
    use rlibphonenumber::PhoneNumber;

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

    /// Discards the buffer unless the cell changed.
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

    /// The lists of area codes are the library's numbering plan: one number of every block of
    /// 10,000, which the plan assigns whole. (246-521 and 876-606 are split; their codes are
    /// irregular in any case.)
    #[test]
    fn area_codes_are_those_of_the_plan() {
        for block in 200_000..1_000_000_u64 {
            let national_number = block * 10_000 + (block * 1_237 + 123) % 10_000;
            let mut digits = [0; 10];
            for (place, digit) in digits.iter_mut().enumerate() {
                *digit = (national_number / 10_u64.pow(9 - place as u32) % 10) as u8;
            }
            let number = PhoneNumber {
                country_code: 1,
                national_number,
                ..PhoneNumber::default()
            };
            match nanp_validity(&digits) {
                Validity::Mixed => {}
                known => assert_eq!(
                    known == Validity::Valid,
                    number.is_valid(),
                    "{national_number}: the numbering plan has changed, and so must the lists"
                ),
            }
        }
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
        fn any_writing_equals_the_library(cell in "[+]?[-+ .()]{0,2}1?[-. (]?(415|212|876|246|800|000|011|111|[01][0-9]{2}|[2-9][0-9]{2})[-. )]{0,2}[0-9]{3}[-. ()]{0,2}[0-9]{3,5}[-. )x#]?") {
            for region in ["US", "BB", "FR"] {
                let kernel = NormalizePhone::new(region).unwrap();
                prop_assert_eq!(clean(&kernel, &cell), library(&kernel, &cell));
            }
        }

        /// No text makes it panic.
        #[test]
        fn any_text_is_answered(cell in any::<String>()) {
            let kernel = NormalizePhone::new("US").unwrap();
            prop_assert_eq!(clean(&kernel, &cell), library(&kernel, &cell));
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
