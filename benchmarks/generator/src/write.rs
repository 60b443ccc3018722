//! Writing a table of customers and its truth as CSV.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::generator::{COLUMNS, CustomerGenerator, Row, TRUTH_COLUMNS};
use crate::sequence::RowKind;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The files of the table, in the order of their rows.
    pub files: Vec<PathBuf>,
    /// The size of the table in bytes.
    pub bytes: u64,
    /// Rows that repeat an earlier customer.
    pub duplicate_rows: u64,
    /// Rows that nearly repeat an earlier customer.
    pub near_duplicate_rows: u64,
    /// Rows that no reader can put into columns.
    pub ragged_rows: u64,
}

/// Writes rows `0..rows` to `out`, or, for more than one piece, cut into files `STEM-00000.EXT` … beside it that hold
/// the same rows in order, each with the header; and the truth, if asked for, to one file.
pub fn write_table(
    generator: CustomerGenerator,
    rows: u64,
    pieces: u64,
    out: &Path,
    truth: Option<&Path>,
) -> Result<Written> {
    if pieces == 0 {
        bail!("the rows cannot be cut into 0 pieces");
    }
    let mut truth = truth.map(|path| create(path, &TRUTH_COLUMNS)).transpose()?;
    let mut written = Written {
        files: Vec::new(),
        bytes: 0,
        duplicate_rows: 0,
        near_duplicate_rows: 0,
        ragged_rows: 0,
    };
    let mut row = Row::default();
    let mut line = Vec::with_capacity(512);
    for piece in 0..pieces {
        let path = if pieces == 1 {
            out.to_path_buf()
        } else {
            piece_path(out, piece)
        };
        let mut file = create(&path, &COLUMNS)?;
        for number in piece_bounds(rows, pieces, piece) {
            generator.fill(number, &mut row);
            line.clear();
            row.dirty.write_csv(&mut line);
            file.write_all(&line)
                .with_context(|| format!("cannot write {}", path.display()))?;
            written.bytes += line.len() as u64;
            match row.kind {
                Some(RowKind::Copy { .. } | RowKind::Respelt { .. }) => written.duplicate_rows += 1,
                Some(RowKind::NearDuplicate { .. }) => written.near_duplicate_rows += 1,
                Some(RowKind::Ragged) => written.ragged_rows += 1,
                Some(RowKind::Original) | None => {}
            }
            if let Some(truth) = &mut truth {
                line.clear();
                push_truth(&mut line, number, &row);
                truth.write_all(&line).context("cannot write the truth")?;
            }
        }
        file.flush()
            .with_context(|| format!("cannot write {}", path.display()))?;
        written.files.push(path);
    }
    if let Some(mut truth) = truth {
        truth.flush().context("cannot write the truth")?;
    }
    Ok(written)
}

/// The rows of one piece; pieces differ by one row at most.
fn piece_bounds(rows: u64, pieces: u64, piece: u64) -> std::ops::Range<u64> {
    let bound = |piece: u64| (u128::from(rows) * u128::from(piece) / u128::from(pieces)) as u64;
    bound(piece)..bound(piece + 1)
}

fn piece_path(out: &Path, piece: u64) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let extension = out
        .extension()
        .map(|extension| format!(".{}", extension.to_string_lossy()))
        .unwrap_or_default();
    out.with_file_name(format!("{stem}-{piece:05}{extension}"))
}

fn create(path: &Path, columns: &[&str]) -> Result<BufWriter<File>> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    writeln!(writer, "{}", columns.join(","))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(writer)
}

fn push_truth(line: &mut Vec<u8>, number: u64, row: &Row) {
    let (kind, duplicate_of) = match row.kind {
        Some(RowKind::Copy { of } | RowKind::Respelt { of }) => ("duplicate", of.to_string()),
        Some(RowKind::NearDuplicate { of, by }) => (by.name(), of.to_string()),
        Some(RowKind::Ragged) => ("unreadable", String::new()),
        Some(RowKind::Original) | None => ("unique", String::new()),
    };
    line.extend_from_slice(format!("{number},{kind},{duplicate_of},").as_bytes());
    if row.clean.is_empty() {
        // The customer is unknown, but the line has as many cells as the others.
        line.extend_from_slice(&[b','; COLUMNS.len() - 1]);
        line.push(b'\n');
    } else {
        row.clean.write_csv(line);
    }
}
