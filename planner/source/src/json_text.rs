//! JSON texts (RFC 8259) as slices: a value is validated and kept as written, so that numbers lose no digit.

use memchr::memchr2;

/// Values nested deeper are rejected.
const MAX_DEPTH: usize = 200;

/// Why a text is not a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It ends too early.
    Incomplete,
    /// At this byte.
    At(usize, &'static str),
}

impl Fault {
    pub fn reason(self) -> String {
        match self {
            Self::Incomplete => "the JSON text ends in the middle of a value".to_owned(),
            Self::At(at, what) => format!("not JSON at byte {}: {what}", at + 1),
        }
    }
}

/// Returns the position of the first byte at or after `pos` that is not white space.
pub(super) fn skip_space(text: &[u8], pos: usize) -> usize {
    let rest = text.get(pos..).unwrap_or_default();
    let space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    pos + rest.iter().position(|b| !space(b)).unwrap_or(rest.len())
}

/// Returns the end of the value that begins at `pos`; `last` when nothing follows `text`.
pub(super) fn value_end(text: &[u8], pos: usize, last: bool) -> Result<usize, Fault> {
    nested(text, pos, last, 0)
}

fn nested(text: &[u8], pos: usize, last: bool, depth: usize) -> Result<usize, Fault> {
    let Some(first) = text.get(pos) else {
        return Err(Fault::Incomplete);
    };
    match first {
        b'"' => string_end(text, pos),
        b'{' | b'[' if depth >= MAX_DEPTH => Err(Fault::At(pos, "nested too deeply")),
        b'{' => members(text, pos, last, depth, &mut |_, _| Ok(())),
        b'[' => elements(text, pos, last, depth),
        b't' => literal(text, pos, b"true"),
        b'f' => literal(text, pos, b"false"),
        b'n' => literal(text, pos, b"null"),
        b'-' | b'0'..=b'9' => number_end(text, pos, last),
        _ => Err(Fault::At(pos, "expected a value")),
    }
}

fn literal(text: &[u8], pos: usize, word: &[u8]) -> Result<usize, Fault> {
    let rest = &text[pos..];
    if rest.starts_with(word) {
        Ok(pos + word.len())
    } else if word.starts_with(rest) {
        Err(Fault::Incomplete)
    } else {
        Err(Fault::At(pos, "expected a value"))
    }
}

fn number_end(text: &[u8], pos: usize, last: bool) -> Result<usize, Fault> {
    let digits = |at: usize| -> Result<usize, Fault> {
        let rest = text.get(at..).unwrap_or_default();
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        match count {
            0 if rest.is_empty() => Err(Fault::Incomplete),
            0 => Err(Fault::At(at, "expected a digit")),
            _ => Ok(at + count),
        }
    };
    let mut at = pos + usize::from(text.get(pos) == Some(&b'-'));
    let zero = text.get(at) == Some(&b'0');
    let whole = digits(at)?;
    if zero && whole > at + 1 {
        return Err(Fault::At(at, "a number may not begin with 0"));
    }
    at = whole;
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        at = digits(at)?;
    }
    if at == text.len() && !last {
        return Err(Fault::Incomplete);
    }
    Ok(at)
}

fn string_end(text: &[u8], pos: usize) -> Result<usize, Fault> {
    let mut at = pos + 1;
    loop {
        let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
            return Err(Fault::Incomplete);
        };
        let stop = at + found;
        if let Some(control) = text[at..stop].iter().position(|b| *b < 0x20) {
            return Err(Fault::At(
                at + control,
                "a control character within a string",
            ));
        }
        if text[stop] == b'"' {
            return Ok(stop + 1);
        }
        at = match text.get(stop + 1) {
            None => return Err(Fault::Incomplete),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => stop + 2,
            Some(b'u') => {
                let rest = &text[stop + 2..];
                let hex = rest.get(..4).unwrap_or(rest);
                if !hex.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Fault::At(stop, "not an escape sequence"));
                }
                if hex.len() < 4 {
                    return Err(Fault::Incomplete);
                }
                stop + 6
            }
            Some(_) => return Err(Fault::At(stop, "not an escape sequence")),
        };
    }
}

