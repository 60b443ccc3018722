//! The arithmetic that numbers of persons, cards and companies carry their check digits by.
//!
//! Every function takes the digits as numbers 0 to 9 and answers `false` for a wrong length.

/// Luhn (ISO/IEC 7812-1 annex B): every second digit from the right doubled.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .zip(0..)
        .map(|(&digit, place)| {
            let digit = u32::from(digit);
            match (place % 2 == 1, digit * 2) {
                (true, double) if double > 9 => double - 9,
                (true, double) => double,
                (false, _) => digit,
            }
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// Whether a card of this length and beginning is issued by a known network.
pub(super) fn is_card_issuer(digits: &[u8]) -> bool {
    let prefix = |length: usize| number(digits.get(..length).unwrap_or_default());
    match digits.len() {
        13 | 19 => digits[0] == 4 || matches!(prefix(2), 62 | 65),
        // Maestro alone issues cards this short.
        12 => matches!(prefix(2), 50 | 56..=58 | 63 | 67),
        14 => matches!(prefix(3), 300..=305 | 309) || matches!(prefix(2), 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37) || matches!(prefix(4), 2014 | 2149 | 2131 | 1800),
        16 => {
            digits[0] == 4
                || matches!(prefix(2), 51..=55 | 60..=65 | 35 | 36 | 50 | 56..=58 | 67)
                || matches!(prefix(4), 2221..=2720)
        }
        17 | 18 => matches!(prefix(2), 62 | 50 | 56..=58 | 67),
        _ => false,
    }
}

/// The digits as one number; at most nineteen of them fit.
pub(super) fn number(digits: &[u8]) -> u64 {
    digits.iter().take(19).fold(0u64, |number, &digit| {
        number.wrapping_mul(10).wrapping_add(u64::from(digit))
    })
}

fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits
        .iter()
        .zip(weights)
        .map(|(&digit, weight)| u32::from(digit) * weight)
        .sum()
}

/// Verhoeff's dihedral check (1969), used by the Indian Aadhaar.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    /// Multiplication in the dihedral group of order ten.
    fn times(one: u8, two: u8) -> u8 {
        match (one < 5, two < 5) {
            (true, true) => (one + two) % 5,
            (true, false) => (one + two - 5) % 5 + 5,
            (false, true) => (one - 5 + 5 - two) % 5 + 5,
            (false, false) => (one + 5 - two) % 5,
        }
    }
    const PERMUTATION: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let check = digits
        .iter()
        .rev()
        .zip(0..)
        .fold(0, |check, (&digit, place)| {
            let permuted =
                (0..place % 8).fold(digit, |digit, _| PERMUTATION[usize::from(digit % 10)]);
            times(check, permuted)
        });
    !digits.is_empty() && check == 0
}

/// UK National Health Service number: weights 10 to 2, modulo 11.
pub(super) fn uk_nhs(digits: &[u8]) -> bool {
    if digits.len() != 10 || is_one_digit(digits) {
        return false;
    }
    let rest = 11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    rest % 11 == u32::from(digits[9])
}

/// Australian tax file number of nine digits, modulo 11.
pub(super) fn au_tfn(digits: &[u8]) -> bool {
    digits.len() == 9
        && !is_one_digit(digits)
        && weighted(digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
}

/// Australian business number, modulo 89 after one is taken from its first digit.
pub(super) fn au_abn(digits: &[u8]) -> bool {
    digits.len() == 11
        && digits[0] > 0
        && (weighted(digits, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]) - 10).is_multiple_of(89)
}

/// Australian company number: weights 8 to 1, the complement to ten.
pub(super) fn au_acn(digits: &[u8]) -> bool {
    digits.len() == 9
        && !is_one_digit(digits)
        && (10 - weighted(digits, &[8, 7, 6, 5, 4, 3, 2, 1]) % 10) % 10 == u32::from(digits[8])
}

/// Canadian social insurance number: Luhn; none begins with 0 or 8.
pub(super) fn ca_sin(digits: &[u8]) -> bool {
    digits.len() == 9 && !matches!(digits[0], 0 | 8) && !is_one_digit(digits) && luhn(digits)
}

/// Polish PESEL: date of birth with the century in its month, and a check digit.
pub(super) fn pl_pesel(digits: &[u8]) -> bool {
    if digits.len() != 11 {
        return false;
    }
    let month = (digits[2] % 2) * 10 + digits[3];
    let day = digits[4] * 10 + digits[5];
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (10 - sum % 10) % 10 == u32::from(digits[10])
}

/// Indian Aadhaar: twelve digits, the first 2 to 9, Verhoeff, no palindrome.
pub(super) fn in_aadhaar(digits: &[u8]) -> bool {
    digits.len() == 12
        && digits[0] >= 2
        && digits.iter().ne(digits.iter().rev())
        && verhoeff(digits)
}

/// Ranges issued by the US Social Security Administration: area not 000, 666 or from 900 on, group not 00, serial not
/// 0000; and not a number that was withdrawn because it was published.
pub(super) fn us_ssn(digits: &[u8]) -> bool {
    digits.len() == 9
        && !matches!(number(&digits[..3]), 0 | 666 | 900..)
        && number(&digits[3..5]) != 0
        && number(&digits[5..]) != 0
        && !is_one_digit(digits)
        && !matches!(number(digits), 78_051_120 | 219_099_999 | 123_456_789)
}

