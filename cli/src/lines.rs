//! Lines for people: on a terminal they break between words.

use std::io::IsTerminal;

use console::{Term, measure_text_width};

/// Where the text of a line with a label begins, and its continuation.
const INDENT: usize = 15;

/// Prints a line; on a terminal it breaks between words.
pub(crate) fn print_line(line: &str) {
    if std::io::stdout().is_terminal() {
        println!("{}", wrapped(line, Term::stdout().size().1.into()));
    } else {
        println!("{line}");
    }
}

fn wrapped(line: &str, columns: usize) -> String {
    let mut text = String::with_capacity(line.len());
    let mut column = 0;
    for word in line.split_inclusive(' ') {
        let ends = column + measure_text_width(word.trim_end());
        if ends > columns && column > INDENT {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', INDENT));
            column = INDENT;
        }
        text.push_str(word);
        column += measure_text_width(word);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words stay whole, and continued lines begin under the text; what is too long for any line
    /// stays as it is.
    #[test]
    fn lines_break_between_words() {
        let cases = [
            ("  t-1          one two", 22, "  t-1          one two"),
            (
                "  t-1          one two three",
                22,
                "  t-1          one two\n               three",
            ),
            (
                "  t-1          é é é é",
                18,
                "  t-1          é é\n               é é",
            ),
            ("Output: /a/long/path", 10, "Output: /a/long/path"),
            ("", 10, ""),
        ];
        for (line, columns, expected) in cases {
            assert_eq!(wrapped(line, columns), expected);
        }
    }
}
