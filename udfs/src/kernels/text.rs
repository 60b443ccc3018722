//! Cleans free text: white space, control characters, Unicode form, case, quotes, mojibake.
//!
//! Most cells of a real column are clean ASCII already; one branch-free pass over the bytes
//! proves that and nothing is written. Everything else takes the slow path, step by step.

use unicode_normalization::{
    IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfd_quick, is_nfkc_quick, is_nfkd_quick,
};

use super::cell::{CellKernel, Verdict};
use super::mojibake;

/// The letter case a text column is brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Case {
    /// All letters lower case.
    Lower,
    /// All letters upper case.
    Upper,
    /// The first letter of every word upper case, the others lower case.
    Title,
}

/// A Unicode normalisation form (UAX #15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnicodeForm {
    /// Canonical composition.
    Nfc,
    /// Compatibility composition: also turns ligatures, full-width forms and such into plain letters.
    Nfkc,
    /// Canonical decomposition.
    Nfd,
    /// Compatibility decomposition.
    Nfkd,
}

/// Cleans one cell of text; a cell of white space only becomes `""`.
///
/// The steps run in the order mojibake, control characters and white space, Unicode form, case,
/// quotes, so that each sees what the ones before it produced; cleaning twice is cleaning once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalizeText {
    /// Remove white space at both ends.
    pub trim: bool,
    /// Replace every run of white space by one blank.
    pub collapse_whitespace: bool,
    /// Letter case of the result; `None` keeps it.
    pub case: Option<Case>,
    /// Unicode form of the result; `None` keeps the code points.
    pub unicode: Option<UnicodeForm>,
    /// Remove control characters, byte order marks and zero-width spaces; tabs and line ends count
    /// as white space and are kept when [`Self::collapse_whitespace`] is off.
    pub strip_control: bool,
    /// Repair UTF-8 that was read as Latin-1 or Windows-1252 ("FranÃ§ois").
    pub fix_mojibake: bool,
    /// Replace typographic quotation marks and apostrophes by `"` and `'`.
    pub straighten_quotes: bool,
}

impl Default for NormalizeText {
    fn default() -> Self {
        Self {
            trim: true,
            collapse_whitespace: true,
            case: None,
            unicode: Some(UnicodeForm::Nfc),
            strip_control: true,
            fix_mojibake: false,
            straighten_quotes: false,
        }
    }
}

impl CellKernel for NormalizeText {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        if self.is_clean_ascii(cell.as_bytes()) {
            return Verdict::Same;
        }
        if cell.is_ascii() {
            self.respace(cell, out);
            self.recase_ascii(out);
        } else {
            self.clean_unicode(cell, out);
        }
        if out == cell {
            Verdict::Same
        } else {
            Verdict::Changed(1.0)
        }
    }
}

/// Properties of the bytes of a cell: bit 7 of any byte of a field is set if one of them has the property.
#[derive(Default)]
struct ByteClasses {
    /// A byte outside `0x20..=0x7E`.
    unusual: u64,
    /// Two blanks in a row.
    double_blank: u64,
    lower: u64,
    upper: u64,
}

impl ByteClasses {
    /// Processes eight bytes at a time; the last eight may overlap the ones before.
    fn of(bytes: &[u8]) -> Self {
        let mut seen = Self::default();
        let Some(last) = bytes.last_chunk::<8>() else {
            let mut word = [b'!'; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            seen.see(u64::from_le_bytes(word), 0);
            return seen;
        };
        let mut blank_before = 0;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            blank_before = seen.see(u64::from_le_bytes(*word), blank_before);
        }
        if !rest.is_empty() {
            seen.see(u64::from_le_bytes(*last), 0);
        }
        seen
    }

