//! Sheets of workbooks, staged as separated text: one staged record a row of the sheet.

use std::io::{Read, Write};

use calamine::{Data, DataRef, ExcelDateTime, Ods, Range, Reader, Xls, Xlsb, Xlsx};

use super::dialect::SHEET_DIALECT;
use super::error::SourceError;
use super::options::{ContentLimits, DecompressedLimit};
use super::stage::Stage;
use super::workbook_guard::{check_compound_file, check_shared_strings, is_shared_strings};
use planner_storage::{ByteFile, SeekableFile};

/// Bytes of a cell as it is laid out in memory, whole sheets at a time.
const CELL_BYTES: u64 = 40;

/// Bytes of a workbook that may unfold to anything, and the most that a byte of any part may unfold to beyond them, where
/// the ratio of files is limited: parts hold markup, which is laid out in several times its size.
const FREE_PART: u64 = 16 << 20;
const PART_RATIO: u64 = 64;

/// Maximum compression ratio of DEFLATE (RFC 1951).
const MOST_UNFOLDED_OF_A_BYTE: u64 = 1032;

/// A staged sheet.
pub(super) struct Sheet {
    pub file: ByteFile,
    /// Number of the first staged row in the sheet, from 1.
    pub first_row: u64,
    pub notes: Vec<String>,
}

enum Workbook {
    Xls(Xls<SeekableFile>),
    Xlsx(Xlsx<SeekableFile>),
    Xlsb(Xlsb<SeekableFile>),
    Ods(Ods<SeekableFile>),
}

macro_rules! each {
    ($workbook:expr, $book:ident => $body:expr) => {
        match $workbook {
            Workbook::Xls($book) => $body,
            Workbook::Xlsx($book) => $body,
            Workbook::Xlsb($book) => $body,
            Workbook::Ods($book) => $body,
        }
    };
}

/// Rejects a workbook whose parts decompress to more than the limits permit. The sizes in the archive are not trusted:
/// the parts are decompressed and discarded.
pub(super) fn check_workbook(
    file: &ByteFile,
    path: &str,
    limit: DecompressedLimit,
    limits: &ContentLimits,
) -> Result<(), SourceError> {
    check_claims(file, path, limits)?;
    let strict = limits.ratio < u64::MAX;
    let limit = DecompressedLimit(limit.0.min(limits.held));
    if !strict && file.size().saturating_mul(MOST_UNFOLDED_OF_A_BYTE) <= limit.0 {
        return Ok(());
    }
    let reader = SeekableFile::open(file).map_err(|e| SourceError::io(path, "open", e))?;
    // What is no archive is not compressed; the reader of workbooks says what is wrong with it.
    let Ok(mut archive) = zip::ZipArchive::new(reader) else {
        return Ok(());
    };
    let mut unfolded = 0;
    for number in 0..archive.len() {
        let Ok(part) = archive.by_index(number) else {
            continue;
        };
        let rest = limit.0 - unfolded;
        let packed = part.compressed_size();
        // A broken part is found out when it is read.
        let of_part = std::io::copy(&mut part.take(rest + 1), &mut std::io::sink()).unwrap_or(0);
        if strict && of_part > FREE_PART.max(packed.saturating_mul(PART_RATIO)) {
            let reason = format!("{packed} bytes of a part of the workbook unfold to {of_part}");
            return Err(SourceError::content(path, None, reason));
        }
        unfolded += of_part;
        if unfolded > limit.0 {
            return Err(limit.broken(path));
        }
    }
    Ok(())
}

/// Rejects a workbook that claims more content than its size permits.
fn check_claims(file: &ByteFile, path: &str, limits: &ContentLimits) -> Result<(), SourceError> {
    let reader = || SeekableFile::open(file).map_err(|e| SourceError::io(path, "open", e));
    let refuse = |reason: String| {
        SourceError::content(path, None, format!("the workbook cannot be read: {reason}"))
    };
    let Ok(mut archive) = zip::ZipArchive::new(reader()?) else {
        return check_compound_file(reader()?, limits.held).map_err(refuse);
    };
    for number in 0..archive.len() {
        if let Ok(part) = archive.by_index(number)
            && part.name().is_ok_and(|name| is_shared_strings(&name))
        {
            check_shared_strings(part).map_err(refuse)?;
        }
    }
    Ok(())
}

