//! Validates a workbook before its reader runs: the reader allocates memory for as many texts and cells as the file
//! claims, and a claim beyond the available memory would end the process.

use std::io::{BufReader, Read};

use quick_xml::Reader;
use quick_xml::events::Event;

use planner_storage::SeekableFile;

/// Texts that a workbook may claim to have whatever its size: 24 bytes are reserved for each.
const FREE_TEXTS: u64 = 1 << 20;

/// Bytes of the shortest text: `<si/>`.
const SHORTEST_TEXT: u64 = 5;

/// Maximum number of rows and columns of a sheet of Excel 97 ([MS-XLS] 2.5.187 and 2.5.53), and the next power of two
/// of rows for files that count one too many.
const ROWS: u64 = 1 << 17;
const COLUMNS: u64 = 1 << 8;

/// Types of the records that are checked ([MS-XLS] 2.3.2).
const DIMENSIONS: u16 = 0x0200;
const BOUND_SHEET: u16 = 0x0085;
const BEGIN: u16 = 0x0809;
const END: u16 = 0x000a;

/// Returns whether a part of an archive is, under any folder and in any case, that of shared texts.
pub(super) fn is_shared_strings(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("sharedstrings.xml")
}

/// Refuses shared texts (ECMA-376, 18.4.9) that claim to be more than the bytes of their part.
pub(super) fn check_shared_strings(part: impl Read) -> Result<(), String> {
    let mut counted = Counted {
        inner: part,
        bytes: 0,
    };
    let Some(claimed) = claimed_texts(&mut counted) else {
        return Ok(());
    };
    if claimed <= FREE_TEXTS {
        return Ok(());
    }
    // A part that breaks off is found out when it is read.
    let _ = std::io::copy(&mut counted, &mut std::io::sink());
    match claimed > counted.bytes / SHORTEST_TEXT {
        true => Err(format!(
            "it claims to have {claimed} texts in {} bytes",
            counted.bytes
        )),
        false => Ok(()),
    }
}

/// The `uniqueCount` of the first `sst`; the greatest where there are several. What is no XML is left to the reader.
fn claimed_texts(part: impl Read) -> Option<u64> {
    // Set up as the reader of workbooks sets it up.
    let mut reader = Reader::from_reader(BufReader::new(part));
    let config = reader.config_mut();
    config.check_end_names = false;
    config.check_comments = false;
    config.expand_empty_elements = true;
    let mut event = Vec::new();
    loop {
        event.clear();
        match reader.read_event_into(&mut event) {
            Ok(Event::Start(start)) if start.local_name().as_ref() == "sst" => {
                let attributes = start.attributes_raw();
                let claims = attributes.split("uniqueCount").skip(1).filter_map(claim);
                return claims.max();
            }
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// The number of an attribute, from what follows its name.
fn claim(after_name: &str) -> Option<u64> {
    let value = after_name.trim_start().strip_prefix('=')?.trim_start();
    let value = value.strip_prefix(['"', '\'']).unwrap_or(value);
    let digits = value.trim_start_matches(['+', ' ']);
    let end = digits.find(|c: char| !c.is_ascii_digit());
    let digits = &digits[..end.unwrap_or(digits.len())];
    // More digits than a number has are more than there is room for.
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX))
}

struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Refuses a workbook of Excel 97 or before with a sheet that claims to be larger than sheets are. One that cannot be opened
/// is left to the reader.
pub(super) fn check_compound_file(file: SeekableFile, most_bytes: u64) -> Result<(), String> {
    let Ok(mut compound) = cfb::CompoundFile::open(file) else {
        return Ok(());
    };
    let streams: Vec<_> = compound
        .walk()
        .filter(|entry| entry.is_stream())
        .filter(|entry| ["workbook", "book"].contains(&entry.name().to_ascii_lowercase().as_str()))
        .map(|entry| entry.path().to_owned())
        .collect();
    for path in streams {
        let mut stream = Vec::new();
        if let Ok(opened) = compound.open_stream(path) {
            let read = opened.take(most_bytes).read_to_end(&mut stream);
            // What was read before it broke off is looked at.
            let _ = read;
        }
        check_stream(&stream)?;
    }
    Ok(())
}

/// Checks the records of the workbook, and those from the start of each of its sheets, in the order in which the reader
/// visits them.
fn check_stream(stream: &[u8]) -> Result<(), String> {
    let mut sheets = Vec::new();
    let mut seen = vec![false; stream.len()];
    for record in records(stream, 0) {
        seen[record.at] = true;
        record.check()?;
        if record.kind == BOUND_SHEET
            && let Some(start) = number(record.data, 0, 4)
        {
            sheets.push(start as usize);
        }
    }
    let mut walked = 0_u64;
    for start in sheets {
        if start >= stream.len() {
            return Err("a sheet begins after the end of the workbook".to_owned());
        }
        let (mut depth, mut ended) = (0_u32, false);
        for record in records(stream, start) {
            // Where an earlier walk came by, it went on like this one.
            let known = std::mem::replace(&mut seen[record.at], true);
            if !known {
                record.check()?;
            }
            walked += u64::from(!ended);
            match record.kind {
                BEGIN => depth += 1,
                END => {
                    depth = depth.saturating_sub(1);
                    ended |= depth == 0;
                }
                _ => {}
            }
            // A record has four bytes at least: sheets that do not overlap have a quarter of this.
            if walked > stream.len() as u64 {
                return Err("its sheets overlap".to_owned());
            }
            if ended && known {
                break;
            }
        }
    }
    Ok(())
}

struct Record<'a> {
    /// Where it begins in its stream.
    at: usize,
    kind: u16,
    data: &'a [u8],
}