    /// Processes eight bytes, the first in the lowest bits, given whether a space precedes them; returns whether they
    /// end in one.
    #[inline(always)]
    fn see(&mut self, word: u64, blank_before: u64) -> u64 {
        const HIGH: u64 = 0x8080_8080_8080_8080;
        const fn each(byte: u8) -> u64 {
            u64::from_ne_bytes([byte; 8])
        }
        // Adding `0x80 - x` to seven bits sets the eighth where they are at least x.
        let low = word & !HIGH;
        let at_least = |byte: u8| low + each(0x80 - byte);
        self.unusual |= (word | !at_least(0x20) | at_least(0x7F)) & HIGH;
        self.lower |= at_least(b'a') & !at_least(b'z' + 1) & HIGH;
        self.upper |= at_least(b'A') & !at_least(b'Z' + 1) & HIGH;
        // Of bytes with the eighth bit set some pass for blanks; they are unusual anyway.
        let blank = at_least(0x20) & !at_least(0x21) & HIGH;
        self.double_blank |= blank & ((blank << 8) | blank_before);
        blank >> 56
    }
}

impl NormalizeText {
    /// Returns whether no step could change these bytes; `false` means "unknown".
    fn is_clean_ascii(&self, bytes: &[u8]) -> bool {
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
            return true;
        };
        if self.trim && (*first == b' ' || *last == b' ') {
            return false;
        }
        let seen = ByteClasses::of(bytes);
        let case_is_kept = match self.case {
            None => true,
            Some(Case::Lower) => seen.upper == 0,
            Some(Case::Upper) => seen.lower == 0,
            Some(Case::Title) => seen.upper == 0 && seen.lower == 0,
        };
        seen.unusual == 0 && case_is_kept && !(self.collapse_whitespace && seen.double_blank != 0)
    }

    fn clean_unicode(&self, cell: &str, out: &mut String) {
        let mut text = std::borrow::Cow::Borrowed(cell);
        if self.fix_mojibake
            && let Some(repaired) = mojibake::repair(&text)
        {
            text = repaired.into();
        }
        // Control characters go first: one between a letter and its accent would keep the two apart.
        let mut spaced = String::with_capacity(text.len());
        self.respace(&text, &mut spaced);
        match self.case {
            None => self.normalize(&spaced, out),
            Some(case) => {
                let mut formed = String::with_capacity(spaced.len());
                self.normalize(&spaced, &mut formed);
                let mut cased = String::with_capacity(formed.len());
                recase(case, &formed, &mut cased);
                // Changing case can leave the form: "ǰ" in upper case is two code points.
                self.normalize(&cased, out);
            }
        }
        // Compatibility forms make blanks of characters such as U+00A8 (blank and diaeresis).
        if matches!(self.unicode, Some(UnicodeForm::Nfkc | UnicodeForm::Nfkd)) {
            spaced.clear();
            self.respace(out, &mut spaced);
            std::mem::swap(out, &mut spaced);
        }
        // Last, for compatibility forms make single primes of double and triple ones.
        if self.straighten_quotes && out.chars().any(|c| straight(c).is_some()) {
            *out = out.chars().map(|c| straight(c).unwrap_or(c)).collect();
        }
    }

    fn normalize(&self, text: &str, out: &mut String) {
        let Some(form) = self.unicode else {
            out.push_str(text);
            return;
        };
        let quick = match form {
            UnicodeForm::Nfc => is_nfc_quick(text.chars()),
            UnicodeForm::Nfkc => is_nfkc_quick(text.chars()),
            UnicodeForm::Nfd => is_nfd_quick(text.chars()),
            UnicodeForm::Nfkd => is_nfkd_quick(text.chars()),
        };
        if quick == IsNormalized::Yes {
            out.push_str(text);
            return;
        }
        // Nothing before a character of ASCII joins with it, so a piece is one such character and
        // what is not ASCII behind it.
        let mut rest = text;
        while !rest.is_empty() {
            let ascii = rest
                .bytes()
                .position(|byte| !byte.is_ascii())
                .unwrap_or(rest.len() + 1);
            let (plain, tail) = rest.split_at(ascii.saturating_sub(1));
            out.push_str(plain);
            let end = (1..tail.len())
                .find(|at| tail.as_bytes()[*at].is_ascii())
                .unwrap_or(tail.len());
            let (piece, after) = tail.split_at(end);
            match form {
                UnicodeForm::Nfc => out.extend(piece.nfc()),
                UnicodeForm::Nfkc => out.extend(piece.nfkc()),
                UnicodeForm::Nfd => out.extend(piece.nfd()),
                UnicodeForm::Nfkd => out.extend(piece.nfkd()),
            }
            rest = after;
        }
    }

    /// Writes `text` without the white space and the control characters that are not wanted.
    fn respace(&self, text: &str, out: &mut String) {
        let mut blank_due = false;
        let mut rest = text;
        loop {
            // Most of a text is letters and signs of ASCII: word by word.
            let word = rest
                .bytes()
                .position(|byte| !byte.is_ascii_graphic())
                .unwrap_or(rest.len());
            if word > 0 {
                if std::mem::take(&mut blank_due) {
                    out.push(' ');
                }
                out.push_str(&rest[..word]);
                rest = &rest[word..];
            }
            let mut others = rest.chars();
            let Some(c) = others.next() else { break };
            rest = others.as_str();
            if c.is_whitespace() {
                if !self.collapse_whitespace {
                    out.push(c);
                } else if self.trim && out.is_empty() {
                    // Leading.
                } else {
                    blank_due = true;
                }
            } else if self.strip_control && is_noise(c) {
                // Dropped.
            } else {
                if std::mem::take(&mut blank_due) {
                    out.push(' ');
                }
                out.push(c);
            }
        }
        if blank_due && !self.trim {
            out.push(' ');
        }
        if self.trim && !self.collapse_whitespace {
            out.truncate(out.trim_end().len());
            let leading = out.len() - out.trim_start().len();
            out.drain(..leading);
        }
    }

    fn recase_ascii(&self, out: &mut String) {
        match self.case {
            None => {}
            Some(Case::Lower) => out.make_ascii_lowercase(),
            Some(Case::Upper) => out.make_ascii_uppercase(),
            Some(Case::Title) => {
                let text = std::mem::take(out);
                recase(Case::Title, &text, out);
            }
        }
    }
}

