//! What is found out about one file before it is read.

use std::sync::{Arc, OnceLock};

use encoding_rs::UTF_8;

use super::dataset::{Content, LineUnit, SourceColumn};
use super::dialect::SHEET_DIALECT;
use super::encoding::{judge, legacy};
use super::error::SourceError;
use super::fetch::fetch;
use super::guard::caught;
use super::index::{Mark, TextIndex};
use super::json_document::{is_document, stage_document};
use super::jsonl::index_json;
use super::locate::Located;
use super::options::{Compression, ContentLimits, Format, SourceOptions};
use super::parquet_rows::read_footer;
use super::separated::{separated, skip_lines};
use super::sheet::{check_workbook, stage_sheet};
use super::stage::Stage;
use planner_storage::{ByteFile, Location, Place};

/// Bytes of a file by which its format and encoding are judged.
const HEAD: usize = 1024 * 1024;

/// A file that is ready to be read.
pub(super) struct Prepared {
    pub path: String,
    pub format: Format,
    pub bytes: u64,
    pub rows: u64,
    pub columns: Vec<SourceColumn>,
    pub line_unit: LineUnit,
    pub content: Content,
    pub notes: Vec<String>,
    /// Whether the first record names the columns, where there may be one that does.
    pub header: Option<bool>,
}

/// What is found out about the rows of a file.
#[derive(Default)]
struct Found {
    rows: u64,
    columns: Vec<SourceColumn>,
    content: Option<Content>,
    unit: Option<LineUnit>,
    header: Option<bool>,
}

/// Detects the format of a file and the positions of its rows.
pub(super) fn prepare(
    located: &Located,
    number: usize,
    options: &SourceOptions,
    staging: &Place,
) -> Result<Prepared, SourceError> {
    let path = &located.shown;
    let stage = Stage::new(staging, number, path);
    let original = match &located.at {
        Location::Place(place) => {
            ByteFile::find(place).map_err(|e| SourceError::io(path, "open", e))?
        }
        Location::Web(address) => fetch(address, path, options.fetch, &stage)?,
    };
    let mut notes = Vec::new();
    let mut file = original.clone();
    let compression = match options.compression {
        Some(told) => told,
        None => Compression::of_magic(&head_of(&file, path)?),
    };
    if compression != Compression::None {
        file = {
            let limits = (options.decompressed, &options.limits);
            stage.decompress(&file, compression, limits)?
        };
    }
    let head = head_of(&file, path)?;
    let format = match options.format.or_else(|| Format::of_name(path)) {
        Some(format) => format,
        None => of_content(&head, path)?,
    };
    let found = match format {
        Format::Parquet => parquet(&file, path, &options.limits, &mut notes)?,
        Format::Excel => excel(&stage, &file, path, options, &mut notes)?,
        Format::Csv | Format::Tsv | Format::Jsonl | Format::Json => {
            if let Some(what) = binary(&head) {
                return Err(SourceError::content(
                    path,
                    None,
                    format!("this is {what}, not text of the format {format:?}"),
                ));
            }
            text(&stage, (file, head), path, format, options, &mut notes)?
        }
    };
    if found.columns.len() > options.limits.columns {
        let (count, most) = (found.columns.len(), options.limits.columns);
        let reason = format!("{count} columns; at most {most} are allowed");
        return Err(SourceError::content(path, None, reason));
    }
    Ok(Prepared {
        path: path.clone(),
        format,
        bytes: original.size(),
        rows: found.rows,
        columns: found.columns,
        line_unit: found.unit.unwrap_or(LineUnit::Line),
        content: found.content.unwrap_or(Content::Empty),
        notes,
        header: found.header,
    })
}

fn head_of(file: &ByteFile, path: &str) -> Result<Vec<u8>, SourceError> {
    file.head(HEAD)
        .map_err(|e| SourceError::io(path, "read", e))
}

/// What a file is that no text begins like.
fn binary(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"PAR1") || head.starts_with(b"PARE") {
        Some("a Parquet file")
    } else if head.starts_with(b"PK\x03\x04") {
        Some("a zip file (a workbook, perhaps)")
    } else if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        Some("an OLE file (a workbook, perhaps)")
    } else {
        None
    }
}

/// The format that the content shows where the name shows none.
fn of_content(head: &[u8], path: &str) -> Result<Format, SourceError> {
    if head.starts_with(b"PAR1") || head.starts_with(b"PARE") {
        return Ok(Format::Parquet);
    }
    if binary(head).is_some() {
        return Ok(Format::Excel);
    }
    let judged = judge(head, head.len() < HEAD, None);
    let zeros = head.iter().take(8_192).filter(|b| **b == 0).count();
    if judged.encoding.is_ascii_compatible() && zeros > 0 {
        return Err(SourceError::content(
            path,
            None,
            "neither its name nor its content indicates a supported format",
        ));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    Ok(match text.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => Format::Json,
        Some(b'[') if super::json_document::begins_array(text) => Format::Json,
        _ => Format::Csv,
    })
}

fn parquet(
    file: &ByteFile,
    path: &str,
    limits: &ContentLimits,
    notes: &mut Vec<String>,
) -> Result<Found, SourceError> {
    let footer = read_footer(file, path, limits, notes)?;
    Ok(Found {
        rows: footer.rows,
        columns: footer.columns,
        content: Some(Content::Parquet {
            file: file.clone(),
            footer: Arc::new(OnceLock::from(footer.metadata)),
        }),
        unit: Some(LineUnit::Row),
        header: None,
    })
}

