//! The fingerprint of a text: what is left when case, accents, punctuation and word order go.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// OpenRefine's fingerprint key: lower case, no accents, punctuation to blanks, the distinct words
/// in order, joined by a blank. Two texts of one key are the same value written differently.
pub(super) fn fingerprint(text: &str) -> String {
    let folded = fold(text);
    let mut words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.dedup();
    let mut key = words.join(" ");
    // Numbers in another order, or one more of them, are another value: "5 of 12", "12 of 5".
    let digits = folded.chars().filter(char::is_ascii_digit);
    if folded.contains(' ') && digits.clone().next().is_some() {
        key.push('\u{1F}');
        key.extend(digits);
    }
    key
}

/// `text` in lower case, without accents, with a blank for every other sign than letters and digits.
///
/// Signs that change what a number means (a minus, a decimal point between digits, `+`, `%`, `#`
/// as in "C#" and "C++") are kept: "-1" is not "1", "1.5" is not "1 5".
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.trim().chars().peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        match c {
            'ß' => folded.push_str("ss"),
            'æ' | 'Æ' => folded.push_str("ae"),
            'œ' | 'Œ' => folded.push_str("oe"),
            'ø' | 'Ø' => folded.push('o'),
            'ł' | 'Ł' => folded.push('l'),
            'đ' | 'Đ' => folded.push('d'),
            _ if c.is_ascii_alphanumeric() => folded.push(c.to_ascii_lowercase()),
            '+' | '%' | '#' | '$' | '€' | '£' | '&' | '<' | '>' | '=' => folded.push(c),
            '-' if after.is_ascii_digit() && !before.is_alphanumeric() => folded.push(c),
            '.' | ',' if after.is_ascii_digit() && before.is_ascii_digit() => folded.push(c),
            // Letters that belong together however an apostrophe is written or left out.
            '\'' | '\u{2019}' => {}
            _ if c.is_ascii() => folded.push(' '),
            _ => fold_unicode(c, &mut folded),
        }
        before = c;
    }
    folded
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