/// Characters that show nothing and only break comparisons: C0 and C1 controls, byte order mark,
/// zero-width space, word joiner, soft hyphen. Joiners that shape letters (U+200C, U+200D) stay.
fn is_noise(c: char) -> bool {
    c.is_control() || matches!(c, '\u{FEFF}' | '\u{200B}' | '\u{2060}' | '\u{AD}')
}

fn straight(c: char) -> Option<char> {
    match c {
        '\u{2018}'..='\u{201B}' | '\u{2032}' | '\u{02BC}' => Some('\''),
        '\u{201C}'..='\u{201F}' | '\u{2033}' => Some('"'),
        _ => None,
    }
}

fn recase(case: Case, text: &str, out: &mut String) {
    match case {
        // `str::to_lowercase` knows the final sigma, which a character alone cannot.
        Case::Lower => out.push_str(&text.to_lowercase()),
        Case::Upper => out.extend(text.chars().flat_map(char::to_uppercase)),
        Case::Title => {
            let mut in_word = false;
            for c in text.chars() {
                if in_word {
                    out.extend(c.to_lowercase());
                } else {
                    title_letter(c, out);
                }
                // An apostrophe does not begin a word ("Don't"), a hyphen does ("Anne-Marie");
                // a combining mark belongs to the letter before it.
                in_word = if c == '\'' || straight(c) == Some('\'') {
                    in_word
                } else {
                    c.is_alphanumeric() || (in_word && is_mark(c))
                };
            }
        }
    }
}