fn is_one_digit(digits: &[u8]) -> bool {
    digits.iter().all(|digit| Some(digit) == digits.first())
}

/// Spanish NIF or NIE: the letter that the number has modulo 23.
pub(super) fn es_nif(code: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let Some((letter, body)) = code.split_last() else {
        return false;
    };
    let mut value = 0;
    for (place, &byte) in body.iter().enumerate() {
        let digit = match byte.to_ascii_uppercase() {
            b'0'..=b'9' => usize::from(byte - b'0'),
            // A foreigner's number begins with a letter that stands for a digit.
            letter @ b'X'..=b'Z' if place == 0 => usize::from(letter - b'X'),
            _ => return false,
        };
        value = (value * 10 + digit) % 23;
    }
    (7..=8).contains(&body.len()) && LETTERS[value] == letter.to_ascii_uppercase()
}

/// Singapore NRIC and FIN: weights 2 7 6 5 4 3 2 and a table of letters for each series.
pub(super) fn sg_nric(code: &[u8]) -> bool {
    let &[series, .., check] = code else {
        return false;
    };
    let digits: Vec<u8> = code[1..code.len() - 1]
        .iter()
        .map(|byte| byte.wrapping_sub(b'0'))
        .collect();
    if digits.len() != 7 || digits.iter().any(|&digit| digit > 9) {
        return false;
    }
    let sum = weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]);
    let (letters, offset): (&[u8; 11], u32) = match series.to_ascii_uppercase() {
        b'S' => (b"JZIHGFEDCBA", 0),
        b'T' => (b"JZIHGFEDCBA", 4),
        b'F' => (b"XWUTRQPNMLK", 0),
        b'G' => (b"XWUTRQPNMLK", 4),
        b'M' => (b"XWUTRQPNJLK", 3),
        _ => return false,
    };
    letters[((sum + offset) % 11) as usize] == check.to_ascii_uppercase()
}

/// Italian fiscal code of sixteen characters: the last is a letter computed from the others.
pub(super) fn it_fiscal_code(code: &[u8]) -> bool {
    /// What digits and letters count for in the odd places, counted from one.
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let Some((check, body)) = code.split_last() else {
        return false;
    };
    let mut sum = 0;
    for (place, byte) in body.iter().enumerate() {
        let index = match byte.to_ascii_uppercase() {
            digit @ b'0'..=b'9' => usize::from(digit - b'0'),
            letter @ b'A'..=b'Z' => usize::from(letter - b'A'),
            _ => return false,
        };
        sum += if place % 2 == 0 {
            ODD[index]
        } else {
            index as u32
        };
    }
    body.len() == 15 && sum % 26 == u32::from(check.to_ascii_uppercase().wrapping_sub(b'A'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes()
            .filter(u8::is_ascii_digit)
            .map(|byte| byte - b'0')
            .collect()
    }

    /// One number of each kind that its authority publishes as an example, and the same with its
    /// last digit one higher.
    #[test]
    fn examples() {
        type Check = fn(&[u8]) -> bool;
        let cases: [(Check, &str); 9] = [
            (luhn, "4111111111111111"),
            (verhoeff, "2363"),
            (uk_nhs, "943 476 5919"),
            (au_tfn, "876543210"),
            (au_abn, "51 824 753 556"),
            (au_acn, "004 085 616"),
            (ca_sin, "130 692 544"),
            (pl_pesel, "44051401359"),
            (in_aadhaar, "2341 2341 2346"),
        ];
        for (check, text) in cases {
            let mut number = digits(text);
            assert!(check(&number), "{text}");
            if let Some(last) = number.last_mut() {
                *last = (*last + 1) % 10;
            }
            assert!(!check(&number), "{text} changed");
        }
        assert!(us_ssn(&digits("536-90-4399")));
        assert!(!us_ssn(&digits("666-12-3456")) && !us_ssn(&digits("900-12-3456")));
        assert!(!us_ssn(&digits("536-00-4399")) && !us_ssn(&digits("536-90-0000")));
        assert!(es_nif(b"12345678Z") && es_nif(b"X1234567L") && !es_nif(b"12345678A"));
        assert!(sg_nric(b"S1234567D") && !sg_nric(b"S1234567E"));
        assert!(it_fiscal_code(b"RSSMRA85T10A562S") && !it_fiscal_code(b"RSSMRA85T10A562T"));
        assert!(is_card_issuer(&digits("4111111111111111")));
        assert!(!is_card_issuer(&digits("1111111111111111")));
    }

    proptest! {
        /// Any bytes and any digits are answered, and Verhoeff finds every change of one digit.
        #[test]
        fn total(bytes in prop::collection::vec(any::<u8>(), 0..20), number in prop::collection::vec(0u8..10, 0..20), at in 0usize..20, by in 1u8..10) {
            for check in [es_nif, sg_nric, it_fiscal_code] {
                check(&bytes);
            }
            for check in [luhn, verhoeff, uk_nhs, au_tfn, au_abn, au_acn, ca_sin, pl_pesel, in_aadhaar, us_ssn, is_card_issuer] {
                check(&number);
            }
            if verhoeff(&number) && at < number.len() {
                let mut changed = number.clone();
                changed[at] = (changed[at] + by) % 10;
                prop_assert!(!verhoeff(&changed));
            }
        }
    }
}
