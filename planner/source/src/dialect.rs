//! Dialects of separated values, and where their records end.
//!
//! The grammar is that of RFC 4180 as used in practice: a quote is special only at the start of a field, a doubled one
//! represents one quote, and text after the closing quote is kept. Blank lines and comment lines are not records.
//! [`Dialect::next_record`] alone decides where a record ends; index and reader both use it, and tests compare the
//! reader with it.

use memchr::{memchr, memchr2};
use serde::{Deserialize, Serialize};

use super::fields::plain_close;

/// Maximum distance of a closing quote from its opening quote. A quote that is still open there, or at the end of the
/// file, is stray: its record ends with the line and is unreadable, and the next line is read as usual.
pub(super) const QUOTED_LIMIT: usize = 16 * 1024 * 1024;

/// A file with a longer record is not a table.
pub(super) const RECORD_LIMIT: usize = 64 * 1024 * 1024;

/// Separators between the cells and rows of a staged sheet: ASCII's own, which sheets never hold.
pub(super) const SHEET_DIALECT: Dialect = Dialect {
    delimiter: 0x1f,
    quote: Some(b'"'),
    escape: None,
    comment: None,
    terminator: 0x1e,
};

/// Dialect of separated values. Every special character is ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields; `None` when quotes are not special.
    pub quote: Option<u8>,
    /// Escapes a quote within a quoted field, besides doubling.
    pub escape: Option<u8>,
    /// At the start of a line that is skipped.
    pub comment: Option<u8>,
    /// At the end of a record: `\n` (a `\r` before it belongs to it), or `\r` where a file has no `\n`.
    pub terminator: u8,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            comment: None,
            terminator: b'\n',
        }
    }
}

/// What begins at a position of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A record up to `end`, its terminator included.
    Record { end: usize },
    /// A blank line or a comment.
    Skip { end: usize },
    /// A record whose quoted field is never closed; the next record is searched from `end`.
    Unclosed { end: usize },
    /// Incomplete: more bytes are needed.
    NeedMore,
}

/// The end of a quoted field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// At the closing quote; `plain` when nothing within has to be unescaped.
    At {
        position: usize,
        plain: bool,
    },
    Never,
    NeedMore,
}

impl Dialect {
    /// Classifies what begins at `pos`, which is below `text.len()`; `last` when nothing follows `text`.
    pub(super) fn next_record(&self, text: &[u8], pos: usize, last: bool) -> Step {
        if let Some(step) = self.skipped(text, pos, last) {
            return step;
        }
        let Some(quote) = self.quote else {
            return self.line_end(text, pos, last);
        };
        let mut at = pos;
        loop {
            // Fields in quotes, one after the other, are passed over without a search.
            while text.get(at) == Some(&quote)
                && (at == pos || text[at - 1] == self.delimiter)
                && let Some(close) = plain_close(text, at + 1, quote, self.escape, self.terminator)
                && close - at <= QUOTED_LIMIT
            {
                at = close + 1;
                if text[at] == self.terminator {
                    return Step::Record { end: at + 1 };
                }
                if text[at] != self.delimiter {
                    break;
                }
                at += 1;
            }
            let Some(found) = memchr2(quote, self.terminator, &text[at..]) else {
                return self.unended(text, last);
            };
            let found = at + found;
            if text[found] == self.terminator {
                return Step::Record { end: found + 1 };
            }
            if found > pos && text[found - 1] != self.delimiter {
                at = found + 1;
                continue;
            }
            match self.close(text, found, last) {
                Close::At { position, .. } => at = position + 1,
                Close::NeedMore => return Step::NeedMore,
                Close::Never => {
                    return match self.line_end(text, found, last) {
                        Step::Record { end } => Step::Unclosed { end },
                        other => other,
                    };
                }
            }
        }
    }

    /// Finds a blank line or a comment at `pos`.
    fn skipped(&self, text: &[u8], pos: usize, last: bool) -> Option<Step> {
        let first = *text.get(pos)?;
        if first == self.terminator {
            return Some(Step::Skip { end: pos + 1 });
        }
        if first == b'\r' && self.terminator == b'\n' {
            return match text.get(pos + 1) {
                Some(b'\n') => Some(Step::Skip { end: pos + 2 }),
                None if last => Some(Step::Skip { end: pos + 1 }),
                None => Some(Step::NeedMore),
                Some(_) => None,
            };
        }
        if Some(first) == self.comment {
            return Some(match self.line_end(text, pos, last) {
                Step::Record { end } => Step::Skip { end },
                other => other,
            });
        }
        None
    }

    fn line_end(&self, text: &[u8], pos: usize, last: bool) -> Step {
        match memchr(self.terminator, &text[pos..]) {
            Some(found) => Step::Record {
                end: pos + found + 1,
            },
            None => self.unended(text, last),
        }
    }

    fn unended(&self, text: &[u8], last: bool) -> Step {
        if last {
            Step::Record { end: text.len() }
        } else {
            Step::NeedMore
        }
    }

    /// Finds the closing quote of the field that the quote at `open` begins.
    pub(super) fn close(&self, text: &[u8], open: usize, last: bool) -> Close {
        let quote = text[open];
        let escape = self.escape.filter(|e| *e != quote);
        let limit = open + 1 + QUOTED_LIMIT;
        let reach = text.len().min(limit);
        let mut at = open + 1;
        let mut plain = true;
        while at < reach {
            let found = match escape {
                Some(escape) => memchr2(quote, escape, &text[at..reach]),
                None => memchr(quote, &text[at..reach]),
            };
            let Some(found) = found else { break };
            let found = at + found;
            let follows = text.get(found + 1);
            if follows.is_none() && !last {
                return Close::NeedMore;
            }
            if text[found] == quote && follows != Some(&quote) {
                return Close::At {
                    position: found,
                    plain,
                };
            }
            plain = false;
            at = found + 2;
        }
        if last || text.len() > limit {
            Close::Never
        } else {
            Close::NeedMore
        }
    }

    /// Returns the end of the content of a record that ends at `end`, without its terminator.
    pub(super) fn content_end(&self, text: &[u8], pos: usize, end: usize) -> usize {
        let mut end = end;
        if end > pos && text[end - 1] == self.terminator {
            end -= 1;
        }
        if self.terminator == b'\n' && end > pos && text[end - 1] == b'\r' {
            end -= 1;
        }
        end
    }
}
