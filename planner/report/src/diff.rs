//! What differs between the value of the source and the cleaned one, for marking it.

use serde::Serialize;

use super::format::cut;

/// Longer values are cut before they are compared.
const LONGEST: usize = 160;

/// Values that share less than this part of the longer one are marked as a whole: marks on scattered common characters
/// are not helpful.
const LEAST_COMMON: f64 = 0.6;

/// A piece of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Piece {
    /// The text.
    pub(super) text: String,
    /// Whether the other value lacks it.
    pub(super) changed: bool,
}

/// Returns the pieces of both values.
pub(super) fn mark_changes(original: &str, cleaned: &str) -> (Vec<Piece>, Vec<Piece>) {
    let left = shown(original);
    let right = shown(cleaned);
    let mut common = common_characters(&left, &right);
    let longer = left.len().max(right.len());
    if (common.len() as f64) < longer as f64 * LEAST_COMMON {
        common.clear();
    }
    let left_common: Vec<usize> = common.iter().map(|(place, _)| *place).collect();
    let right_common: Vec<usize> = common.iter().map(|(_, place)| *place).collect();
    (pieces(&left, &left_common), pieces(&right, &right_common))
}

/// The characters shown for a value: white space that a reader would miss becomes a dot.
fn shown(value: &str) -> Vec<char> {
    let mut characters: Vec<char> = cut(value, LONGEST).chars().collect();
    let ends = characters
        .iter()
        .rposition(|c| *c != ' ')
        .map_or(0, |last| last + 1);
    let starts = characters.iter().position(|c| *c != ' ').unwrap_or(0);
    let mut after_space = false;
    for (place, character) in characters.iter_mut().enumerate() {
        let space = *character == ' ';
        if space && (place < starts || place >= ends || after_space) {
            *character = '·';
        } else if matches!(*character, '\u{a0}' | '\u{2007}' | '\u{202f}') {
            *character = '⍽';
        }
        after_space = space;
    }
    characters
}

/// Places of a longest common subsequence (dynamic programming; both texts are short).
fn common_characters(left: &[char], right: &[char]) -> Vec<(usize, usize)> {
    let columns = right.len() + 1;
    let mut lengths = vec![0u32; (left.len() + 1) * columns];
    for (row, left_character) in left.iter().enumerate().rev() {
        for (column, right_character) in right.iter().enumerate().rev() {
            lengths[row * columns + column] = if left_character == right_character {
                lengths[(row + 1) * columns + column + 1] + 1
            } else {
                lengths[(row + 1) * columns + column].max(lengths[row * columns + column + 1])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut places = Vec::new();
    while row < left.len() && column < right.len() {
        if left[row] == right[column] {
            places.push((row, column));
            row += 1;
            column += 1;
        } else if lengths[(row + 1) * columns + column] >= lengths[row * columns + column + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    places
}

fn pieces(characters: &[char], common: &[usize]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut common = common.iter().peekable();
    for (place, character) in characters.iter().enumerate() {
        let changed = common.next_if(|next| **next == place).is_none();
        match pieces.last_mut() {
            Some(last) if last.changed == changed => last.text.push(*character),
            _ => pieces.push(Piece {
                text: character.to_string(),
                changed,
            }),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(pieces: &[Piece]) -> String {
        let mark = |piece: &Piece| match piece.changed {
            true => format!("[{}]", piece.text),
            false => piece.text.clone(),
        };
        pieces.iter().map(mark).collect()
    }

    /// What differs is marked; what has little in common is marked as a whole.
    #[test]
    fn differences_are_marked() {
        let cases = [
            ("  Ann  Lee ", "Ann Lee", "[··]Ann [·]Lee[·]", "Ann Lee"),
            ("birmxngham", "birmingham", "birm[x]ngham", "birm[i]ngham"),
            ("03/14/2021", "2021-03-14", "[03/14/2021]", "[2021-03-14]"),
            ("same", "same", "same", "same"),
            ("", "x", "", "[x]"),
            (" ", "", "[·]", ""),
        ];
        for (original, cleaned, left, right) in cases {
            let (before, after) = mark_changes(original, cleaned);
            assert_eq!(
                (show(&before).as_str(), show(&after).as_str()),
                (left, right)
            );
        }
    }

    proptest! {
        /// The unmarked pieces of both values are the same text.
        #[test]
        fn unmarked_text_is_common(original in "\\PC{0,200}", cleaned in "\\PC{0,200}") {
            let same = |pieces: Vec<Piece>| pieces.into_iter()
                .filter(|piece| !piece.changed).map(|piece| piece.text).collect::<String>();
            let (before, after) = mark_changes(&original, &cleaned);
            prop_assert_eq!(same(before), same(after));
        }
    }
}