fn excel(
    stage: &Stage,
    file: &ByteFile,
    path: &str,
    options: &SourceOptions,
    notes: &mut Vec<String>,
) -> Result<Found, SourceError> {
    check_workbook(file, path, options.decompressed, &options.limits)?;
    let choice = options.sheet.as_deref();
    let sheet = caught(|| stage_sheet(stage, (file, path), choice, &options.limits));
    let sheet = sheet.map_err(|reason| {
        SourceError::content(path, None, format!("the workbook cannot be read: {reason}"))
    })??;
    notes.extend(sheet.notes);
    let mut found = csv(
        &sheet.file,
        path,
        (Format::Excel, sheet.first_row),
        options,
        notes,
    )?
    .0;
    found.unit = Some(LineUnit::Row);
    Ok(found)
}

/// CSV or JSON in any encoding.
fn text(
    stage: &Stage,
    (original, head): (ByteFile, Vec<u8>),
    path: &str,
    format: Format,
    options: &SourceOptions,
    notes: &mut Vec<String>,
) -> Result<Found, SourceError> {
    let last = head.len() as u64 >= original.size();
    let judged = judge(&head, last, options.encoding.as_deref());
    let mut encoding = judged.encoding;
    let mut file = original.clone();
    loop {
        let before = notes.len();
        if encoding != UTF_8 {
            let (staged, replaced) = stage.transcode(&original, encoding)?;
            file = staged;
            let how = if judged.guessed {
                "was taken to be"
            } else {
                "is"
            };
            notes.push(format!("the encoding {how} {}", encoding.name()));
            if replaced {
                notes.push(format!(
                    "some bytes are invalid in {} and are shown as U+FFFD",
                    encoding.name()
                ));
            }
        }
        let (found, index) = match format {
            Format::Json | Format::Jsonl => json(stage, &file, path, format, options, notes)?,
            _ => csv(&file, path, (format, 1), options, notes)?,
        };
        // More broken records than good ones beyond ASCII: the head did not show what it is.
        if encoding == UTF_8
            && judged.guessed
            && index.is_some_and(|i| i.invalid > 1 && i.invalid > i.multibyte)
        {
            notes.truncate(before);
            encoding = legacy(&invalid_part(&original, path)?, false);
            continue;
        }
        return Ok(found);
    }
}

/// The first block of a file that is not valid UTF-8.
fn invalid_part(file: &ByteFile, path: &str) -> Result<Vec<u8>, SourceError> {
    let failed = |e| SourceError::io(path, "read", e);
    let mut reader = file.open(0..file.size()).map_err(failed)?;
    loop {
        let mut block = Vec::new();
        let mut part = std::io::Read::take(&mut reader, HEAD as u64);
        let read = std::io::Read::read_to_end(&mut part, &mut block).map_err(failed)?;
        let invalid = simdutf8::compat::from_utf8(&block)
            .is_err_and(|e| e.error_len().is_some() || e.valid_up_to() + 4 < block.len());
        if read == 0 || invalid {
            return Ok(block);
        }
    }
}

fn csv(
    file: &ByteFile,
    path: &str,
    (format, first_line): (Format, u64),
    options: &SourceOptions,
    notes: &mut Vec<String>,
) -> Result<(Found, Option<TextIndex>), SourceError> {
    let dialect = (format == Format::Excel).then_some(SHEET_DIALECT);
    let Some(found) = separated(file, path, format, (dialect, first_line), options, notes)? else {
        return Ok((Found::default(), None));
    };
    let rows = found.index.rows;
    Ok((
        Found {
            rows,
            columns: found.columns,
            content: Some(found.content),
            unit: None,
            header: Some(found.header),
        },
        Some(found.index),
    ))
}

fn json(
    stage: &Stage,
    file: &ByteFile,
    path: &str,
    format: Format,
    options: &SourceOptions,
    notes: &mut Vec<String>,
) -> Result<(Found, Option<TextIndex>), SourceError> {
    let mut head = head_of(file, path)?;
    let (offset, skipped) = skip_lines(&head, options.skip_rows, b'\n');
    let document = options.skip_rows == 0 && is_document(&head, format);
    let staged;
    let (lines, start) = if document {
        staged = stage_document(stage, file, path, options.limits.record)?;
        head = head_of(&staged, path)?;
        (&staged, (0, 0))
    } else {
        (file, (offset, skipped))
    };
    if head.iter().all(u8::is_ascii_whitespace) {
        return Ok((Found::default(), None));
    }
    let start = Mark {
        row: 0,
        offset: start.0 as u64,
        line: start.1 as u64 + 1,
    };
    let found = index_json(lines, path, start, &options.limits)?;
    if found.repeated {
        notes.push("some objects have a name twice: the last value counts".to_owned());
    }
    let columns = found.names.into_iter().map(|name| SourceColumn {
        name,
        data_type: arrow::datatypes::DataType::Utf8View,
    });
    let unit = if document {
        LineUnit::Element
    } else {
        LineUnit::Line
    };
    Ok((
        Found {
            rows: found.index.rows,
            columns: columns.collect(),
            content: Some(Content::Jsonl {
                file: lines.clone(),
                marks: found.index.marks.clone(),
            }),
            unit: Some(unit),
            header: None,
        },
        Some(found.index),
    ))
}
