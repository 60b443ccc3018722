//! JSON texts that are not JSON lines: their objects are staged one per line.

use std::io::Write;

use super::blocks::{Block, Blocks};
use super::error::SourceError;
use super::json_text::{Fault, compact, skip_space, value_end};
use super::options::Format;
use super::stage::Stage;
use planner_storage::ByteFile;

/// Returns whether a JSON text must be staged, judged by its head.
///
/// It is read line by line when its first line is a complete object and another line follows, or when the format is
/// JSON lines and it does not begin with an array of objects.
pub(super) fn is_document(head: &[u8], format: Format) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let start = skip_space(head, 0);
    if format == Format::Jsonl {
        return begins_array(head);
    }
    let Some(line_end) = memchr::memchr(b'\n', head.get(start..).unwrap_or_default()) else {
        return true;
    };
    let line = &head[start..start + line_end];
    let whole = line.first() == Some(&b'{')
        && value_end(line, 0, true).is_ok_and(|end| skip_space(line, end) == line.len());
    !whole
}

/// Returns whether a text begins like an array of objects.
pub(super) fn begins_array(text: &[u8]) -> bool {
    let start = skip_space(text, 0);
    let inner = skip_space(text, start + 1);
    text.get(start) == Some(&b'[') && matches!(text.get(inner), Some(b'{' | b']') | None)
}

/// The expected next part of a JSON document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// The beginning of the text.
    Start,
    /// A value of a text of several.
    Value,
    /// The first element of an array, or its end.
    First,
    /// An element of an array.
    Element,
    /// A comma or the end of an array.
    Comma,
    /// The end of the text.
    End,
}

/// Writes each element of the array, or each value of the text, to its own line.
pub(super) fn stage_document(
    stage: &Stage,
    file: &ByteFile,
    path: &str,
    longest: usize,
) -> Result<ByteFile, SourceError> {
    let mut blocks = Blocks::new(file, path, 0..file.size(), longest)?;
    let (staged, ()) = stage.write("lines", |out| {
        let mut expect = Expect::Start;
        let mut line = 1_u64;
        let mut carried = Vec::new();
        let mut record = Vec::new();
        loop {
            let Block { bytes, len, last } = blocks.next(&carried, Vec::new(), line)?;
            let text = &bytes[..len];
            let mut pos = 0;
            loop {
                let taken = take(text, &mut pos, last, &mut expect);
                let (from, to) = match taken {
                    Ok(Some(found)) => found,
                    Ok(None) => break,
                    Err(Fault::Incomplete) if !last => break,
                    Err(fault) => {
                        let at = match fault {
                            Fault::At(at, _) => at,
                            Fault::Incomplete => len,
                        };
                        line += memchr::memchr_iter(b'\n', &text[..at]).count() as u64;
                        let reason = match fault {
                            Fault::At(_, what) => format!("not JSON: {what}"),
                            Fault::Incomplete => fault.reason(),
                        };
                        return Err(SourceError::content(path, Some(line), reason));
                    }
                };
                record.clear();
                compact(&text[from..to], &mut record);
                record.push(b'\n');
                out.write_all(&record)
                    .map_err(|e| SourceError::io(path, "write a staged copy of", e))?;
            }
            if last {
                return Ok(());
            }
            line += memchr::memchr_iter(b'\n', &text[..pos]).count() as u64;
            carried.clear();
            carried.extend_from_slice(&text[pos..]);
        }
    })?;
    Ok(staged)
}

/// Returns the next value; `None` at the end of the available text. `pos` stays where a value is incomplete.
fn take(
    text: &[u8],
    pos: &mut usize,
    last: bool,
    expect: &mut Expect,
) -> Result<Option<(usize, usize)>, Fault> {
    if *expect == Expect::Start && text.starts_with(b"\xef\xbb\xbf") && *pos == 0 {
        *pos = 3;
    }
    loop {
        *pos = skip_space(text, *pos);
        let Some(first) = text.get(*pos) else {
            let whole = matches!(expect, Expect::Value | Expect::End);
            return if whole || !last {
                Ok(None)
            } else {
                Err(Fault::Incomplete)
            };
        };
        match (*expect, first) {
            (Expect::Start, b'[') => {
                *expect = Expect::First;
                *pos += 1;
            }
            (Expect::First | Expect::Comma, b']') => {
                *expect = Expect::End;
                *pos += 1;
            }
            (Expect::Comma, b',') => {
                *expect = Expect::Element;
                *pos += 1;
            }
            (Expect::Comma, _) => return Err(Fault::At(*pos, ", or ] is expected")),
            (Expect::End, _) => return Err(Fault::At(*pos, "text after the array")),
            (Expect::Start | Expect::Value | Expect::First | Expect::Element, _) => {
                let end = value_end(text, *pos, last)?;
                let found = (*pos, end);
                *pos = end;
                *expect = match *expect {
                    Expect::Start | Expect::Value => Expect::Value,
                    _ => Expect::Comma,
                };
                return Ok(Some(found));
            }
        }
    }
}
