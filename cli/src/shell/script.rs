//! A text cut into statements and commands, line by line.

/// A part of a text that is carried out at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// What it says, without the semicolon or the backslash.
    pub(crate) text: String,
    /// What it is.
    pub(crate) kind: PieceKind,
    /// Line of the text on which it begins, from 1.
    pub(crate) line: usize,
    /// Column at which it begins, in characters from 1.
    pub(crate) column: usize,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// A statement of SQL.
    Statement,
    /// A command of the prompt: a line that begins with a backslash.
    Command,
}

/// Where a semicolon would mean something else than the end of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Within {
    #[default]
    Code,
    /// A text or a name in quotes; backslashes escape in some.
    Quotes { mark: char, escapes: bool },
    /// `/* … */`, which may hold another one.
    Comment { depth: usize },
    /// `$tag$ … $tag$`.
    Dollars { tag: String },
}

/// Takes lines and gives the pieces that they complete.
#[derive(Debug, Default)]
pub(crate) struct ScriptReader {
    text: String,
    within: Within,
    lines: usize,
    begins: (usize, usize),
}

impl ScriptReader {
    /// The pieces of a whole text; the last one may lack its semicolon.
    pub(crate) fn pieces(text: &str) -> Vec<Piece> {
        let mut reader = Self::default();
        let mut pieces = Vec::new();
        for line in text.split_inclusive('\n') {
            reader.push(line, &mut pieces);
        }
        pieces.extend(reader.finish());
        pieces
    }

    /// Whether a text of the prompt is whole: every statement has its semicolon.
    pub(crate) fn is_whole(text: &str) -> bool {
        let mut reader = Self::default();
        let mut pieces = Vec::new();
        for line in text.split_inclusive('\n') {
            reader.push(line, &mut pieces);
        }
        reader.text.is_empty() && reader.within == Within::Code
    }

    /// Whether the end of a text is inside of text in single quotes.
    pub(crate) fn ends_in_text(text: &str) -> bool {
        let mut reader = Self::default();
        for line in text.split_inclusive('\n') {
            reader.push(line, &mut Vec::new());
        }
        matches!(reader.within, Within::Quotes { mark: '\'', .. })
    }

    /// Takes a line with its end; adds the pieces that it completes.
    pub(crate) fn push(&mut self, line: &str, pieces: &mut Vec<Piece>) {
        self.lines += 1;
        let mut rest = line;
        let mut column = 1;
        while let Some(first) = rest.chars().next() {
            let taken = match &mut self.within {
                Within::Code if rest.starts_with("--") => {
                    // The end of the line separates words.
                    self.keep("\n");
                    return;
                }
                Within::Code if first == '\\' && self.text.is_empty() => {
                    pieces.push(Piece {
                        text: rest[1..].trim().to_owned(),
                        kind: PieceKind::Command,
                        line: self.lines,
                        column,
                    });
                    return;
                }
                Within::Code if first == ';' => {
                    pieces.extend(self.statement());
                    1
                }
                Within::Code => self.code(rest, first, column),
                Within::Quotes { mark, escapes } => {
                    let (mark, escapes) = (*mark, *escapes);
                    let taken = if escapes && first == '\\' {
                        rest.chars().take(2).map(char::len_utf8).sum()
                    } else {
                        first.len_utf8()
                    };
                    if first == mark {
                        self.within = Within::Code;
                    }
                    self.text.push_str(&rest[..taken]);
                    taken
                }
                Within::Comment { depth } => {
                    let taken = if rest.starts_with("/*") {
                        *depth += 1;
                        2
                    } else if rest.starts_with("*/") {
                        *depth -= 1;
                        2
                    } else {
                        first.len_utf8()
                    };
                    if *depth == 0 {
                        self.within = Within::Code;
                    }
                    // Positions of errors count what comments hold.
                    if !self.text.is_empty() {
                        self.text.push_str(&rest[..taken]);
                    }
                    taken
                }
                Within::Dollars { tag } => {
                    let taken = if rest.starts_with(tag.as_str()) {
                        let taken = tag.len();
                        self.within = Within::Code;
                        taken
                    } else {
                        first.len_utf8()
                    };
                    self.text.push_str(&rest[..taken]);
                    taken
                }
            };
            column += rest[..taken].chars().count();
            rest = &rest[taken..];
        }
    }

    /// What is left when the text ends.
    pub(crate) fn finish(mut self) -> Option<Piece> {
        self.statement()
    }

