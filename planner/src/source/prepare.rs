//! What is found out about one file before it is read.

use std::path::Path;

use super::dataset::{Content, LineUnit, SourceColumn};
use super::error::SourceError;
use super::locate::Located;
use super::options::{Format, SourceOptions};
use super::separated::separated;
use super::store::ByteFile;

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

/// Finds out how a file is written and where its rows lie.
pub(super) fn prepare(
    located: &Located,
    _number: usize,
    options: &SourceOptions,
    _staging: &Path,
) -> Result<Prepared, SourceError> {
    let path = &located.shown;
    let file = ByteFile::local(&located.path).map_err(|e| SourceError::io(path, "open", e))?;
    let format = options
        .format
        .or_else(|| Format::of_name(path))
        .unwrap_or(Format::Csv);
    let mut notes = Vec::new();
    let found = separated(&file, path, format, None, options, &mut notes)?;
    let header = found.as_ref().map(|f| f.header);
    let (columns, content, rows) = match found {
        Some(found) => (found.columns, found.content, found.index.rows),
        None => (Vec::new(), Content::Empty, 0),
    };
    Ok(Prepared {
        path: path.clone(),
        format,
        bytes: file.size(),
        rows,
        columns,
        line_unit: LineUnit::Line,
        content,
        notes,
        header,
    })
}
