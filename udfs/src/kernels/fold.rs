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
