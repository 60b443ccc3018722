//! International bank account numbers (ISO 13616), to their electronic notation.

use super::cell::{CellKernel, Verdict};

/// The longest number that the standard allows.
const LONGEST: usize = 34;

/// Writes bank account numbers in capitals without blanks. What fails the check digits, or the length
/// and the form that its country registered, is no number.
#[derive(Debug, Clone, Copy, Default)]
pub struct NormalizeIban;

impl CellKernel for NormalizeIban {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        for c in without_label(cell.trim()).chars() {
            match c {
                _ if c.is_ascii_alphanumeric() && out.len() < LONGEST => {
                    out.push(c.to_ascii_uppercase());
                }
                '-' | '.' => {}
                _ if c.is_whitespace() => {}
                _ => return Verdict::Invalid,
            }
        }
        if out.parse::<iban::Iban>().is_err() {
            Verdict::Invalid
        } else if out == cell {
            Verdict::Same
        } else {
            Verdict::Changed(1.0)
        }
    }
}

/// The text behind `IBAN` and a colon; no country has the code IB.
fn without_label(text: &str) -> &str {
    match text.split_at_checked(4) {
        Some((label, rest)) if label.eq_ignore_ascii_case("iban") => rest.trim_start_matches(':'),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(cell: &str) -> (Verdict, String) {
        let mut out = String::new();
        let verdict = NormalizeIban.clean(cell, &mut out);
        (verdict, out)
    }

    /// Numbers in the notations people write, and what is none.
    #[test]
    fn notations() {
        for cell in [
            "GB82 WEST 1234 5698 7654 32",
            "gb82west12345698765432",
            " GB82-WEST-1234-5698-7654-32 ",
            "IBAN: GB82 WEST 1234 5698 7654 32",
            "iban GB82WEST12345698765432",
        ] {
            let want = (Verdict::Changed(1.0), "GB82WEST12345698765432".to_owned());
            assert_eq!(clean(cell), want, "{cell}");
        }
        assert_eq!(clean("GB82WEST12345698765432").0, Verdict::Same);
        for cell in [
            "",
            "IBAN",
            "GB82 WEST 1234 5698 7654 33",
            "GB82 WEST 1234 5698 7654",
            "ZZ82 WEST 1234 5698 7654 32",
            "GB82/WEST/1234",
            "GB82WEST12345698765432 and more",
        ] {
            assert_eq!(clean(cell).0, Verdict::Invalid, "{cell}");
        }
    }

    proptest! {
        /// No text makes it fail.
        #[test]
        fn any_text(cell in "\\PC{0,40}|(iban)?[A-Z]{2}[0-9 ]{0,40}") {
            clean(&cell);
        }
    }
}