/// Stages the chosen sheet, else the first one that is not empty.
pub(super) fn stage_sheet(
    stage: &Stage,
    (file, path): (&ByteFile, &str),
    choice: Option<&str>,
    limits: &ContentLimits,
) -> Result<Sheet, SourceError> {
    let mut workbook = open(file, path)?;
    let names = each!(&workbook, book => book.sheet_names());
    let chosen: Vec<String> = match choice {
        None => names.clone(),
        Some(choice) => {
            let found = names.iter().find(|name| *name == choice);
            let numbered = || choice.parse::<usize>().ok().and_then(|n| names.get(n));
            let name = found
                .or_else(numbered)
                .ok_or_else(|| SourceError::Options {
                    path: path.to_owned(),
                    option: "sheet",
                    reason: format!(
                        "there is no sheet {choice:?}; the sheets are: {}",
                        names.join(", ")
                    ),
                })?;
            vec![name.clone()]
        }
    };
    let mut range = Range::empty();
    let mut used = String::new();
    for name in chosen {
        let refuse = |reason: String| {
            SourceError::content(
                path,
                None,
                format!("sheet {name:?} cannot be read: {reason}"),
            )
        };
        let cells = limits.held / CELL_BYTES;
        workbook
            .check_size(&name, cells, limits.held)
            .map_err(refuse)?;
        match each!(&mut workbook, book => book.worksheet_range(&name).map_err(|e| e.to_string())) {
            Ok(found) if found.is_empty() && choice.is_none() => {}
            Ok(found) => {
                range = found;
                used = name;
                break;
            }
            // A sheet of a chart has no cells; another one may have some.
            Err(_) if choice.is_none() && names.len() > 1 => {}
            Err(reason) => return Err(refuse(reason)),
        }
    }
    if range.is_empty() {
        return Err(SourceError::content(
            path,
            None,
            "no sheet of the workbook has a cell",
        ));
    }
    let mut notes = Vec::new();
    if names.len() > 1 && choice.is_none() {
        notes.push(format!("of {} sheets, {used:?} is read", names.len()));
    }
    let mut errors = 0_u64;
    let (file, ()) = stage.write("sheet", |out| {
        write_rows(&range, out, &mut errors)
            .map_err(|e| SourceError::io(path, "write a staged copy of", e))
    })?;
    if errors > 0 {
        notes.push(format!(
            "{errors} cell(s) hold an error such as #N/A, which is read as text"
        ));
    }
    let first_row = range.start().map_or(1, |(row, _)| u64::from(row) + 1);
    Ok(Sheet {
        file,
        first_row,
        notes,
    })
}

fn open(file: &ByteFile, path: &str) -> Result<Workbook, SourceError> {
    let reader = || SeekableFile::open(file).map_err(|e| SourceError::io(path, "open", e));
    let refuse = |reason: String| {
        SourceError::content(path, None, format!("the workbook cannot be read: {reason}"))
    };
    let mut magic = [0; 4];
    let read = reader()?
        .read(&mut magic)
        .map_err(|e| SourceError::io(path, "read", e))?;
    if magic[..read] == [0xd0, 0xcf, 0x11, 0xe0] {
        return Xls::new(reader()?)
            .map(Workbook::Xls)
            .map_err(|e| refuse(format!("{e} (is it protected by a password?)")));
    }
    if !magic[..read].starts_with(b"PK") {
        return refuse_unknown(Xls::new(reader()?).ok(), refuse);
    }
    let xlsx = Xlsx::new(reader()?);
    let reason = match xlsx {
        Ok(book) => return Ok(Workbook::Xlsx(book)),
        Err(e) => e.to_string(),
    };
    if let Ok(book) = Xlsb::new(reader()?) {
        return Ok(Workbook::Xlsb(book));
    }
    match Ods::new(reader()?) {
        Ok(book) => Ok(Workbook::Ods(book)),
        Err(_) => Err(refuse(reason)),
    }
}

fn refuse_unknown(
    xls: Option<Xls<SeekableFile>>,
    refuse: impl Fn(String) -> SourceError,
) -> Result<Workbook, SourceError> {
    // Before version 5 a workbook lay bare in its file.
    xls.map(Workbook::Xls)
        .ok_or_else(|| refuse("it is neither a zip nor an OLE file".to_owned()))
}

