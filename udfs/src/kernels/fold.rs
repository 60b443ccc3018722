//! Text as a comparison sees it: without case, accents and punctuation.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// `text` in lower case, without accents, with a blank for every other sign than letters and digits.
///
/// Signs that change what a number means (a minus, a decimal point between digits, `+`, `%`, `#`
/// as in "C#" and "C++") are kept: "-1" is not "1", "1.5" is not "1 5".
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

/// Appends what [`fold`] gives to `folded`.
pub(super) fn fold_into(text: &str, folded: &mut String) {
    if text.is_ascii() {
        fold_ascii(text, folded);
    } else {
        fold_any(text, folded);
    }
}

/// In the table of signs: left out.
const NOTHING: u8 = 0;

/// In the table of characters: the neighbours decide.
const DEPENDS: u8 = 1;

/// Replacement of each ASCII character.
const SIGNS: [u8; 128] = {
    let mut signs = [b' '; 128];
    let mut sign = 0;
    while sign < signs.len() {
        let byte = sign as u8;
        signs[sign] = match byte {
            b'a'..=b'z' | b'0'..=b'9' => byte,
            b'A'..=b'Z' => byte.to_ascii_lowercase(),
            b'+' | b'%' | b'#' | b'$' | b'&' | b'<' | b'>' | b'=' => byte,
            b'-' | b'.' | b',' => DEPENDS,
            b'\'' => NOTHING,
            _ => b' ',
        };
        sign += 1;
    }
    signs
};

/// Replaces `words` by what [`fold`] gives, with one blank between words and none around them; `folded` is
/// memory for the time between.
pub(super) fn fold_words(text: &str, folded: &mut String, words: &mut String) {
    let mut signs = std::mem::take(words).into_bytes();
    signs.clear();
    let blank = |signs: &[u8]| signs.last().is_none_or(|last| *last == b' ');
    if text.is_ascii() {
        signs.reserve(text.len());
        for_ascii(text, |sign| {
            if sign != b' ' || !blank(&signs) {
                signs.push(sign);
            }
        });
    } else {
        folded.clear();
        fold_any(text, folded);
        for sign in folded.bytes() {
            if sign != b' ' || !blank(&signs) {
                signs.push(sign);
            }
        }
    }
    if signs.last() == Some(&b' ') {
        signs.pop();
    }
    // Text without some of its blanks is text.
    *words = String::from_utf8(signs).unwrap_or_default();
}

/// The same as [`fold_any`], of a text of ASCII.
fn fold_ascii(text: &str, folded: &mut String) {
    let mut signs = std::mem::take(folded).into_bytes();
    signs.reserve(text.len());
    for_ascii(text, |sign| signs.push(sign));
    // What was there is text, and what came is ASCII.
    *folded = String::from_utf8(signs).unwrap_or_default();
}

/// Appends the replacements of an ASCII text.
#[inline]
fn for_ascii(text: &str, mut take: impl FnMut(u8)) {
    let bytes = text.trim().as_bytes();
    let at = |place: Option<usize>| {
        let byte = place.and_then(|place| bytes.get(place));
        byte.copied().unwrap_or(b' ')
    };
    for (place, byte) in bytes.iter().enumerate() {
        match SIGNS[usize::from(*byte & 127)] {
            NOTHING => {}
            DEPENDS => {
                let (before, after) = (at(place.checked_sub(1)), at(Some(place + 1)));
                let kept = match byte {
                    b'-' => !before.is_ascii_alphanumeric(),
                    _ => before.is_ascii_digit(),
                };
                take(if kept && after.is_ascii_digit() {
                    *byte
                } else {
                    b' '
                });
            }
            sign => take(sign),
        }
    }
}

fn fold_any(text: &str, folded: &mut String) {
    let mut before = ' ';
    let mut rest = text.trim().chars().peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        match c {
            'a'..='z' | '0'..='9' | ' ' => folded.push(c),
            'A'..='Z' => folded.push(c.to_ascii_lowercase()),
            'ß' => folded.push_str("ss"),
            'æ' | 'Æ' => folded.push_str("ae"),
            'œ' | 'Œ' => folded.push_str("oe"),
            'ø' | 'Ø' => folded.push('o'),
            'ł' | 'Ł' => folded.push('l'),
            'đ' | 'Đ' => folded.push('d'),
            '+' | '%' | '#' | '$' | '€' | '£' | '&' | '<' | '>' | '=' => folded.push(c),
            '-' if after.is_ascii_digit() && !before.is_alphanumeric() => folded.push(c),
            '.' | ',' if after.is_ascii_digit() && before.is_ascii_digit() => folded.push(c),
            // Letters that belong together however an apostrophe is written or left out.
            '\'' | '\u{2019}' => {}
            _ if c.is_ascii() => folded.push(' '),
            _ => fold_unicode(c, folded),
        }
        before = c;
    }
}

fn fold_unicode(c: char, folded: &mut String) {
    for part in std::iter::once(c)
        .nfkd()
        .filter(|part| !is_combining_mark(*part))
    {
        if part.is_alphanumeric() {
            folded.extend(part.to_lowercase());
        } else if !c.is_alphanumeric() && !part.is_whitespace() && !is_punctuation(part) {
            // Emoji and other symbols are all that some values consist of.
            folded.push(part);
        } else {
            folded.push(' ');
        }
    }
}

/// General punctuation, CJK punctuation and the signs of Latin-1.
fn is_punctuation(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{BF}' | '\u{2000}'..='\u{206F}' | '\u{3000}'..='\u{303F}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The quick way gives what the other gives.
        #[test]
        fn ascii_is_folded_alike(text in "[ -~\t]{0,40}", before in "[a-z\u{e9}]{0,3}") {
            let (mut quick, mut slow) = (before.clone(), before);
            fold_ascii(&text, &mut quick);
            fold_any(&text, &mut slow);
            prop_assert_eq!(quick, slow);
        }

        /// Words are separated by one space.
        #[test]
        fn words_of_folded_text(text in "[ -~\u{e9}\u{3000}]{0,40}") {
            let words: Vec<String> = fold(&text)
                .split(' ')
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect();
            let mut found = "before".to_owned();
            fold_words(&text, &mut String::new(), &mut found);
            prop_assert_eq!(found, words.join(" "));
        }
    }
}