fn elements(text: &[u8], pos: usize, last: bool, depth: usize) -> Result<usize, Fault> {
    let mut at = skip_space(text, pos + 1);
    if text.get(at) == Some(&b']') {
        return Ok(at + 1);
    }
    loop {
        at = skip_space(text, nested(text, at, last, depth + 1)?);
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b']') => return Ok(at + 1),
            Some(_) => return Err(Fault::At(at, ", or ] is expected")),
            None => return Err(Fault::Incomplete),
        }
    }
}

/// Passes each member (key without its quotes, value) of the object at `pos` to `take`, and returns the end of the
/// object.
fn members<'t>(
    text: &'t [u8],
    pos: usize,
    last: bool,
    depth: usize,
    take: &mut dyn FnMut(&'t [u8], &'t [u8]) -> Result<(), Fault>,
) -> Result<usize, Fault> {
    let mut at = skip_space(text, pos + 1);
    if text.get(at) == Some(&b'}') {
        return Ok(at + 1);
    }
    loop {
        match text.get(at) {
            Some(b'"') => {}
            Some(_) => return Err(Fault::At(at, "expected a name in quotes")),
            None => return Err(Fault::Incomplete),
        }
        let key_end = string_end(text, at)?;
        let key = &text[at + 1..key_end - 1];
        at = skip_space(text, key_end);
        match text.get(at) {
            Some(b':') => at = skip_space(text, at + 1),
            Some(_) => return Err(Fault::At(at, ": is expected")),
            None => return Err(Fault::Incomplete),
        }
        let end = nested(text, at, last, depth + 1)?;
        take(key, &text[at..end])?;
        at = skip_space(text, end);
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b'}') => return Ok(at + 1),
            Some(_) => return Err(Fault::At(at, ", or } is expected")),
            None => return Err(Fault::Incomplete),
        }
    }
}

/// Passes each member of a text that is one object and nothing else to `take`.
pub(super) fn object<'t>(
    text: &'t str,
    take: &mut dyn FnMut(&'t str, &'t str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let start = skip_space(bytes, 0);
    if bytes.get(start) != Some(&b'{') {
        let end = value_end(bytes, start, true)?;
        let what = match bytes[start] {
            b'[' => "expected an object, not an array",
            b'"' => "expected an object, not a string",
            b'n' => "expected an object, not null",
            b't' | b'f' => "expected an object, not a boolean",
            _ => "expected an object, not a number",
        };
        let end = skip_space(bytes, end);
        return Err(match bytes.get(end) {
            Some(_) => Fault::At(end, "text after the value"),
            None => Fault::At(start, what),
        });
    }
    let text_of = |part: &'t [u8]| {
        // Cut at ASCII marks of a valid text, so always valid.
        std::str::from_utf8(part).map_err(|_| Fault::At(0, "not valid UTF-8"))
    };
    let end = members(bytes, start, true, 0, &mut |key, value| {
        take(text_of(key)?, text_of(value)?)
    })?;
    let end = skip_space(bytes, end);
    match bytes.get(end) {
        Some(_) => Err(Fault::At(end, "text after the object")),
        None => Ok(()),
    }
}

/// Appends the text that a validated string, without its quotes, represents. An unpaired surrogate becomes U+FFFD.
pub(super) fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut chars = rest[at + 1..].chars();
        let escape = chars.next();
        rest = chars.as_str();
        match escape {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (unit, after) = code_unit(rest);
                rest = after;
                let mut character = char::from_u32(unit);
                if (0xd800..0xdc00).contains(&unit)
                    && let Some(low) = rest.strip_prefix("\\u")
                {
                    let (low, after) = code_unit(low);
                    if (0xdc00..0xe000).contains(&low) {
                        rest = after;
                        character =
                            char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
                    }
                }
                out.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out.push_str(rest);
}

fn code_unit(text: &str) -> (u32, &str) {
    match text.split_at_checked(4) {
        Some((hex, rest)) => (u32::from_str_radix(hex, 16).unwrap_or(0xfffd), rest),
        None => (0xfffd, ""),
    }
}

/// Appends a validated value without insignificant white space.
pub(super) fn compact(value: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < value.len() {
        match value[at] {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'"' => {
                let end = string_end(value, at).unwrap_or(value.len());
                out.extend_from_slice(&value[at..end]);
                at = end;
            }
            other => {
                out.push(other);
                at += 1;
            }
        }
    }
}