fn title_letter(c: char, out: &mut String) {
    // "ß" has an upper case of two letters, of which only the first may be upper case in a title.
    let mut upper = c.to_uppercase();
    if let Some(first) = upper.next() {
        out.push(first);
    }
    for c in upper {
        out.extend(c.to_lowercase());
    }
}

fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn clean(kernel: &NormalizeText, cell: &str) -> Option<String> {
        let mut out = String::new();
        match kernel.clean(cell, &mut out) {
            Verdict::Same => None,
            Verdict::Changed(score) => {
                assert_eq!(score, 1.0);
                Some(out)
            }
            Verdict::Invalid => panic!("text is never invalid"),
        }
    }

    /// Each step does what it says, and clean text is left alone.
    #[test]
    fn cases() {
        let plain = NormalizeText::default();
        let lower = NormalizeText {
            case: Some(Case::Lower),
            ..plain.clone()
        };
        let upper = NormalizeText {
            case: Some(Case::Upper),
            ..plain.clone()
        };
        let title = NormalizeText {
            case: Some(Case::Title),
            ..plain.clone()
        };
        let wide = NormalizeText {
            unicode: Some(UnicodeForm::Nfkc),
            ..plain.clone()
        };
        let apart = NormalizeText {
            unicode: Some(UnicodeForm::Nfd),
            ..plain.clone()
        };
        let quotes = NormalizeText {
            straighten_quotes: true,
            ..plain.clone()
        };
        let repair = NormalizeText {
            fix_mojibake: true,
            ..plain.clone()
        };
        let spaces_kept = NormalizeText {
            collapse_whitespace: false,
            ..plain.clone()
        };
        let nothing = NormalizeText {
            trim: false,
            collapse_whitespace: false,
            unicode: None,
            strip_control: false,
            ..plain.clone()
        };
        let cases: &[(&NormalizeText, &str, &str)] = &[
            (&plain, "", ""),
            (&plain, "   ", ""),
            (&plain, "\u{a0}\t\n", ""),
            (&plain, "Ada Lovelace", "Ada Lovelace"),
            (&plain, " Ada  Lovelace\t", "Ada Lovelace"),
            (&plain, "a\u{a0}\u{2003}b", "a b"),
            (&plain, "a\u{0}b\u{7f}c\u{feff}", "abc"),
            (&plain, "line\r\nend", "line end"),
            (&plain, "e\u{301}t\u{e9}", "\u{e9}t\u{e9}"),
            (&plain, "e\u{0}\u{301}", "\u{e9}"),
            (&plain, "Zoë 👩‍👩‍👧", "Zoë 👩‍👩‍👧"),
            (&plain, "A  \u{0}  B", "A B"),
            (&lower, "ÀB ΟΔΟΣ", "àb οδος"),
            (&lower, "ABC", "abc"),
            (&upper, "straße", "STRASSE"),
            (&title, "anne-marie o'NEIL ßa", "Anne-Marie O'neil Ssa"),
            (&title, "3rd éCOLE", "3rd École"),
            (&wide, "ＡＢＣ ﬁ ½", "ABC fi 1⁄2"),
            (&apart, "\u{e9}", "e\u{301}"),
            (&quotes, "“It’s”", "\"It's\""),
            (&repair, "FranÃ§ois", "François"),
            (&repair, "Ã‰cole â€œtestâ€\u{9d} â‚¬", "École “test” €"),
            (&repair, "FranÃƒÂ§ois", "François"),
            (&repair, "São João à Ávila", "São João à Ávila"),
            (&spaces_kept, " a \t b ", "a \t b"),
            (&nothing, " a\u{0}\t e\u{301} ", " a\u{0}\t e\u{301} "),
        ];
        for (kernel, cell, want) in cases {
            let got = clean(kernel, cell).unwrap_or_else(|| (*cell).to_owned());
            assert_eq!(&got, want, "{cell:?} with {kernel:?}");
        }
    }

    fn any_kernel() -> impl Strategy<Value = NormalizeText> {
        let case = prop_oneof![
            Just(None),
            Just(Some(Case::Lower)),
            Just(Some(Case::Upper)),
            Just(Some(Case::Title))
        ];
        let form = prop_oneof![
            Just(None),
            Just(Some(UnicodeForm::Nfc)),
            Just(Some(UnicodeForm::Nfkc)),
            Just(Some(UnicodeForm::Nfd)),
            Just(Some(UnicodeForm::Nfkd))
        ];
        (any::<[bool; 5]>(), case, form).prop_map(|(on, case, unicode)| NormalizeText {
            trim: on[0],
            collapse_whitespace: on[1],
            case,
            unicode,
            strip_control: on[2],
            fix_mojibake: on[3],
            straighten_quotes: on[4],
        })
    }

    proptest! {
        /// ASCII text: cleaning twice is cleaning once, and the fast path agrees with the slow one.
        #[test]
        fn ascii_is_idempotent_and_fast_path_is_exact(kernel in any_kernel(), cell in "[ -~]{0,12}[ \\t\\n\\x00a-cA-C]{0,12}") {
            let once = clean(&kernel, &cell).unwrap_or_else(|| cell.clone());
            prop_assert!(clean(&kernel, &once).is_none());
            let mut slow = String::new();
            kernel.clean_unicode(&cell, &mut slow);
            prop_assert_eq!(slow, once);
        }

        /// The words of eight bytes see what the bytes are one by one.
        #[test]
        fn classes_are_those_of_the_bytes(bytes in prop::collection::vec(prop_oneof![3 => Just(b' '), 4 => any::<u8>()], 0..40)) {
            let seen = ByteClasses::of(&bytes);
            let unusual = bytes.iter().any(|byte| !(0x20..=0x7E).contains(byte));
            prop_assert_eq!(seen.unusual != 0, unusual);
            if !unusual {
                prop_assert_eq!(seen.double_blank != 0, bytes.windows(2).any(|two| two == b"  "));
                prop_assert_eq!(seen.lower != 0, bytes.iter().any(u8::is_ascii_lowercase));
                prop_assert_eq!(seen.upper != 0, bytes.iter().any(u8::is_ascii_uppercase));
            }
        }

        /// Piece by piece a text comes to the same form as at once.
        #[test]
        fn pieces_are_the_whole(text in "[a-cA\u{301}\u{327}\u{323}\u{e9}\u{1e69}\u{fb01}\u{1100}\u{1161}\u{ac00}\u{11a8}\u{3099}\u{304b} ]{0,16}") {
            let formed = |form| {
                let mut out = String::new();
                let kernel = NormalizeText { unicode: Some(form), ..NormalizeText::default() };
                kernel.normalize(&text, &mut out);
                out
            };
            prop_assert_eq!(formed(UnicodeForm::Nfc), text.nfc().collect::<String>());
            prop_assert_eq!(formed(UnicodeForm::Nfkc), text.nfkc().collect::<String>());
            prop_assert_eq!(formed(UnicodeForm::Nfd), text.nfd().collect::<String>());
            prop_assert_eq!(formed(UnicodeForm::Nfkd), text.nfkd().collect::<String>());
        }

        /// Any text: no panic, white space and form are as asked for, and cleaning twice is cleaning once.
        #[test]
        fn any_text_is_cleaned(kernel in any_kernel(), cell in any::<String>()) {
            let out = clean(&kernel, &cell).unwrap_or_else(|| cell.clone());
            if !kernel.fix_mojibake {
                prop_assert_eq!(clean(&kernel, &out), None);
            }
            if kernel.trim {
                prop_assert_eq!(out.trim(), &out);
            }
            if kernel.collapse_whitespace {
                prop_assert!(!out.contains("  "));
            }
            if kernel.unicode == Some(UnicodeForm::Nfc) {
                prop_assert_eq!(out.nfc().collect::<String>(), out.clone());
            }
        }
    }
}
