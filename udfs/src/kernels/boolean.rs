//! Truth values as people write them.
//!
//! English words and letters, `1` and `0`, and the yes and no of French, German, Spanish and
//! Italian. A lone French `o` or German `j` is left alone: in an English column it is no answer.

use super::cell::{CellKernel, Verdict};
use super::number::Parsed;

/// The longest word of the table below, in bytes: longer cells are rejected without a lookup.
const LONGEST_WORD: usize = 6;

/// Reads a truth value in any case and with white space around it: `true`/`false`, `t`/`f`,
/// `yes`/`no`, `y`/`n`, `on`/`off`, `1`/`0`, `oui`/`non`, `ja`/`nein`, `si`, `sí`, `sì`.
/// It is plain only as `true` or `false`, exactly.
pub fn parse_boolean(text: &str) -> Option<Parsed<bool>> {
    match text {
        "true" => return Some(Parsed::plain(true)),
        "false" => return Some(Parsed::plain(false)),
        _ => {}
    }
    let word = text.trim().as_bytes();
    if word.is_empty() || word.len() > LONGEST_WORD {
        return None;
    }
    let mut lower = [0_u8; LONGEST_WORD];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    let value = match &*lower {
        b"true" | b"t" | b"yes" | b"y" | b"on" | b"1" | b"oui" | b"ja" | b"si" => true,
        b"false" | b"f" | b"no" | b"n" | b"off" | b"0" | b"non" | b"nein" => false,
        other => match std::str::from_utf8(other).ok()? {
            "sí" | "sì" | "sÍ" | "sÌ" => true,
            _ => return None,
        },
    };
    Some(Parsed::rewritten(value))
}

/// Writes truth values as `true` and `false`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NormalizeBoolean;

impl CellKernel for NormalizeBoolean {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        match parse_boolean(cell) {
            Some(parsed) if parsed.plain => Verdict::Same,
            Some(parsed) => {
                out.push_str(if parsed.value { "true" } else { "false" });
                Verdict::Changed(1.0)
            }
            None => Verdict::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_truth_and_nothing_else() {
        let truths = [
            "true", "TRUE", " True ", "t", "T", "yes", "Y", "on", "1", "oui", "Ja", "SI", "sí",
            "SÌ",
        ];
        for text in truths {
            assert_eq!(parse_boolean(text).map(|p| p.value), Some(true), "{text}");
        }
        for text in ["false", "F", "no", "N", "off", "0", "non", "NEIN", "\tno\n"] {
            assert_eq!(parse_boolean(text).map(|p| p.value), Some(false), "{text}");
        }
        for text in [
            "",
            " ",
            "maybe",
            "2",
            "10",
            "truee",
            "yes please",
            "é",
            "🙂",
            "o",
            "nei\u{301}",
        ] {
            assert_eq!(parse_boolean(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_two_plain_words_stay_as_they_are() {
        let mut out = String::new();
        assert_eq!(NormalizeBoolean.clean("true", &mut out), Verdict::Same);
        assert_eq!(
            NormalizeBoolean.clean("Yes", &mut out),
            Verdict::Changed(1.0)
        );
        assert_eq!(out, "true");
        assert_eq!(
            NormalizeBoolean.clean("perhaps", &mut out),
            Verdict::Invalid
        );
    }
}