    /// Takes what stands outside of quotes and comments; gives its length.
    fn code(&mut self, rest: &str, first: char, column: usize) -> usize {
        if rest.starts_with("/*") {
            self.within = Within::Comment { depth: 1 };
            self.keep("/*");
            return 2;
        }
        if self.text.is_empty() {
            if first.is_whitespace() {
                return first.len_utf8();
            }
            self.begins = (self.lines, column);
        }
        match first {
            '\'' | '"' | '`' => {
                let escapes = first == '\'' && ends_in_escape_prefix(&self.text);
                self.within = Within::Quotes {
                    mark: first,
                    escapes,
                };
            }
            '$' if !self.text.ends_with(is_of_name) => {
                if let Some(tag) = dollar_tag(rest) {
                    self.text.push_str(tag);
                    self.within = Within::Dollars {
                        tag: tag.to_owned(),
                    };
                    return tag.len();
                }
            }
            _ => {}
        }
        self.text.push(first);
        first.len_utf8()
    }

    /// Keeps white space and comments inside of a statement.
    fn keep(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push_str(text);
        }
    }

    fn statement(&mut self) -> Option<Piece> {
        self.within = Within::Code;
        let mut text = std::mem::take(&mut self.text);
        text.truncate(text.trim_end().len());
        (!text.is_empty()).then_some(Piece {
            text,
            kind: PieceKind::Statement,
            line: self.begins.0,
            column: self.begins.1,
        })
    }
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether a text ends in the `E` of `E'…'`.
fn ends_in_escape_prefix(text: &str) -> bool {
    text.strip_suffix(['e', 'E'])
        .is_some_and(|before| !before.ends_with(is_of_name))
}

/// The opening of a text in dollars, `$$` or `$name$`.
fn dollar_tag(rest: &str) -> Option<&str> {
    let name = rest[1..].find('$')?;
    let tag = &rest[1..=name];
    let named = tag.chars().all(is_of_name) && !tag.starts_with(|c: char| c.is_ascii_digit());
    named.then(|| &rest[..name + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statements end at semicolons, but not at those in quotes, comments and dollars; commands end
    /// with their line.
    #[test]
    fn texts_are_cut() {
        let cases: [(&str, &[&str]); 14] = [
            ("", &[]),
            (" ;; \n;", &[]),
            ("SELECT 1", &["SELECT 1"]),
            ("SELECT 1; SELECT 2 ;", &["SELECT 1", "SELECT 2"]),
            ("SELECT ';', \";\", `;`", &["SELECT ';', \";\", `;`"]),
            ("SELECT 'it''s;' ;x", &["SELECT 'it''s;'", "x"]),
            ("SELECT E'it\\';' ;x", &["SELECT E'it\\';'", "x"]),
            ("SELECT 'a\\' ;x", &["SELECT 'a\\'", "x"]),
            ("-- a;b\nSELECT 1 -- c;d\n;", &["SELECT 1"]),
            (
                "/* a; /* b; */ c; */ SELECT /* ; */ 1;",
                &["SELECT /* ; */ 1"],
            ),
            (
                "SELECT $1; SELECT $a$;$a$",
                &["SELECT $1", "SELECT $a$;$a$"],
            ),
            ("SELECT $$;\n;$$; x", &["SELECT $$;\n;$$", "x"]),
            ("\\d a;\nSELECT 1; \\dn", &["d a;", "SELECT 1", "dn"]),
            ("SELECT '\\d", &["SELECT '\\d"]),
        ];
        for (text, expected) in cases {
            let pieces = ScriptReader::pieces(text);
            let texts: Vec<&str> = pieces.iter().map(|piece| piece.text.as_str()).collect();
            assert_eq!(texts, expected, "{text}");
        }
    }

    /// A piece knows where it begins.
    #[test]
    fn pieces_have_positions() {
        let pieces =
            ScriptReader::pieces("-- é\n\nSELECT 'é'; SELECT 2;\n  /* x */ SELECT\n3; \\q");
        let begin = |piece: &Piece| (piece.line, piece.column, piece.kind);
        let begins: Vec<_> = pieces.iter().map(begin).collect();
        assert_eq!(
            begins,
            [
                (3, 1, PieceKind::Statement),
                (3, 13, PieceKind::Statement),
                (4, 11, PieceKind::Statement),
                (5, 4, PieceKind::Command),
            ]
        );
    }

    /// The prompt asks for more until every statement has its semicolon.
    #[test]
    fn the_prompt_waits_for_the_end() {
        for whole in ["", "SELECT 1;", "\\d", "SELECT 1; -- done", "/* x */"] {
            assert!(ScriptReader::is_whole(whole), "{whole}");
        }
        for open in [
            "SELECT 1",
            "SELECT 1; SELECT",
            "SELECT ';",
            "/* ;",
            "SELECT $$;",
        ] {
            assert!(!ScriptReader::is_whole(open), "{open}");
        }
    }
}