impl Record<'_> {
    fn check(&self) -> Result<(), String> {
        if self.kind != DIMENSIONS {
            return Ok(());
        }
        // The numbers of rows have four bytes since Excel 97.
        let width = if self.data.len() < 14 { 2 } else { 4 };
        let (Some(first), Some(last)) =
            (number(self.data, 0, width), number(self.data, width, width))
        else {
            return Ok(());
        };
        let (Some(left), Some(right)) = (
            number(self.data, 2 * width, 2),
            number(self.data, 2 * width + 2, 2),
        ) else {
            return Ok(());
        };
        let rows = last.saturating_sub(first).max(first.saturating_sub(last));
        // A first column behind the last one is taken for the first of all.
        let columns = match left > 0xff || right < left {
            true => right,
            false => right - left,
        };
        match rows.saturating_mul(columns) > ROWS * COLUMNS {
            true => Err(format!(
                "a sheet claims to have {rows} rows and {columns} columns"
            )),
            false => Ok(()),
        }
    }
}

/// The records of a stream from there on, until one breaks off.
fn records(stream: &[u8], from: usize) -> impl Iterator<Item = Record<'_>> {
    let mut at = from;
    std::iter::from_fn(move || {
        let kind = number(stream, at, 2)?;
        let len = number(stream, at + 2, 2)? as usize;
        let data = stream.get(at + 4..at + 4 + len)?;
        let record = Record {
            at,
            kind: kind as u16,
            data,
        };
        at += 4 + len;
        Some(record)
    })
}

/// Reads a little-endian number of this many bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + width)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A count that fits the part is accepted, whatever precedes it; one that does not is rejected, in every notation.
    #[test]
    fn h2_texts_that_are_claimed() {
        let texts = "<si><t>x</t></si>".repeat(3);
        for (head, good) in [
            ("<sst count=\"3\" uniqueCount=\"3\">", true),
            ("<sst>", true),
            ("<sst uniqueCount=\"1000000\">", true),
            ("<sst uniqueCount=\"2000000\">", false),
            ("<sst uniqueCount=\"200000000000000\">", false),
            ("<sst uniqueCount=\"99999999999999999999999\">", false),
            (
                "<!-- <sst uniqueCount=\"1\"> --><sst uniqueCount = '200000000'>",
                false,
            ),
            ("<x:sst xmlns:x=\"y\" uniqueCount=\"200000000\">", false),
        ] {
            let part = format!("<?xml version=\"1.0\"?>{head}{texts}</sst>");
            let checked = check_shared_strings(part.as_bytes());
            assert_eq!(checked.is_ok(), good, "{head}: {checked:?}");
        }
        let utf16: Vec<u8> = "\u{feff}<sst uniqueCount=\"200000000\"></sst>"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert!(
            check_shared_strings(utf16.as_slice()).is_err()
                || claimed_texts(utf16.as_slice()).is_none()
        );
    }

    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend((data.len() as u16).to_le_bytes());
        bytes.extend(data);
        bytes
    }

    fn dimensions(rows: u32, columns: u16) -> Vec<u8> {
        let mut data = 0_u32.to_le_bytes().to_vec();
        data.extend(rows.to_le_bytes());
        data.extend(0_u16.to_le_bytes());
        data.extend(columns.to_le_bytes());
        data.extend([0, 0]);
        record(DIMENSIONS, &data)
    }

    fn sheet_at(start: u32) -> Vec<u8> {
        let mut data = start.to_le_bytes().to_vec();
        data.extend([0, 0, 1, 0, b'S']);
        record(BOUND_SHEET, &data)
    }

    /// Sheets are as large as sheets can be, where the walk of records comes by and where a sheet begins inside a record.
    #[test]
    fn h2_dimensions_of_old_sheets() {
        assert!(check_stream(&dimensions(65_536, 256)).is_ok());
        assert!(check_stream(&dimensions(4_000_000_000, 256)).is_err());
        assert!(check_stream(&dimensions(1 << 20, 0xffff)).is_err());
        let begins = sheet_at(0).len() as u32 + 4;
        let hidden = |rows| [sheet_at(begins), record(0x1234, &dimensions(rows, 256))].concat();
        assert!(check_stream(&hidden(100)).is_ok());
        assert!(check_stream(&hidden(4_000_000_000)).is_err());
        assert!(check_stream(&sheet_at(1 << 20)).is_err());
    }

    /// Sheets without an end, each of which is walked to the end of the stream, are not walked for ever.
    #[test]
    fn h2_many_sheets_over_the_same_records() {
        let sheet = sheet_at(0);
        let stream = [sheet.repeat(40_000), record(0x1234, &[]).repeat(100_000)].concat();
        assert!(stream.len() < 1 << 20);
        assert!(check_stream(&stream).is_err());
    }
}
