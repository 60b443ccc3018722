//! Small CSV tables in memory (RFC 4180).

use std::path::Path;

use anyhow::{Context, Result, bail};
use csv_core::{ReadRecordResult, Reader};

/// A header and rows of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvTable {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The rows, each with a cell for every column unless the file is ragged.
    pub rows: Vec<Vec<String>>,
}

impl CsvTable {
    /// A table of one column.
    pub fn of_column<'a>(name: &str, cells: impl IntoIterator<Item = &'a str>) -> Self {
        let rows = cells
            .into_iter()
            .map(|cell| vec![cell.to_owned()])
            .collect();
        Self {
            header: vec![name.to_owned()],
            rows,
        }
    }

    /// Reads a whole file; bytes that are no UTF-8 become replacement characters.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut records = parse(bytes).into_iter();
        let Some(header) = records.next() else {
            bail!("{} has no header", path.display())
        };
        Ok(Self {
            header,
            rows: records.collect(),
        })
    }

    /// Writes the table to a file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = Vec::new();
        for row in std::iter::once(&self.header).chain(&self.rows) {
            push_record(&mut text, row.iter().map(String::as_str));
        }
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn parse(mut bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = Reader::new();
    let mut records = Vec::new();
    let mut output = vec![0; 1024];
    let mut ends = vec![0; 32];
    let (mut output_len, mut ends_len) = (0, 0);
    loop {
        let (result, read, wrote, ended) =
            reader.read_record(bytes, &mut output[output_len..], &mut ends[ends_len..]);
        bytes = &bytes[read..];
        output_len += wrote;
        ends_len += ended;
        match result {
            // All input is there: an empty rest tells the reader that it is the end.
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => output.resize(output.len() * 2, 0),
            ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
            ReadRecordResult::Record => {
                let starts = std::iter::once(0).chain(ends[..ends_len].iter().copied());
                let cells = starts.zip(&ends[..ends_len]);
                records.push(
                    cells
                        .map(|(start, end)| {
                            String::from_utf8_lossy(&output[start..*end]).into_owned()
                        })
                        .collect(),
                );
                (output_len, ends_len) = (0, 0);
            }
            ReadRecordResult::End => return records,
        }
    }
}

/// Appends a line that ends in a line feed; a cell is quoted where it has to be.
pub fn push_record<'a>(line: &mut Vec<u8>, cells: impl Iterator<Item = &'a str>) {
    let start = line.len();
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            line.push(b',');
        }
        if cell
            .bytes()
            .any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
        {
            push_quoted(line, cell);
        } else {
            line.extend_from_slice(cell.as_bytes());
        }
    }
    if line.len() == start {
        // An empty line would be no row at all.
        line.extend_from_slice(b"\"\"");
    }
    line.push(b'\n');
}

fn push_quoted(line: &mut Vec<u8>, cell: &str) {
    line.push(b'"');
    for byte in cell.bytes() {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    /// What is written is read back, whatever the cells hold.
    #[test]
    fn round_trip() {
        let long = "x".repeat(5000);
        let cells = [
            "",
            "a,b",
            "say \"so\"",
            "two\nlines",
            " padded ",
            "é",
            &long,
        ];
        let mut table = CsvTable::of_column("text", cells);
        table.header = vec!["text".to_owned()];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        table.write(&path).unwrap();
        assert_eq!(CsvTable::read(&path).unwrap(), table);
        let wide = CsvTable {
            header: vec!["h".to_owned(); 100],
            rows: vec![vec!["c".to_owned(); 100]],
        };
        wide.write(&path).unwrap();
        assert_eq!(CsvTable::read(&path).unwrap(), wide);
    }
}