impl Workbook {
    /// Checks the positions and the texts of the cells before the range is allocated: two distant cells may require more
    /// memory than there is, and so may a long text that many cells share. Only the two streamed formats need this; the older
    /// one has 16 M cells at most.
    fn check_size(&mut self, name: &str, most_cells: u64, most_text: u64) -> Result<(), String> {
        let mut most = (0_u64, 0_u64);
        let mut least = (u64::MAX, u64::MAX);
        let mut text = 0_u64;
        let mut see = |(row, column): (u32, u32), value: &DataRef<'_>| {
            text = text.saturating_add(text_bytes(value));
            most = (most.0.max(row.into()), most.1.max(column.into()));
            least = (least.0.min(row.into()), least.1.min(column.into()));
        };
        match self {
            Self::Xlsx(book) => {
                let Ok(mut cells) = book.worksheet_cells_reader(name) else {
                    return Ok(());
                };
                while let Ok(Some(cell)) = cells.next_cell() {
                    see(cell.get_position(), cell.get_value());
                }
            }
            Self::Xlsb(book) => {
                let Ok(mut cells) = book.worksheet_cells_reader(name) else {
                    return Ok(());
                };
                while let Ok(Some(cell)) = cells.next_cell() {
                    see(cell.get_position(), cell.get_value());
                }
            }
            Self::Xls(_) | Self::Ods(_) => return Ok(()),
        }
        if text > most_text {
            return Err(format!(
                "its cells come to {text} bytes of text, where {most_text} are the most"
            ));
        }
        let rows = most.0.saturating_sub(least.0) + 1;
        let columns = most.1.saturating_sub(least.1) + 1;
        if rows * columns > most_cells {
            return Err(format!(
                "its {rows} rows and {columns} columns are too many"
            ));
        }
        Ok(())
    }
}

/// The bytes of a cell's text.
fn text_bytes(value: &DataRef<'_>) -> u64 {
    let bytes = match value {
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.len()
        }
        DataRef::SharedString(text) => text.len(),
        _ => 0,
    };
    bytes as u64
}

fn write_rows(range: &Range<Data>, out: &mut impl Write, errors: &mut u64) -> std::io::Result<()> {
    let mut text = String::new();
    for row in range.rows() {
        // A row without a value is a blank line, which the reader passes over.
        if row.iter().any(|cell| !matches!(cell, Data::Empty)) {
            for (column, cell) in row.iter().enumerate() {
                if column > 0 {
                    out.write_all(&[SHEET_DIALECT.delimiter])?;
                }
                *errors += u64::from(matches!(cell, Data::Error(_)));
                text.clear();
                cell_text(cell, &mut text);
                write_cell(&text, row.len() == 1, out)?;
            }
        }
        out.write_all(&[SHEET_DIALECT.terminator])?;
    }
    Ok(())
}

fn write_cell(text: &str, alone: bool, out: &mut impl Write) -> std::io::Result<()> {
    let special = |b: u8| {
        b == b'"' || b == b'\r' || b == SHEET_DIALECT.delimiter || b == SHEET_DIALECT.terminator
    };
    let lost = alone && text.is_empty();
    if !lost && !text.bytes().any(special) {
        return out.write_all(text.as_bytes());
    }
    out.write_all(b"\"")?;
    out.write_all(text.replace('"', "\"\"").as_bytes())?;
    out.write_all(b"\"")
}

/// A cell as text: whole numbers without `.0`, dates and durations in ISO 8601.
fn cell_text(cell: &Data, out: &mut String) {
    use std::fmt::Write as _;
    // Writing to a string does not fail.
    let _ = match cell {
        Data::Empty => Ok(()),
        Data::Int(value) => write!(out, "{value}"),
        Data::Float(value) => write!(out, "{value}"),
        Data::String(value) | Data::DateTimeIso(value) | Data::DurationIso(value) => {
            out.write_str(value)
        }
        Data::Bool(value) => write!(out, "{value}"),
        Data::Error(error) => write!(out, "{error}"),
        Data::DateTime(value) => {
            out.push_str(&date_text(value));
            Ok(())
        }
    };
}

fn date_text(value: &ExcelDateTime) -> String {
    let number = value.as_f64();
    if value.is_duration() {
        let millis = (number * 86_400_000.0).round();
        if !millis.is_finite() || millis.abs() > 1e15 {
            return number.to_string();
        }
        let sign = if millis < 0.0 { "-" } else { "" };
        let millis = millis.abs() as u64;
        let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
        let (seconds, millis) = (millis / 1_000 % 60, millis % 1_000);
        let fraction = if millis > 0 {
            format!(".{millis:03}")
        } else {
            String::new()
        };
        return format!("{sign}PT{hours}H{minutes}M{seconds}{fraction}S");
    }
    let Some(at) = value.as_datetime() else {
        return number.to_string();
    };
    if (0.0..1.0).contains(&number) {
        // A time of day: the day of such a number is none.
        return at.format("%H:%M:%S%.f").to_string();
    }
    if number.fract() == 0.0 {
        return at.format("%Y-%m-%d").to_string();
    }
    at.format("%Y-%m-%dT%H:%M:%S%.f").to_string()
}
